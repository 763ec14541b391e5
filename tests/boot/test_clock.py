"""The guest's time of day is the host's."""

import subprocess
import time
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Build

# A line comes in, the time goes out.
SOURCE = r"""
#include <stdio.h>
#include <time.h>

int main(void)
{
	char line[16];
	struct timespec now;

	while (fgets(line, sizeof(line), stdin)) {
		clock_gettime(CLOCK_REALTIME, &now);
		printf("%lld.%09ld\n", (long long)now.tv_sec, now.tv_nsec);
		fflush(stdout);
	}
	return 0;
}
"""

# Half of what the host's answer took may be wrong, and a busy host takes its time.
ERROR = 0.4


@pytest.fixture(scope="session")
def image(build_image: Build) -> Path:
    return build_image(SOURCE, name="clock")


@pytest.mark.parametrize("machine", ["q35", "microvm"])
def test_between_question_and_answer(image: Path, machine: str) -> None:
    """No more is asked of the host's speed than that."""
    process = subprocess.Popen(
        [BIN / "ukcc", "run", "--machine", machine, "--timeout", str(DEADLINE * FACTOR), image],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
    )
    assert process.stdin and process.stdout and process.stderr
    found = []
    for _ in range(3):
        asked = time.time()
        process.stdin.write(b"?\n")
        told = float(process.stdout.readline())
        found.append((asked - ERROR <= told <= time.time() + ERROR, asked, told))
    process.stdin.close()
    assert (process.wait(), process.stderr.read()) == (0, b"")
    # while the first question waited the machine booted
    assert all(right for right, *_ in found), found
