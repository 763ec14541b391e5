"""Arguments and environment arrive byte for byte."""

import shutil
import subprocess
from pathlib import Path

import pytest
from support.boots import BIN, Boot, Build

SOURCE = r"""
#include <stdio.h>
#include <stdlib.h>

extern char **environ;

int main(int argc, char **argv)
{
	printf("%s", argv[0]);
	for (int i = 1; i < argc; i++)
		printf("|%s", argv[i]);
	for (char **entry = environ; *entry; entry++)
		printf("\n%s", *entry);
	return 0;
}
"""

DEFAULTS = [
    b"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/app",
    b"HOME=/root",
    b"TERM=linux",
    b"LANG=C.UTF-8",
]


# The last call makes it a program that may load a locale.
LISTS = r"""
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(void)
{
	printf("%s %d\n", getenv("LANG"), access("/usr/lib/locale/C.utf8/LC_CTYPE", R_OK));
	return 0;
}
"""
LOADS = LISTS.replace("\treturn 0", '\tprintf("%s\\n", setlocale(LC_ALL, ""));\n\treturn 0')


@pytest.fixture(scope="session")
def app(build_image: Build) -> Path:
    return build_image(SOURCE, name="words")


def name_told(argv: "list[str | Path]", directory: Path) -> str:
    done = subprocess.run(
        [BIN / "ukcc", "run", *argv], cwd=directory, capture_output=True, text=True, timeout=240
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.split("\n")[0]


def test_name_is_the_files(app: Path, tmp_path: Path) -> None:
    """As on Linux: a path for who is named by one, and a program of several applets knows by the
    last part which one it is."""
    shutil.copy(app, tmp_path / "other name")
    assert name_told([tmp_path / "other name"], tmp_path) == "/app/other name"
    assert name_told(["./other name"], tmp_path) == "/app/other name"
    assert name_told(["other name"], tmp_path) == "other name"


def test_name_that_is_given(app: Path, tmp_path: Path) -> None:
    shutil.copy(app, tmp_path / "sh")
    assert name_told(["--argv0", "-sh", "sh"], tmp_path) == "-sh"
    (tmp_path / "uk.toml").write_text('argv0 = "a name"\n')
    assert name_told(["./sh"], tmp_path) == "a name"


def test_arguments(app: Path, boot: Boot) -> None:
    words: list[str | bytes] = [
        "--help",
        "-m",
        "two words",
        "",
        "q\"u'o",
        "a\nb",
        "$HOME",
        b"\xff\xfe",
        "--",
        "x" * 5000,
    ]
    status, stdout, _ = boot(app, *words)
    raw = [word if isinstance(word, bytes) else word.encode() for word in words]
    expected = b"|".join([b"/app/words", *raw])
    assert status == 0 and stdout.startswith(expected + b"\n")


def test_environment(app: Path, boot: Boot) -> None:
    options = ["-e", "A=b=c d", "-e", "HOME=/home", "-e", "GIVEN", "-e", "AWAY"]
    status, stdout, _ = boot(app, options=options, env={"GIVEN": "from the host"})
    lines = stdout.split(b"\n")
    home = [line if line != b"HOME=/root" else b"HOME=/home" for line in DEFAULTS]
    assert status == 0
    assert lines == [b"/app/words", *home, b"A=b=c d", b"GIVEN=from the host"]


def test_a_locale_for_who_loads_one(build_image: Build, boot: Boot, tmp_path: Path) -> None:
    """The environment is the same without, and what a share brings along may load one."""
    lists = build_image(LISTS, name="lists")
    assert boot(lists)[:2] == (0, b"C.UTF-8 -1\n")
    assert boot(lists, options=["-v", f"{tmp_path}:/mnt"])[:2] == (0, b"C.UTF-8 0\n")
    loads = build_image(LOADS, name="loads")
    assert boot(loads)[:2] == (0, b"C.UTF-8 0\nC.UTF-8\n")
