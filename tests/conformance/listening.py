"""The keeper's end of keeping.py: answers those who ask for the guest."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from conformance.keeping import Guest, NoGuest


class Keeper(Protocol):
    """Who knows the guest; called from several threads."""

    def guest(self) -> Guest:
        """The guest that runs, or a fresh one. Raises NoGuest."""

    def lost(self, number: int, why: str) -> str:
        """A wrapper got no answer from that guest. Returns why it died."""


@contextlib.contextmanager
def answering(keeper: Keeper, path: Path) -> Iterator[None]:
    """Answers for the keeper at that path while the context lasts."""
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)
        threading.Thread(target=_accept, args=(listener, keeper), daemon=True).start()
        try:
            yield
        finally:
            path.unlink()
            listener.shutdown(socket.SHUT_RDWR)  # close() alone does not wake accept()


def _accept(listener: socket.socket, keeper: Keeper) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return  # the context has ended
        threading.Thread(target=_answer, args=(connection, keeper), daemon=True).start()


def _answer(connection: socket.socket, keeper: Keeper) -> None:
    with connection, connection.makefile() as lines, contextlib.suppress(OSError):
        connection.sendall(_reply(keeper, lines.readline()).encode() + b"\n")


def _reply(keeper: Keeper, line: str) -> str:
    words = line.rstrip("\n").split(" ", 2)
    if words[0] == "lost" and len(words) == 3:
        return f"reason {keeper.lost(int(words[1]), words[2])}"
    try:
        guest = keeper.guest()
    except NoGuest as error:
        return f"none {error}"
    return f"guest {guest.port} {guest.number}"
