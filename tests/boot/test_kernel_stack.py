"""A kernel stack that overflows ends the machine with a word, and does not hang it.

A debugger brings it about: in the middle of a system call it puts the stack pointer at the lowest
end of the thread's stack, so that the next exception frame does not fit.
"""

import subprocess
from pathlib import Path
from typing import NamedTuple

from conftest import DEADLINE, FACTOR, Build, run_argv

from ukcc.demo import free_port
from ukcc.vm.facts import read_facts

SOURCE = "#include <unistd.h>\nint main(void) { return getppid() > 0 ? 3 : 4; }\n"

# VMAP_STACK: a stack is as large as it is aligned (THREAD_SIZE of asm/page_64_types.h).
STACK_SIZE = 4 << 12


class Debugged(NamedTuple):
    """What came of a run: status, stdout and stderr of `ukcc run`, and what gdb said."""

    status: int
    stdout: str
    stderr: str
    gdb: str


def debug(image: Path, *commands: str) -> Debugged:
    """Runs the image under gdb, from its first instruction on."""
    port = free_port()
    argv = run_argv(image, [], ["--timeout", str(DEADLINE * FACTOR), "--gdb", str(port)])
    machine = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        words = ["gdb", "-nx", "-batch", str(read_facts(str(image)).vmlinux)]
        for command in (f"target remote 127.0.0.1:{port}", *commands):
            words += ["-ex", command]
        done = subprocess.run(words, capture_output=True, text=True, timeout=DEADLINE * FACTOR)
        print(done.stdout, done.stderr)
        out, err = machine.communicate(timeout=2 * DEADLINE * FACTOR)
    finally:
        machine.kill()
        machine.wait()
    print(out, err)
    return Debugged(machine.returncode, out, err, done.stdout)


def test_the_debugger_alone_changes_nothing(build_image: Build) -> None:
    image = build_image(SOURCE, name="getppid")
    commands = ["hbreak __x64_sys_getppid", "continue", "delete", "detach"]
    assert debug(image, *commands).status == 3


def test_overflow(build_image: Build) -> None:
    image = build_image(SOURCE, name="getppid")
    lowest = f"set $rsp = ((unsigned long)$rsp & ~{STACK_SIZE - 1}) + 16"
    done = debug(image, "hbreak __x64_sys_getppid", "continue", "delete", lowest, "detach")
    assert done.status == 123
    assert "stack guard page was hit" in done.stdout
    assert "the kernel panicked" in done.stderr
