"""SIGTERM and SIGHUP run what Ctrl-C would run."""

import signal
import subprocess
import sys

import pytest

PROGRAM = """
import os, signal, sys
from ukcc.unwinding import unwind_when_ended

number, ignored = int(sys.argv[1]), sys.argv[2] == "ignored"
signal.signal(number, signal.SIG_IGN if ignored else signal.SIG_DFL)
unwind_when_ended()
try:
    os.kill(os.getpid(), number)
    print("went on")
finally:
    os.kill(os.getpid(), signal.SIGTERM)  # again: it must not leave this half-way
    print("released")
"""


@pytest.mark.parametrize(
    ("number", "was", "status", "said"),
    [
        (signal.SIGTERM, "default", 128 + 15, "released\n"),
        (signal.SIGHUP, "default", 128 + 1, "released\n"),
        (signal.SIGTERM, "ignored", 0, "went on\nreleased\n"),
    ],
)
def test_signal(number: int, was: str, status: int, said: str) -> None:
    argv = [sys.executable, "-c", PROGRAM, str(number), was]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (status, said, "")
