"""Runs an image under gdb with the kernel's symbols."""

import subprocess
from pathlib import Path
from typing import NamedTuple

from support.boots import DEADLINE, FACTOR, run_argv
from ukcc.free_port import free_port
from ukcc.image.facts import read_facts

# The saved stack pointer, from the first instruction of a stub that has no error code.
SAVED_SP = "*(long *)($rsp + 24)"


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
