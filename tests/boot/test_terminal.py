"""A person at a terminal: the distribution's shell in a machine, driven over a pseudo-terminal."""

import contextlib
import fcntl
import os
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Build

PROMPT = b"<prompt>"
TOOLS = ("stty", "sleep", "cat", "dd")


@pytest.fixture(scope="session")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    image = tmp_path_factory.mktemp("shell") / "bash"
    words = [word for tool in TOOLS for word in ("-f", f"/bin/{tool}")]
    subprocess.run([BIN / "ukcc", "pack", "/bin/bash", "-o", image, *words], check=True)
    return image


class Person:
    """Someone at a terminal of 24 rows and 80 columns, with `ukcc run` in its foreground."""

    def __init__(self, argv: Sequence[str], ours: int, theirs: int) -> None:
        self._ours, self._theirs, self._seen = ours, theirs, b""
        self.resize(24, 80)
        self.mode = termios.tcgetattr(theirs)
        self.run = subprocess.Popen(
            argv,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
            env={**os.environ, "TERM": "xterm", "PS1": PROMPT.decode()},
        )

    def resize(self, rows: int, columns: int) -> None:
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def type(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def sees(self, wanted: bytes) -> bytes:
        """What comes up to and with these bytes."""
        end = time.monotonic() + DEADLINE * FACTOR
        while wanted not in self._seen:
            ready = select.select([self._ours], [], [], max(0.0, end - time.monotonic()))[0]
            data = b""
            with contextlib.suppress(OSError):
                data = os.read(self._ours, 4096) if ready else b""
            assert data, f"no {wanted!r} in {self._seen!r}"
            self._seen += data
        before, _, self._seen = self._seen.partition(wanted)
        return before + wanted

    def does(self, line: bytes) -> bytes:
        """Types a line; what is seen from its end to the next prompt."""
        self.type(line + b"\r")
        self.sees(line + b"\r\n")
        return self.sees(PROMPT)[: -len(PROMPT)]

    def waits_until_raw(self) -> None:
        end = time.monotonic() + DEADLINE * FACTOR
        while termios.tcgetattr(self._theirs)[3] & termios.ICANON:
            assert time.monotonic() < end
            time.sleep(0.02)

    @property
    def has_the_terminal_back(self) -> bool:
        flags = fcntl.fcntl(self._theirs, fcntl.F_GETFL)
        return termios.tcgetattr(self._theirs) == self.mode and not flags & os.O_NONBLOCK

    def ends(self) -> int:
        """Reads on, as a terminal does, until the run ends. Its exit status."""
        end = time.monotonic() + DEADLINE * FACTOR
        while self.run.poll() is None:
            assert time.monotonic() < end, self._seen
            if select.select([self._ours], [], [], 0.1)[0]:
                self._seen += os.read(self._ours, 4096)
        return self.run.returncode


def at_a_terminal(image: Path, *options: str) -> "contextlib.AbstractContextManager[Person]":
    argv = [str(BIN / "ukcc"), "run", "--accel", "tcg", *options, str(image)]
    return in_front_of([*argv, "--norc", "--noprofile"])


@contextlib.contextmanager
def in_front_of(argv: "list[str]") -> Iterator[Person]:
    ours, theirs = os.openpty()
    try:
        person = Person(argv, ours, theirs)
        try:
            yield person
        finally:
            person.run.kill()
            person.run.wait()
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_session(shell: Path) -> None:
    with at_a_terminal(shell, "-e", "PS1") as person:
        person.sees(PROMPT)
        assert person.does(b"stty size") == b"24 80\r\n"

        # line editing: to the beginning, to the end, rub out, the line before
        # (which may draw the prompt again)
        person.type(b"xho one\x01\x04ec\x05 twx\x7fo\r")
        person.sees(b"\r\none two\r\n" + PROMPT)
        person.type(b"\x10\r")
        person.sees(b"\r\none two\r\n" + PROMPT)

        # a new size reaches the kernel's terminal, and who is in its foreground
        person.does(b"trap got=one WINCH")
        person.type(b'until [ "$got" ]; do read -t 0.1; done; echo $got; stty size\r')
        person.sees(b"stty size\r\n")
        person.resize(33, 101)
        assert person.sees(PROMPT).startswith(b"one\r\n33 101\r\n")

        # job control: the shell goes on, and so does the machine
        person.type(b"cat; echo status=$?\r")
        person.sees(b"$?\r\n")
        person.type(b"echoed\r")
        person.sees(b"echoed\r\nechoed\r\n")
        person.type(b"\x03")
        person.sees(PROMPT)
        person.type(b"cat\r")
        person.sees(b"cat\r\n")
        person.type(b"again\r")
        person.sees(b"again\r\nagain\r\n")
        person.type(b"\x1a")
        assert b"Stopped" in person.sees(PROMPT)
        person.type(b"fg\r")
        person.sees(b"fg\r\ncat\r\n")
        person.type(b"last\r\x04")
        person.sees(b"last\r\nlast\r\n")
        person.sees(PROMPT)

        # raw, as an editor has it: keys are bytes, and a line feed is only that
        person.type(b"stty raw -echo; echo go; dd bs=1 count=4 2>/dev/null | cat -v; stty sane\r")
        person.sees(b"go\n")
        person.type(b"\x03\x1a\x04\x11")
        person.sees(b"^C^Z^D^Q")
        person.sees(PROMPT)

        assert not person.has_the_terminal_back
        person.type(b"(exit 7)\r")
        person.sees(PROMPT)
        person.type(b"\x04")
        assert person.ends() == 7
        assert person.has_the_terminal_back


def test_the_terminal_comes_back_however_it_ends(shell: Path) -> None:
    """None of these machines has to boot."""
    with at_a_terminal(shell) as person:
        person.waits_until_raw()
        (qemu,) = Path(f"/proc/{person.run.pid}/task/{person.run.pid}/children").read_text().split()
        os.kill(int(qemu), signal.SIGKILL)
        assert person.ends() == 125 and person.has_the_terminal_back
    with at_a_terminal(shell) as person:
        person.waits_until_raw()
        person.run.send_signal(signal.SIGTERM)
        time.sleep(0.2)
        assert person.run.poll() is None
        person.run.send_signal(signal.SIGINT)
        assert person.ends() == 130 and person.has_the_terminal_back
    with at_a_terminal(shell, "--timeout", "0.2") as person:
        assert person.ends() == 124 and person.has_the_terminal_back


def test_a_hang_up_ends_the_shell(shell: Path) -> None:
    with at_a_terminal(shell, "-e", "PS1") as person:
        person.sees(PROMPT)
        # not at its prompt: there bash forgets a signal that comes before it waits for a key
        person.type(b"exec cat\r")
        person.sees(b"exec cat\r\n")
        person.run.send_signal(signal.SIGHUP)
        assert person.ends() == 129 and person.has_the_terminal_back


STOPPABLE = r"""
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t continued;

static void on_continue(int sig)
{
	continued += sig > 0;
}

/* With a child in its process group, which is to stop and to go on as it does. */
int main(void)
{
	struct sigaction action = { .sa_handler = on_continue };	/* a read ends by it */
	char line[64];
	int seen = 0, status;
	pid_t child = fork();

	if (child == 0)
		for (;;)
			pause();
	sigaction(SIGCONT, &action, NULL);
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (continued != seen) {
			seen = continued;
			puts("continued");
			fflush(stdout);
			if (waitpid(child, &status, WUNTRACED | WNOHANG) == child)
				puts("child still stopped");
		}
		if (fgets(line, sizeof(line), stdin)) {
			printf("read %s", line);
			fflush(stdout);
			if (!strcmp(line, "end\n"))
				return 5;
		}
		clearerr(stdin);
	}
}
"""


def test_ctrl_z_and_nobody_who_would_continue(build_image: Build) -> None:
    """`ukcc run` leads the session: a process would not be stopped at all."""
    image = build_image(STOPPABLE, name="stoppable")
    with in_front_of([str(BIN / "ukcc"), "run", str(image)]) as person:
        person.sees(b"ready\r\n")
        person.type(b"\x1a")
        person.sees(b"continued\r\n")
        person.type(b"end\r")
        person.sees(b"read end\r\n")
        assert person.ends() == 5 and person.has_the_terminal_back


def test_ctrl_z_gives_the_shell_its_terminal(build_image: Build) -> None:
    image = build_image(STOPPABLE, name="stoppable")
    with in_front_of(["/bin/bash", "--norc", "--noprofile", "-i"]) as person:
        person.sees(PROMPT)
        person.type(f"{BIN / 'ukcc'} run {image}\r".encode())
        person.sees(b"ready\r\n")
        person.type(b"\x1a")
        person.sees(b"Stopped")
        person.sees(PROMPT)
        assert b"42\r\n" in person.does(b"echo $((6 * 7))")
        person.type(b"fg\r")
        person.sees(b"continued\r\n")
        person.type(b"one\r")
        person.sees(b"read one\r\n")

        # in the background it runs on, and leaves the keyboard to the shell
        person.type(b"\x1a")
        person.sees(b"Stopped")
        person.sees(PROMPT)
        person.type(b"bg\r")
        person.sees(b"continued\r")
        person.type(b"\r")
        person.sees(PROMPT)
        assert b"54\r\n" in person.does(b"echo $((6 * 9))")
        person.type(b"fg\r")
        person.sees(b"fg\r\n")
        person.sees(image.name.encode())
        person.waits_until_raw()
        person.type(b"end\r")
        person.sees(b"read end\r\n")
        person.sees(PROMPT)
        assert b"5\r\n" in person.does(b"echo $?")


def test_a_machine_that_was_stopped_can_be_ended(build_image: Build) -> None:
    image = build_image(STOPPABLE, name="stoppable")
    with in_front_of(["/bin/bash", "--norc", "--noprofile", "-i"]) as person:
        person.sees(PROMPT)
        name = f"stopped-{os.getpid()}"
        person.type(f"{BIN / 'ukcc'} run --name {name} {image}\r".encode())
        person.sees(b"ready\r\n")
        person.type(b"\x1a")
        person.sees(b"Stopped")
        person.sees(PROMPT)
        assert b"Exit 143 " in person.does(f"{BIN / 'ukcc'} stop -t 60 {name}".encode())
