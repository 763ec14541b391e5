"""`ukcc run`: the application's end is the machine's, and all it wrote arrives."""

import hashlib
import shlex
import subprocess
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Boot, Build, run_argv

# One program that does what its first argument says.
SOURCE = r"""
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	const char *what = argv[1];

	if (!strcmp(what, "exit"))
		return atoi(argv[2]);
	if (!strcmp(what, "abort"))
		abort();
	if (!strcmp(what, "fault"))
		*(volatile int *)16 = 1;
	if (!strcmp(what, "tail")) {
		fputs("first\nlast, without an end", stdout);
		return 7;
	}
	if (!strcmp(what, "flood")) {
		for (int i = 0; i < 65536; i++)
			printf("%015d\n", i);
		return 0;
	}
	if (!strcmp(what, "burst")) {
		static char line[4000];

		memset(line, 'x', sizeof(line));
		_exit(write(1, line, sizeof(line)) == sizeof(line) ? 3 : 4);
	}
	if (!strcmp(what, "stop")) {
		raise(SIGTSTP);
		return 6;
	}
	if (!strcmp(what, "sleep")) {
		puts("asleep");
		fflush(stdout);
		sleep(1000);
	}
	if (!strcmp(what, "cpus")) {
		printf("%ld\n", sysconf(_SC_NPROCESSORS_ONLN));
		return 0;
	}
	if (!strcmp(what, "streams")) {
		printf("out %d %d\n", isatty(1), isatty(2));
		fputs("err\n", stderr);
		return 0;
	}
	if (!strcmp(what, "huge")) {
		static char data[1000000];

		/* a pipe takes all of a write */
		memset(data, 'y', sizeof(data));
		return write(1, data, sizeof(data)) == sizeof(data) ? 0 : 1;
	}
	if (!strcmp(what, "copy")) {
		static char buffer[65536];
		ssize_t n;

		while ((n = read(0, buffer, sizeof(buffer))) > 0)
			write(1, buffer, n);
		return n == 0 ? 0 : 1;
	}
	return 99;
}
"""


@pytest.fixture(scope="session")
def app(build_image: Build) -> Path:
    return build_image(SOURCE, name="status")


@pytest.mark.parametrize("status", [0, 1, 42, 255])
def test_exit_status(app: Path, boot: Boot, status: int) -> None:
    assert boot(app, "exit", str(status)) == (status, b"", b"")


@pytest.mark.parametrize(("what", "status"), [("abort", 134), ("fault", 139)])
def test_killed_by_a_signal(app: Path, boot: Boot, what: str, status: int) -> None:
    result = boot(app, what)
    # test_failures_boot.py says what it has to be
    assert (result.status, result.stdout) == (status, b"") and b"crashed" in result.stderr


def test_last_line_without_an_end_arrives(app: Path, boot: Boot) -> None:
    assert boot(app, "tail") == (7, b"first\nlast, without an end", b"")


def test_what_is_written_just_before_the_end_arrives(app: Path, boot: Boot) -> None:
    """The end of the terminal's session would throw away what is still on its way."""
    for _ in range(3):
        assert boot(app, "burst", options=["--smp", "2"]) == (3, b"x" * 4000, b"")


def test_a_stop_without_a_shell_is_no_hang(app: Path, boot: Boot) -> None:
    assert boot(app, "stop") == (6, b"", b"")


def test_a_megabyte_arrives(app: Path, boot: Boot) -> None:
    status, stdout, _ = boot(app, "flood")
    wanted = b"".join(b"%015d\n" % i for i in range(65536))
    assert (status, len(stdout)) == (0, len(wanted))
    assert hashlib.sha256(stdout).digest() == hashlib.sha256(wanted).digest()


def test_output_and_errors_are_pipes_of_their_own(app: Path, boot: Boot) -> None:
    assert boot(app, "streams") == (0, b"out 0 0\n", b"err\n")


def test_one_write_of_a_megabyte(app: Path, boot: Boot) -> None:
    assert boot(app, "huge") == (0, b"y" * 1000000, b"")


def test_a_slow_reader_gets_all(app: Path) -> None:
    """The machine must not end before QEMU has handed on what it still holds."""
    machine = subprocess.Popen(run_argv(app, ["huge"], []), stdout=subprocess.PIPE)
    try:
        assert machine.stdout
        # long enough for the program to end; on a slower machine the test says less
        with pytest.raises(subprocess.TimeoutExpired):
            machine.wait(8)
        assert machine.stdout.read() == b"y" * 1000000
        assert machine.wait(DEADLINE * FACTOR) == 0
    finally:
        machine.terminate()
        machine.wait()


def test_time_limit(app: Path, boot: Boot) -> None:
    status, stdout, stderr = boot(app, "sleep", options=["--timeout", "10"])
    assert (status, stdout) == (124, b"asleep\n")
    assert stderr.endswith(b"still running after 10 s; --timeout gives it longer\n")


def test_two_cpus(app: Path, boot: Boot) -> None:
    assert boot(app, "cpus", options=["--smp", "2"]) == (0, b"2\n", b"")


def test_standard_input_has_an_end(app: Path, boot: Boot) -> None:
    assert boot(app, "copy") == (0, b"", b"")


def test_standard_input_arrives(app: Path, boot: Boot) -> None:
    data = bytes(range(256)) * 1000
    assert boot(app, "copy", stdin=data) == (0, data, b"")


def test_too_little_memory_is_said_at_once(app: Path, boot: Boot) -> None:
    status, stdout, stderr = boot(app, "exit", "0", options=["-m", "1"], timeout=5)
    assert (status, stdout) == (125, b"")
    assert b"needs at least" in stderr and stderr.count(b"\n") == 1


def test_on_a_terminal(app: Path) -> None:
    """Only then the application has one, too; and what it writes last arrives as well."""
    command = shlex.join([str(BIN / "ukcc"), "run", str(app), "streams"])
    argv = ["script", "--quiet", "--return", "--command", command, "/dev/null"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE * FACTOR
    )
    assert (done.returncode, done.stdout.replace(b"\r", b"")) == (0, b"out 1 1\nerr\n")


def test_no_image(tmp_path: Path, boot: Boot) -> None:
    text = tmp_path / "text"
    text.write_text("no image")
    for image in (text, tmp_path / "missing", tmp_path, Path("/bin/true")):
        status, stdout, stderr = boot(image, timeout=5)
        assert (status, stdout) == (125, b"") and stderr.count(b"\n") == 1
