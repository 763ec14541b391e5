"""Conversations with QEMU's monitor (QMP) over a socket whose other end QEMU has.

Loads asyncio: to be imported where there is something to ask.
"""

import contextlib
import socket
from collections.abc import AsyncIterator

from qemu.qmp import QMPClient, QMPError

# How a conversation ends when QEMU has ended, or does not take a command.
BROKEN = (QMPError, OSError, EOFError)


@contextlib.asynccontextmanager
async def conversation(channel: socket.socket) -> AsyncIterator[QMPClient]:
    """The client takes commands while the context lasts; the socket is closed then.

    Raises what is in BROKEN.
    """
    client = QMPClient("ukcc")
    await client.connect(channel)
    try:
        yield client
    finally:
        with contextlib.suppress(*BROKEN):
            await client.disconnect()
