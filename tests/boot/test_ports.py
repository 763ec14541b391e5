"""`ukcc port`: a library and a program that uses it, from tarballs to a tested image."""

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR

from ukcc import paths

LIBRARY = {
    "greeting.c": 'const char *greeting(void) { return "hello"; }\n',
    "greeting.h": "const char *greeting(void);\n",
    "Makefile": """all: libgreeting.a
libgreeting.a: greeting.o
\t$(AR) rc $@ $^
install:
\tinstall -D -t $(PREFIX)/lib libgreeting.a
\tinstall -D -t $(PREFIX)/include greeting.h
""",
}

# Answers each line by the greeting and the word in its configuration.
PROGRAM = {
    "configure": "#!/bin/sh\necho CFLAGS = -O2 > config.mk\n",
    "Makefile": """include config.mk
greeter: greeter.c
\t$(CC) $(CFLAGS) $(CPPFLAGS) greeter.c $(LDFLAGS) -lgreeting -o greeter
""",
    "greeter.c": r"""
#include <arpa/inet.h>
#include <greeting.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), client;
	char word[20] = "", line[100];
	FILE *file = fopen("/etc/greeter", "r"), *stream;

	if (!file || fscanf(file, "%19s", word) != 1)
		return 3;
	if (argc > 1) {
		printf("%s, %s\n", greeting(), argv[1]);
		return 5;
	}
	bind(listener, (struct sockaddr *)&any, sizeof(any));
	listen(listener, 5);
	puts("listening");
	fflush(stdout);
	for (;;) {
		client = accept(listener, NULL, NULL);
		stream = fdopen(client, "r+");
		while (fgets(line, sizeof(line), stream)) {
			fprintf(stream, "%s, %s of %s", greeting(), word, line);
			fflush(stream);
		}
		fclose(stream);
	}
}
""",
}

LIBRARY_RECIPE = """
title = "Greeting"
licence = "MIT"
[source]
version = "1"
url = "{url}"
sha256 = {{ "{name}" = "{digest}" }}
[build]
system = "make"
install = ["install", "PREFIX=$PREFIX"]
"""

PROGRAM_RECIPE = """
title = "Greeter"
licence = "MIT"
depends = ["greeting"]
[source]
version = "1"
url = "{url}"
sha256 = {{ "{name}" = "{digest}" }}
[[patch]]
file = "louder.patch"
why = "the test of patches"
[build]
system = "autotools"
goals = ["greeter"]
[image.greeter]
program = "greeter"
kernel = ["CONFIG_EXT4_FS"]
[image.greeter.settings]
memory = 64
files = {{ "/etc/greeter" = "$RECIPE/word" }}
[[test]]
what = "greets who is named, and ends with 5"
stdout = '^HELLO, someone$'
status = 5
boot = {{ image = "greeter", arguments = ["someone"] }}
[[test]]
what = "answers lines"
run = ['''
exec 3<> /dev/tcp/127.0.0.1/$PORT
echo ring >&3
read -r answer <&3
test "$answer" = 'HELLO, friend of ring'
test "$("$TREE/greeter" 2>&1 || echo $?)" = 3
''']
boot = {{ image = "greeter", ports = [7], ready = "^listening$" }}
[suite]
what = "three lines"
process = ["printf 'ok 1\\nnot ok two\\nok 3\\n'"]
unikernel = ['''
exec 3<> /dev/tcp/127.0.0.1/$PORT
for name in one two three; do
    echo $name >&3
    read -r answer <&3
    test "$answer" = "HELLO, friend of $name" && echo ok $name || echo not ok $name
done
echo not ok four
echo not ok five
''']
passed = '^ok '
failed = '^not ok (.*)$'
explained = {{ four = "there are three lines" }}
boot = {{ image = "greeter", ports = [7], ready = "^listening$" }}
"""

PATCH = """--- a/greeter.c
+++ b/greeter.c
@@ -3,3 +3,4 @@
 #include <greeting.h>
+#define greeting() "HELLO"
 #include <stdio.h>
 #include <string.h>
"""


