"""How a wrapper asks the keeper for the guest: one line of words each way, over a Unix socket.

- `guest` is answered by `guest PORT NUMBER`, or by `none REASON`;
- `lost NUMBER WHY` is answered by `reason REASON`.

Standard library only: the wrapper starts once a test.
"""

import socket
from dataclasses import dataclass

SOCKET = "UKCC_CONFORMANCE_SOCKET"
LIMIT = "UKCC_CONFORMANCE_LIMIT"

_PATIENCE = 300.0  # seconds: a boot beside much other work, and those who wait for it


class NoGuest(Exception):
    """The keeper has no guest, and cannot get one."""


@dataclass(frozen=True)
class Guest:
    """A running guest. port: on loopback, leads to the agent; number: of this boot, from 1."""

    port: int
    number: int


def ask(path: str) -> Guest:
    """The guest that runs, booted if there is none. Raises NoGuest."""
    try:
        word, _, rest = _exchange(path, "guest").partition(" ")
    except OSError as error:
        raise NoGuest(f"{path}: {error}") from None
    if word != "guest":
        raise NoGuest(rest or "the keeper has ended")
    port, number = rest.split()
    return Guest(int(port), int(number))


def lost(path: str, guest: Guest, why: str) -> str:
    """Tells the keeper that a guest does not answer; why it died, as far as is known."""
    try:
        answer = _exchange(path, f"lost {guest.number} {why}")
    except OSError as error:
        return f"{why} ({error})"
    return answer.partition(" ")[2]


def _exchange(path: str, line: str) -> str:
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_PATIENCE)
        connection.connect(path)
        connection.sendall(line.replace("\n", " ").encode() + b"\n")
        with connection.makefile() as answers:
            return answers.readline().rstrip("\n")
