"""Links and runs where a shell, a daemon or a script has left little: no streams, no directory."""

import itertools
import os
import subprocess
import time
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Build

HELLO = '#include <stdio.h>\nint main(void) { puts("hi"); return 3; }\n'
CLOSED = [
    " ".join(closed)
    for count in range(1, 4)
    for closed in itertools.combinations(("<&-", ">&-", "2>&-"), count)
]


@pytest.fixture(scope="session")
def hello(build_image: Build) -> Path:
    return build_image(HELLO, name="hello")


def shell(
    script: str, *argv: object, cwd: "Path | None" = None
) -> "subprocess.CompletedProcess[str]":
    """A line of a shell in which `$1`… are the words; `ukcc` and `uk-gcc` are ours."""
    return subprocess.run(
        ["sh", "-c", script, "sh", *map(str, argv)],
        capture_output=True,
        text=True,
        timeout=2 * DEADLINE * FACTOR,
        cwd=cwd,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}"},
        check=False,
    )


@pytest.mark.parametrize("closed", CLOSED)
def test_closed_streams(hello: Path, closed: str) -> None:
    """The status is the application's; what it says goes where it would, or nowhere."""
    done = shell(f'ukcc run --timeout "$2" "$1" {closed}', hello, DEADLINE * FACTOR)
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout == ("" if ">&-" in closed.split() else "hi\n")


@pytest.mark.parametrize("closed", ["<&- >&- 2>&-", "2>&-", ">&-"])
def test_closed_streams_in_the_background(hello: Path, closed: str) -> None:
    name = f"odd-{os.getpid()}-{time.monotonic_ns()}"
    done = shell(f'ukcc run -d --name "$2" "$1" {closed}', hello, name)
    assert (done.returncode, done.stderr) == (0, "")
    waited = shell(f'ukcc wait "$1"; ukcc logs "$1"; ukcc ps {closed}', name)
    assert waited.stdout.startswith("3\nhi\n") and waited.stderr == ""


@pytest.mark.parametrize("closed", CLOSED)
def test_a_link_with_closed_streams(hello: Path, closed: str, tmp_path: Path) -> None:
    """Its image is whole, so none of what was written has become a stream of a compiler's."""
    (tmp_path / "hello.c").write_text(HELLO)
    done = shell(f"uk-gcc -O2 -g hello.c -o hello {closed}", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert shell("./hello", cwd=tmp_path).stdout == "hi\n"
    assert (tmp_path / "hello").stat().st_size == hello.stat().st_size
    inspected = shell(f"ukcc inspect ./hello {closed}", cwd=tmp_path)
    assert (inspected.returncode, inspected.stderr) == (0, "")


def test_outputs_that_are_full(hello: Path) -> None:
    done = shell('ukcc run "$1" >/dev/full', hello)
    assert done.returncode == 125
    reason = "its output cannot be written: No space left on device"
    assert done.stderr == f"ukcc: error: {hello}: {reason}\n"
    # a stream that is not open for writing fails a process's write, and does not end it
    assert shell('ukcc run "$1" >&0 0</dev/null', hello).returncode == 3
    gone = shell('{ ukcc run "$1"; echo $? >&2; } | true', hello)
    assert gone.stderr == "141\n"


def test_a_working_directory_that_is_gone(hello: Path, tmp_path: Path) -> None:
    (tmp_path / "m.c").write_text(HELLO)
    script = 'mkdir gone && cd gone && rmdir ../gone && "$@"'
    linked = shell(script, "uk-gcc", tmp_path / "m.c", "-o", tmp_path / "m", cwd=tmp_path)
    # dash, in which our launcher is written, says that it has no directory
    said = [line for line in linked.stderr.splitlines() if "getcwd() failed" not in line]
    assert (linked.returncode, said) == (0, [])
    limit = ("--timeout", str(DEADLINE * FACTOR))
    for image in ("../m", tmp_path / "m"):
        done = shell(script, "ukcc", "run", *limit, image, cwd=tmp_path)
        assert (done.returncode, done.stdout, done.stderr) == (3, "hi\n", "")
    done = shell(script, "ukcc", "inspect", "../m", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


def test_without_home_and_place_for_temporary_files(hello: Path) -> None:
    words = f"--timeout {DEADLINE * FACTOR}"
    done = shell(f'unset HOME TMPDIR; ukcc run {words} "$1"', hello)
    assert (done.returncode, done.stdout, done.stderr) == (3, "hi\n", "")
    done = shell(f'HOME=/proc/none TMPDIR=/proc/none ukcc run {words} "$1"', hello)
    assert (done.returncode, done.stdout) == (3, "hi\n")