def pack(directory: Path, name: str, files: dict[str, str]) -> dict[str, str]:
    """A tarball, and what a recipe says of it."""
    source = directory / name
    source.mkdir()
    for path, text in files.items():
        (source / path).write_text(text)
        (source / path).chmod(0o755 if path == "configure" else 0o644)
    archive = directory / f"{name}.tar.xz"
    with tarfile.open(archive, "w:xz") as tar:
        tar.add(source, name)
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    return {"url": archive.as_uri(), "name": archive.name, "digest": digest}


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recipes."""
    root = tmp_path_factory.mktemp("ports")
    ports = root / "ports"
    for name, files, recipe in (
        ("greeting", LIBRARY, LIBRARY_RECIPE),
        ("greeter", PROGRAM, PROGRAM_RECIPE),
    ):
        (ports / name).mkdir(parents=True)
        (ports / name / "port.toml").write_text(recipe.format(**pack(root, name, files)))
    (ports / "greeter" / "word").write_text("friend\n")
    (ports / "greeter" / "louder.patch").write_text(PATCH)
    yield ports
    for made in ports.iterdir():
        shutil.rmtree(Path(paths.store()) / "ports" / made.name, ignore_errors=True)


def port(ports: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    argv = [Path(sys.executable).parent / "ukcc", "port", "--ports", ports, *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=3 * DEADLINE * FACTOR)


def test_from_tarballs_to_a_tested_image(recipes: Path) -> None:
    done = port(recipes, "test", "-q", "--long", "--json", "greeter")
    (result,) = json.loads(done.stdout)
    assert result["tests"] == {"greets who is named, and ends with 5": "", "answers lines": ""}
    assert result["suite"] == {
        "process": "2 of 3",
        "unikernel": "3 of 5",
        "unexplained": ["five"],
    }
    assert result["images"]["greeter"]["size"] > 8_000_000
    assert 20e6 < result["images"]["greeter"]["boot"] < 1e9
    assert (done.returncode, result["passed"]) == (1, False), "five is not explained"


def test_what_is_built_is_not_built_again(recipes: Path) -> None:
    assert port(recipes, "build", "greeter").returncode == 0
    again = port(recipes, "build", "greeter")
    assert (again.returncode, again.stderr) == (0, "")
    place = Path(again.stdout.strip())
    assert (place / "images" / "greeter").is_file() and (place / "tree" / "greeter").is_file()
    listed = port(recipes, "list").stdout
    assert "greeter   1  Greeter   tests 2 of 2" in listed


def test_a_failure_says_what_and_stops_nothing_else(recipes: Path) -> None:
    file = recipes / "greeting" / "port.toml"
    text = file.read_text()
    file.write_text(text.replace('"install", "PREFIX', '"instal", "PREFIX'))
    other = recipes / "alone"
    other.mkdir()
    alone = text.replace('install = ["install", "PREFIX=$PREFIX"]', "")
    (other / "port.toml").write_text(alone)
    done = port(recipes, "build", "-q", "greeter", "alone")
    assert done.returncode == 1
    assert "No rule to make target 'instal'" in done.stderr
    assert "greeter: it depends on greeting, which failed" in done.stderr
    assert done.stdout.count("\n") == 1 and "/alone/" in done.stdout


def test_a_test_that_fails_says_which_command(recipes: Path) -> None:
    file = recipes / "greeter" / "port.toml"
    (recipes / "greeting" / "port.toml").write_text(
        (recipes / "greeting" / "port.toml").read_text().replace('"instal"', '"install"')
    )
    text = file.read_text().replace("friend of ring'", "friend of fire'")
    left = 'ukcc run -d --name left "$IMAGES/greeter" && ukcc ps > machines\nexec 3<>'
    file.write_text(text.replace("exec 3<>", left, 1))
    done = port(recipes, "test", "-q", "greeter")
    assert done.returncode == 1
    assert "greeter: passed: greets who is named" in done.stdout
    assert "greeter: FAILED: answers lines" in done.stdout
    assert "`test \"$answer\" = 'HELLO, friend of fire'` ended with 1" in done.stdout
    # what it had started is ended with it
    work = Path(port(recipes, "build", "-q", "greeter").stdout.strip()) / "work" / "test-2"
    assert "\nleft " in (work / "machines").read_text()
    environment = {**os.environ, "XDG_RUNTIME_DIR": str(work)}
    argv = [Path(sys.executable).parent / "ukcc", "ps", "--json"]
    assert subprocess.run(argv, env=environment, capture_output=True).stdout == b"[]\n"


SLOW_RECIPE = """
title = "Slow"
licence = "MIT"
[source]
version = "1"
url = "{url}"
sha256 = {{ "{name}" = "{digest}" }}
[build]
system = "script"
script = ["sleep 60", "touch done"]
"""


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_an_ended_build_leaves_nothing_at_work(tmp_path: Path, jobs: str) -> None:
    source = pack(tmp_path, "slow", {"file": ""})
    for name in ("one", "two", "three"):
        (tmp_path / "ports" / name).mkdir(parents=True)
        (tmp_path / "ports" / name / "port.toml").write_text(SLOW_RECIPE.format(**source))
    argv = [Path(sys.executable).parent / "ukcc", "port", "--ports", tmp_path / "ports", "build"]
    environment = {**os.environ, "UKCC_HOME": str(tmp_path / "store")}
    (tmp_path / "store").mkdir()
    sysroots = Path(paths.store()) / "sysroots"
    (tmp_path / "store" / "sysroots").symlink_to(sysroots)
    with subprocess.Popen(
        [*argv, "-j", jobs, "--all"], env=environment, stderr=subprocess.PIPE, text=True
    ) as build:
        assert build.stderr is not None  # it is a pipe
        while "script …" not in build.stderr.readline():
            pass
        build.terminate()
        said = build.stderr.read()
        assert build.wait(DEADLINE * FACTOR) == 128 + signal.SIGTERM, said
    logs = [log.read_text() for log in (tmp_path / "store" / "ports").rglob("script.log")]
    assert len(logs) <= int(jobs) and not any("touch" in log for log in logs)
