"""The socket in a machine's directory: who owns the directory may ask for two things.

A line goes in, `signal N` or `end`, and a line comes out, `ok` or `no` with the reason.
"""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

_SOCKET = "control"
DEAF = "no: the machine does not listen"

_LONGEST = 64  # bytes of a line
_PATIENCE = 10.0  # seconds for a question, and until a machine that has just begun listens
_PAUSE = 0.02


class Controlled(Protocol):
    """A machine that runs, whichever VMM has it."""

    def signal(self, signum: int) -> bool:
        """A signal to the application. False where there is no way to the guest."""

    def end(self) -> None:
        """Ends the machine at once."""


@contextlib.contextmanager
def serve(directory: Path, running: Controlled) -> Iterator[None]:
    """Answers as long as the context lasts, in a thread of its own."""
    with _place(directory) as place, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(place)
        listener.listen(8)
        threading.Thread(target=_answer_all, args=(listener, running), daemon=True).start()
        try:
            yield
        finally:
            # wakes the thread, which close() would not
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            (directory / _SOCKET).unlink(missing_ok=True)


def ask(directory: Path, line: str, alive: Callable[[], bool]) -> str:
    """The answer; waits for a machine that does not listen yet.

    Raises OSError when the machine has ended, or `alive` says that it has.
    """
    end = time.monotonic() + _PATIENCE
    with _place(directory) as place:
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as client:
                    client.settimeout(_PATIENCE)
                    client.connect(place)
                    client.sendall(line.encode() + b"\n")
                    return client.recv(_LONGEST).decode(errors="replace").strip()
            except (FileNotFoundError, ConnectionRefusedError):
                if not alive() or time.monotonic() > end:
                    raise
            time.sleep(_PAUSE)


@contextlib.contextmanager
def _place(directory: Path) -> Iterator[str]:
    """A name of the socket that is short whatever the directory's is: sun_path has 108 bytes."""
    fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{fd}/{_SOCKET}"
    finally:
        os.close(fd)


def _answer_all(listener: socket.socket, running: Controlled) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client, contextlib.suppress(OSError):
            client.settimeout(_PATIENCE)
            client.sendall(answer(client.recv(_LONGEST), running).encode() + b"\n")


def answer(line: bytes, running: Controlled) -> str:
    """Does what a line asks for."""
    words = line.split()
    if words == [b"end"]:
        running.end()
        return "ok"
    if len(words) == 2 and words[0] == b"signal" and words[1].isdigit():
        return "ok" if running.signal(int(words[1])) else DEAF
    return "no: not understood"
