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
from conftest import BIN, DEADLINE, FACTOR

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


@contextlib.contextmanager
def at_a_terminal(image: Path, *options: str) -> Iterator[Person]:
    argv = [str(BIN / "ukcc"), "run", "--accel", "tcg", *options, str(image)]
    ours, theirs = os.openpty()
    try:
        person = Person([*argv, "--norc", "--noprofile"], ours, theirs)
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
