"""What PID 1 makes of the words on `ukcc.requests` (sysroot/init/request.c and requests.c)."""

import os
import subprocess
from pathlib import Path

import pytest
from support.init_driver import build_driver

# Runs it as a process: standard input is the port, the arguments are for signals_go_to(). Prints
# what is done; the linker puts stand-ins for kill(), ioctl() and tcgetpgrp().
DRIVER = r"""
#include "init.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

int open_port(const char *name, int flags)
{
	(void)flags;
	return strcmp(name, "ukcc.requests") ? -1 : dup(0);
}

void report_stacks(void)
{
	(void)!write(1, "stacks\n", 7);
}

void continue_job(void)
{
	(void)!write(1, "continued\n", 10);
}

void hold_still(int port)
{
	(void)!write(1, port < 0 ? "no port\n" : "held\n", 5);
}

int __wrap_kill(pid_t pid, int sig)
{
	printf("kill %d %d\n", pid, sig);
	return 0;
}

int __wrap_ioctl(int fd, unsigned long what, struct winsize *size)
{
	if (fd == 0 && what == TIOCSWINSZ)
		printf("size %d %d\n", size->ws_row, size->ws_col);
	return 0;
}

pid_t __wrap_tcgetpgrp(int fd)
{
	return fd == 0 ? 77 : -1;
}

int main(int argc, char **argv)
{
	struct timespec time;
	int i;

	setvbuf(stdout, NULL, _IONBF, 0);
	for (i = 1; i + 1 < argc; i += 2) {
		signals_are_of(atoi(argv[i + 1]));
		signals_go_to(atoi(argv[i]));
	}
	while (watch_requests() >= 0)
		serve_requests();
	while (wait(NULL) > 0)
		;
	if (all_is_taken())
		puts("taken");
	if (time_was_told(&time))
		printf("time %lld %ld\n", (long long)time.tv_sec, time.tv_nsec);
	if (time_was_told(&time))
		puts("again");
	/* what came too early */
	signals_are_of(0);
	signals_go_to(55);
	return 0;
}
"""


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("requests")
    wraps = [f"-Wl,--wrap={name}" for name in ("kill", "ioctl", "tcgetpgrp")]
    return build_driver(directory, DRIVER, ["requests.c", "request.c"], *wraps)


def done(driver: Path, pieces: "list[bytes]", *who: str) -> str:
    """What is done on these bytes, each piece in a read of its own as far as a pipe allows it."""
    argv = [str(driver), *who]
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0
    )
    assert process.stdin and process.stdout and process.stderr
    for piece in pieces:
        os.write(process.stdin.fileno(), piece)
    process.stdin.close()
    said, errors = process.stdout.read(), process.stderr.read()
    assert (process.wait(), errors) == (0, b"")
    return said.decode()


@pytest.mark.parametrize(
    ("line", "what"),
    [
        (b"signal 15", "kill 50 15\n"),
        (b"signal 2", "kill 50 2\n"),
        (b"signal 64", "kill 50 64\n"),
        (b"resize 33 101", "size 33 101\n"),
        (b"stacks", "stacks\n"),
        (b"hold", "held\n"),
        (b"hold 1", ""),
        (b"taken", "taken\n"),
        (b"continue", "continued\n"),
        (b"time 0.000000000", "time 0 0\n"),
        (b"time 1796040000.012345678", "time 1796040000 12345678\n"),
        # only who holds still waits for it
        (b"resumed 1.000000000 " + b"0f" * 32, ""),
        # bad words
        (b"time 1", ""),
        (b"time 1.", ""),
        (b"time 1.5", ""),
        (b"time 1.0000000000", ""),
        (b"time -1.000000000", ""),
        (b"time 1.000000000 ", ""),
        (b"time 99999999999999999999.000000000", ""),
        (b"continue 1", ""),
        (b"continue ", ""),
        (b"", ""),
        (b" ", ""),
        (b"signal", ""),
        (b"signal 0", ""),
        (b"signal 65", ""),
        (b"signal -9", ""),
        (b"signal 9x", ""),
        (b"signal 99999999999999999999", ""),
        (b"signal 9 9", ""),
        (b"signals 9", ""),
        (b"resize 10", ""),
        (b"resize 0 10", ""),
        (b"resize 65536 10", ""),
        (b"taken now", ""),
        (b"x" * 255, ""),
        (b"x" * 256, ""),
        (b"x" * 257, ""),
        (b"y" * 5000, ""),
        (bytes(set(range(256)) - {10}), ""),
        (b"taken\0", "taken\n"),
    ],
)
def test_a_line(driver: Path, line: bytes, what: str) -> None:
    assert done(driver, [line + b"\n"], "50", "0") == what
    # and the next one is understood whatever was before it
    assert done(driver, [line + b"\nsignal 1\n"], "50", "0").count("kill 50 1\n") == 1


