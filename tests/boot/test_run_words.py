"""Arguments and environment arrive byte for byte."""

import shutil
from pathlib import Path

import pytest
from conftest import Boot, Build

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
    b"HOME=/",
    b"TERM=linux",
    b"LANG=C.UTF-8",
]


@pytest.fixture(scope="session")
def app(build_image: Build) -> Path:
    return build_image(SOURCE, name="words")


def test_name_is_the_files(app: Path, boot: Boot, tmp_path: Path) -> None:
    """As on Linux: a program of several applets knows by it which one it is."""
    other = tmp_path / "other name"
    shutil.copy(app, other)
    status, out, _ = boot(other)
    assert (status, out.split(b"\n")[0]) == (0, b"other name")


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
    expected = b"|".join([b"words", *raw])
    assert status == 0 and stdout.startswith(expected + b"\n")


def test_environment(app: Path, boot: Boot) -> None:
    options = ["-e", "A=b=c d", "-e", "HOME=/root", "-e", "GIVEN", "-e", "AWAY"]
    status, stdout, _ = boot(app, options=options, env={"GIVEN": "from the host"})
    lines = stdout.split(b"\n")
    home = [line if line != b"HOME=/" else b"HOME=/root" for line in DEFAULTS]
    assert status == 0
    assert lines == [b"words", *home, b"A=b=c d", b"GIVEN=from the host"]
