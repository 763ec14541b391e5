"""Job control, orphans and who the parent is: the same in both lives."""

import fcntl
import os
import signal
import subprocess
import sys
import termios
from pathlib import Path

import pytest
from support.boots import Boot, Build

HERE = Path(__file__).parent / "programs"
PROGRAMS = ("job_control", "orphans")

# What a shell does for its job: a group of its own in the foreground, which goes on when the
# terminal has stopped it.
SHELL = """
import os, signal, sys
signal.signal(signal.SIGTTOU, signal.SIG_IGN)
child = os.fork()
if child == 0:
    os.setpgid(0, 0)
    os.tcsetpgrp(0, os.getpid())
    signal.signal(signal.SIGTTOU, signal.SIG_DFL)
    os.execv(sys.argv[1], sys.argv[1:])
while os.WIFSTOPPED(status := os.waitpid(child, os.WUNTRACED)[1]):
    os.tcsetpgrp(0, child)
    os.killpg(child, signal.SIGCONT)
sys.exit(os.waitstatus_to_exitcode(status))
"""


def build(build_image: Build, name: str) -> Path:
    return build_image((HERE / f"{name}.c").read_text(), "-I", str(HERE), name=name)


@pytest.mark.parametrize("name", PROGRAMS)
def test_process(build_image: Build, name: str) -> None:
    image = build(build_image, name)
    ours, theirs = os.openpty()
    try:
        done = subprocess.run(
            [sys.executable, "-c", SHELL, image],
            stdin=theirs,
            stdout=subprocess.PIPE,
            timeout=60,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert (done.returncode, done.stdout) == (0, b"right\n")


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("options", [[], ["--trace", "--trace-output", os.devnull]])
def test_machine(build_image: Build, boot: Boot, name: str, options: "list[str]") -> None:
    if options and name != PROGRAMS[0]:
        pytest.skip("one is enough under the tracer")
    status, stdout, stderr = boot(build(build_image, name), "kernel", options=options)
    # what is written to the terminal comes there as well
    assert (status, stdout.lstrip(b"\r"), stderr) == (0, b"right\n", b"")


KILLER = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Everybody gets the signal but us and PID 1; then our end counts all the same. */
int main(int argc, char **argv)
{
	int sig = atoi(argv[1]), how = atoi(argv[2]);

	for (int i = 0; i < 3; i++)
		if (fork() == 0)
			for (;;)
				pause();
	kill(-1, sig);
	usleep(100000);
	puts(getppid() > 1 ? "a parent" : "PID 1");
	fflush(stdout);
	if (how)
		raise(how);
	return argc;
}
"""


@pytest.mark.parametrize(
    ("sig", "how", "status", "said"),
    [
        (signal.SIGTERM, 0, 3, b"a parent\n"),
        (signal.SIGSTOP, 0, 3, b"a parent\n"),
        (signal.SIGKILL, 0, 3, b"PID 1\n"),
        (signal.SIGKILL, signal.SIGTERM, 143, b"PID 1\n"),
    ],
)
def test_whoever_kills_all(
    build_image: Build, boot: Boot, sig: int, how: int, status: int, said: bytes
) -> None:
    image = build_image(KILLER, name="killer")
    assert boot(image, str(int(sig)), str(int(how))) == (status, said, b"")
