"""Who has a port of the host: for the line that says that it is taken."""

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

_LISTENING = "0A"  # include/net/tcp_states.h, TCP_LISTEN


def port_owner(port: int, kind: int) -> str:
    """`NAME (process N)` of a process that has the port, or empty where we may not see it.

    kind: SOCK_STREAM or SOCK_DGRAM.
    """
    sockets = {f"socket:[{inode}]" for inode in _inodes(port, kind)}
    if not sockets:
        return ""
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and not sockets.isdisjoint(_open_files(entry)):
            with contextlib.suppress(OSError):
                return f"{(entry / 'comm').read_text().strip()} (process {entry.name})"
    return ""


def _inodes(port: int, kind: int) -> Iterator[str]:
    """Of /proc/net/tcp and the like: the second word is ADDRESS:PORT, the tenth the inode."""
    protocol = "udp" if kind == socket.SOCK_DGRAM else "tcp"
    for name in (protocol, f"{protocol}6"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]:
                words = line.split()
                bound = int(words[1].rpartition(":")[2], 16)
                if bound == port and (protocol == "udp" or words[3] == _LISTENING):
                    yield words[9]


def _open_files(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield str(entry.readlink())
