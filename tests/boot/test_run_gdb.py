"""`ukcc run --gdb`: the line that it prints brings gdb to `main`, whatever kind the image is."""

import re
import shlex
import subprocess
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Build, run_argv

from ukcc.free_port import free_port

# A function of its own with the name of the kernel's, by which the application's start is found.
SOURCE = r"""
#include <stdio.h>
#include <unistd.h>

int start_thread(int n)
{
	int parent = getppid();        /* in start_thread */
	return parent ? 2 * n : n;
}

int main(int argc, char **argv)
{
	int first = start_thread(20);  /* first of main */
	int second = first + argc;     /* second of main */
	printf("%d\n", second);        /* third of main */
	return second;
}
"""
LIBRARY = """
#include <unistd.h>
int start_thread(int n) { return getppid() ? 2 * n : n; }
"""

KINDS = {
    "static": [],
    "static-pie": ["-static-pie", "-fPIE"],
    "thin": ["-DTHIN"],
}


def line_of(source: str, words: str) -> int:
    """The number of the line that has these words."""
    return source.partition(words)[0].count("\n") + 1


def debug(image: Path, words: "list[str]", *commands: str) -> "tuple[int, str, str]":
    """Runs the printed line with gdb's commands added: the machine's status, gdb's stdout, its own.

    A machine that is not left behind by `kill` runs to its end.
    """
    options = ["--timeout", str(2 * DEADLINE * FACTOR), "--gdb", str(free_port())]
    machine = subprocess.Popen(
        run_argv(image, words, options),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert machine.stderr is not None
        printed = ""
        while "waiting for: " not in printed:
            printed = machine.stderr.readline()
            assert printed, "ukcc run ended before it printed gdb's line"
        argv = shlex.split(printed.partition("waiting for: ")[2])
        argv[1:1] = ["-nx", "-batch"]
        for command in ("set backtrace past-main on", *commands):
            argv += ["-ex", command]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=2 * DEADLINE * FACTOR)
        print(shlex.join(argv), done.stdout, done.stderr, sep="\n")
        out, _ = machine.communicate(timeout=2 * DEADLINE * FACTOR)
    finally:
        machine.kill()
        machine.wait()
    return machine.returncode, done.stdout, out


def stops_in_main(said: str, argc: int, line: int) -> bool:
    """Whether gdb stopped there, and showed the line."""
    stop = rf"^Temporary breakpoint \d+, main \(argc={argc}, .*:{line}\n{line}\t"
    return re.search(stop, said, re.MULTILINE) is not None


def frames(said: str) -> "list[str]":
    """The functions of a backtrace."""
    return re.findall(r"^#\d+ +(?:0x[0-9a-f]+ in )?(\w+)", said, re.MULTILINE)


@pytest.mark.parametrize("kind", KINDS)
def test_main(build_image: Build, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    if kind == "thin":
        monkeypatch.setenv("UKCC_IMAGE", "thin")
    image = build_image(SOURCE, "-O0", *KINDS[kind], name="debugged")
    commands = ["backtrace", "next", "print first", "next", "print second", "continue"]
    status, said, out = debug(image, ["one"], *commands)
    # the first stop is main's first line, with its source
    first = line_of(SOURCE, "/* first of main */")
    assert re.search(
        rf"^Temporary breakpoint \d+, main \(argc=2, .*:{first}\n{first}\t", said, re.M
    )
    called = frames(said)
    assert called[0] == "main" and called[-1] == "_start"
    assert any(name.startswith("__libc_start_main") for name in called)
    for words in ("/* second of main */", "/* third of main */"):
        assert re.search(rf"^{line_of(SOURCE, words)}\t.*{re.escape(words)}", said, re.M)
    assert "$1 = 40" in said and "$2 = 42" in said
    assert (status, out) == (42, "42\n")


def test_step_and_the_kernel(build_image: Build) -> None:
    image = build_image(SOURCE, "-O0", name="debugged")
    commands = ["hbreak __x64_sys_getppid", "step", "backtrace", "next", "backtrace 2"]
    status, said, _ = debug(image, [], *commands, "delete", "continue")
    inside = line_of(SOURCE, "/* in start_thread */")
    assert f"start_thread (n=20) at {image.with_suffix('.c')}:{inside}\n{inside}\t" in said
    called = frames(said)
    assert called[:2] == ["start_thread", "main"]
    # the breakpoint in the kernel stops the `next` on its way over getppid()
    assert re.search(r"^Breakpoint \d+, 0xffffffff[0-9a-f]+ in __x64_sys_getppid \(\)", said, re.M)
    assert called[-2:] == ["__x64_sys_getppid", "uk_gate_v1"]
    assert status == 41


@pytest.mark.parametrize("flags", [[], ["-pie", "-fPIE"]], ids=["fixed", "PIE"])
def test_dynamic(tmp_path: Path, flags: "list[str]") -> None:
    program = SOURCE.replace("start_thread(int n)\n{", "start_thread(int n);\nint own(int n)\n{")
    (tmp_path / "own.c").write_text(LIBRARY)
    (tmp_path / "main.c").write_text(program)
    for words in (["-shared", "-fPIC", "own.c", "-o", "libown.so"],
                  [*flags, "main.c", "-L.", "-lown", "-o", "debugged"]):  # fmt: skip
        subprocess.run([str(BIN / "uk-gcc"), "-g", *words], cwd=tmp_path, check=True)
    commands = ["backtrace", "hbreak start_thread", "continue", "backtrace", "delete", "continue"]
    status, said, out = debug(tmp_path / "debugged", [], *commands)
    first = line_of(program, "/* first of main */")
    assert re.search(
        rf"^Temporary breakpoint \d+, main \(argc=1, .*:{first}\n{first}\t", said, re.M
    )
    called = frames(said)
    # main's callers in our libc.so.6, and the library of the build
    assert called[0] == "main" and called[called.index("main") + 1].startswith("__libc_start")
    assert "start_thread" in called and called[called.index("start_thread") + 1] == "main"
    assert (status, out) == (41, "41\n")
