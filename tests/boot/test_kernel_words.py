"""On a console that the application and the kernel share, the kernel keeps quiet."""

import os
import subprocess
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Build

from ukcc.vm.hypervisor.board import Q35_WORDS

# What the kernel logs of itself when a process crashes and when memory ends, and an alert, its
# second highest level; the highest is an emergency.
SOURCE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static void alert(void)
{
	int log = open("/dev/kmsg", O_WRONLY);

	if (log < 0 || write(log, "<1>kernel: an alert\n", 20) != 20)
		_exit(1);
}

static void use_all_memory(void)
{
	for (;;)
		memset(malloc(1 << 20), 1, 1 << 20);
}

int main(void)
{
	void (*const act[])(void) = { alert, use_all_memory };
	int status, wrong = 0;

	for (int i = 0; i < 2; i++) {
		if (fork() == 0) {
			act[i]();
			_exit(0);
		}
		wait(&status);
		wrong |= i ? WTERMSIG(status) != 9 : status;
	}
	puts(wrong ? "wrong" : "said");
	return 0;
}
"""


def read_all(fd: int) -> bytes:
    seen = b""
    while True:
        try:
            data = os.read(fd, 4096)
        except OSError:
            data = b""
        if not data:
            return seen
        seen += data


@pytest.fixture(scope="session")
def image(build_image: Build) -> Path:
    return build_image(SOURCE, name="words")


def test_at_a_terminal(image: Path) -> None:
    ours, theirs = os.openpty()
    argv = [BIN / "ukcc", "run", "--net", "none", "-m", "64", image]
    process = subprocess.Popen(argv, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE)
    os.close(theirs)
    try:
        seen = read_all(ours)
        assert process.wait(DEADLINE * FACTOR) == 0
    finally:
        process.kill()
        os.close(ours)
    assert seen == b"said\r\n"


def test_on_a_bare_console(image: Path) -> None:
    """Without anything on the kernel's command line about the log."""
    argv: list[str | Path] = ["qemu-system-x86_64", "-machine", Q35_WORDS, "-cpu", "max"]
    argv += ["-m", "64"]
    argv += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio"]
    argv += ["-kernel", image, "-append", "console=ttyS0"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE * FACTOR
    )
    # init says what `ukcc run` would have reported
    lines = [line for line in done.stdout.splitlines() if not line.startswith(b"ukcc init: ")]
    assert (done.returncode, lines) == (0, [b"said"])
