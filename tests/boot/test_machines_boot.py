"""Other machines than q35, with all that `ukcc run` gives to a machine."""

import os
import subprocess
import time
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Boot, Build, run_argv

from ukcc import proc
from ukcc.free_port import free_port
from ukcc.vm.hypervisor.qemu import PROGRAM

# Copies standard input to standard output in capitals, says on standard error how many CPUs there
# are, and looks whether a second and a half is one by both clocks.
EVERYTHING = r"""
#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t clock)
{
	struct timespec at;

	clock_gettime(clock, &at);
	return at.tv_sec + at.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct sockaddr_in host = { .sin_family = AF_INET, .sin_port = htons(7777) };
	int listener = socket(AF_INET, SOCK_STREAM, 0), c;
	double before = now(CLOCK_MONOTONIC), real = now(CLOCK_REALTIME);

	if (bind(listener, (struct sockaddr *)&host, sizeof(host)) || listen(listener, 1))
		return 1;
	while ((c = getchar()) != EOF)
		putchar(toupper(c));
	fprintf(stderr, "%ld CPUs, %s\n", sysconf(_SC_NPROCESSORS_ONLN), argv[argc - 1]);
	usleep(1500000);
	before = now(CLOCK_MONOTONIC) - before;
	real = now(CLOCK_REALTIME) - real;
	return before >= 1.5 && real >= 1.5 && before - real < 0.1 && real - before < 0.1 ? 42 : 2;
}
"""


def test_microvm(build_image: Build, boot: Boot) -> None:
    image = build_image(EVERYTHING, name="everything")
    options = ["--accel", "tcg", "--machine", "microvm", "--smp", "2"]
    options += ["-p", f"{free_port()}:7777"]
    status, stdout, stderr = boot(image, "last", options=options, stdin=b"some words\n")
    assert (status, stdout, stderr) == (42, b"SOME WORDS\n", b"2 CPUs, last\n")


def test_a_qemu_without_that_machine(
    build_image: Build, boot: Boot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some distributions build it without microvm. Here that has another name."""
    wrapper = tmp_path / PROGRAM
    wrapper.write_text(
        f"""#!/bin/bash
exec {proc.find(PROGRAM)} "${{@/#microvm,/nothing,}}"
"""
    )
    wrapper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    done = boot(
        build_image(EVERYTHING, name="everything"),
        options=["--accel", "tcg", "--machine", "microvm"],
    )
    assert (done.status, done.stdout) == (125, b"")
    assert b"this QEMU was built without the machine" in done.stderr


# Fills memory, says so, gives it back, and ends when standard input does.
FILLER = r"""
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#define BYTES (96UL << 20)

int main(void)
{
	char *all = mmap(NULL, BYTES, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	memset(all, 1, BYTES);
	puts("full");
	fflush(stdout);
	getchar();
	munmap(all, BYTES);
	getchar();
	return 42;
}
"""
MIB = 1 << 20


def memory_of_qemu(pid: int) -> int:
    """Bytes that the child of `ukcc run` holds."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    resident = [Path(f"/proc/{child}/statm").read_text().split()[1] for child in children]
    return sum(map(int, resident)) * 4096


def test_free_memory_goes_back_to_the_host(build_image: Build) -> None:
    argv = run_argv(build_image(FILLER, name="filler"), [], ["-m", "192", "--accel", "tcg"])
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as machine:
        assert machine.stdout is not None and machine.stdin is not None
        try:
            assert machine.stdout.readline() == b"full\n"
            full = memory_of_qemu(machine.pid)
            machine.stdin.write(b"x")
            machine.stdin.flush()
            end = time.monotonic() + DEADLINE * FACTOR
            while memory_of_qemu(machine.pid) > full - 48 * MIB:
                assert time.monotonic() < end, (full, memory_of_qemu(machine.pid))
                time.sleep(0.1)
            machine.stdin.close()
            assert machine.wait(DEADLINE * FACTOR) == 42
        finally:
            machine.terminate()