def test_of_two_times_the_later_counts(driver: Path) -> None:
    lines = b"time 1.000000000\ntime 2.000000001\n"
    assert done(driver, [lines], "50", "0") == "time 2 1\n"


PARSER = r"""
#include "init.h"
#include <stdio.h>

int main(void)
{
	struct host_request request;
	struct lines lines = { .used = 0 };
	int byte, i;

	while ((byte = getchar()) != EOF) {
		if (!add_to_line(&lines, byte))
			continue;
		if (parse_request(lines.text, &request)) {
			puts("-");
			continue;
		}
		printf("%d %ld ", request.ask == ASK_RESUMED, (long)request.time.tv_sec);
		printf("%ld ", request.time.tv_nsec);
		for (i = 0; i < SEED_BYTES; i++)
			printf("%02x", request.seed[i]);
		puts("");
	}
	return 0;
}
"""


@pytest.fixture(scope="module")
def parser(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(tmp_path_factory.mktemp("parser"), PARSER, ["request.c"])


SEED = bytes(range(32)).hex().encode()


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        (b"resumed 12.000000034 " + SEED, b"1 12 34 " + SEED),
        (b"resumed 12.000000034 " + SEED[:-1], b"-"),
        (b"resumed 12.000000034 " + SEED[:-1] + b"g", b"-"),
        (b"resumed 12.000000034 " + SEED + b"0", b"-"),
        (b"resumed 12.000000034 " + SEED.replace(b"0a", b"0A"), b"-"),
        (b"resumed 12.000000034", b"-"),
        (b"resumed 12.000000034 ", b"-"),
        (b"resumed +12.000000034 " + SEED, b"-"),
        (b"resumed 12.34 " + SEED, b"-"),
        (b"resume 12.000000034 " + SEED, b"-"),
    ],
)
def test_what_a_continued_machine_is_told(parser: Path, line: bytes, shown: bytes) -> None:
    told = subprocess.run([parser], input=line + b"\n", capture_output=True)
    assert (told.returncode, told.stdout, told.stderr) == (0, shown + b"\n", b"")


def test_lines_in_pieces(driver: Path) -> None:
    pieces = [b"sig", b"nal 1\nsignal ", b"10\n", b"signal 12"]
    assert done(driver, pieces, "50", "0") == "kill 50 1\nkill 50 10\n"


@pytest.mark.parametrize(("signum", "target"), [(2, -77), (3, -77), (20, -77), (15, 50), (1, 50)])
def test_at_a_terminal_the_keyboard_s_signals_go_to_the_foreground_job(
    driver: Path, signum: int, target: int
) -> None:
    assert done(driver, [b"signal %d\n" % signum], "50", "1") == f"kill {target} {signum}\n"


def test_what_comes_too_early_waits_for_the_application(driver: Path) -> None:
    assert done(driver, [b"signal 15\nsignal 1\n"]) == "kill 55 1\nkill 55 15\n"


def test_who_has_ended_gets_no_signal(driver: Path) -> None:
    assert done(driver, [b"signal 9\n"], "50", "0", "-1", "0") == ""
