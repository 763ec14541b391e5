"""How who starts a machine in the background hears whether it runs.

QEMU is asked by its monitor: it answers when the machine has been made, its ports are bound and its
CPUs run. Before that, an end of the monitor's socket means that the start has failed, and the
supervisor says why on a pipe.
"""

import json
import os
import socket
from dataclasses import dataclass

from ukcc.errors import MachineError, UkccError
from ukcc.tables import plain, record

_CHUNK = 4096
_PATIENCE = 60.0  # seconds until QEMU answers


@dataclass(frozen=True)
class Failure:
    """Why a machine did not start; as of an UkccError."""

    message: str
    hint: str
    status: int

    @classmethod
    def of(cls, error: UkccError) -> "Failure":
        return cls(error.message, error.hint, error.status)


def wait_until_running(channel: socket.socket) -> bool:
    """Whether the machine at the other end of this monitor runs; False when it ended first.

    Raises MachineError when QEMU says nothing for too long.
    """
    # not for the supervisor, which would keep them in memory
    import asyncio

    from ukcc.qmp import BROKEN, conversation

    async def ask() -> None:
        async with conversation(channel) as client:
            await client.execute("query-status")

    try:
        asyncio.run(asyncio.wait_for(ask(), _PATIENCE))
    except asyncio.TimeoutError:
        raise MachineError(f"QEMU did not answer for {_PATIENCE:g} s; it was ended") from None
    except BROKEN:
        return False
    return True


def tell(pipe: int, failure: "Failure | None") -> bool:
    """The supervisor's last words. False when nobody is there any more to hear them."""
    try:
        os.write(pipe, json.dumps(plain(failure)).encode())
    except OSError:
        return False
    return True


def hear(pipe: int) -> "Failure | None":
    """What the supervisor said before it ended; None when the machine ended in order."""
    data = b"".join(iter(lambda: os.read(pipe, _CHUNK), b""))
    if not data:
        return Failure("the supervisor ended without a word", "", MachineError.status)
    table = json.loads(data)
    return None if table is None else record(Failure, table)
