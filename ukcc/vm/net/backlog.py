"""Longer queues for forwarded ports.

QEMU's user mode network listens with a queue of one connection (`listen(s, 1)` in libslirp's
socket.c). When fifty clients connect at once, all but two are turned away half connected, and the
host's TCP takes up to minutes to try again. A second listen() on a socket sets a new length, so we
take a copy of QEMU's socket, as pidfd_getfd(2) allows a parent to do, and call it.
"""

import contextlib
import ctypes
import os
import socket
import time
from collections.abc import Collection, Iterator
from pathlib import Path

_SYS_PIDFD_GETFD = 438  # asm-generic/unistd.h; the same on every architecture
_LENGTH = 1024  # the kernel cuts it to net.core.somaxconn
_PATIENCE = 10.0  # seconds until QEMU listens; it does so before the guest starts
_LIBC = ctypes.CDLL(None, use_errno=True)

Endpoint = tuple[str, int]


def lengthen(pid: int, endpoints: Collection[Endpoint]) -> None:
    """Sets the queues of the process's sockets that listen on (address, port) of `endpoints`.

    Where the host forbids it (seccomp, Yama), the queues stay short: slower, not wrong.
    """
    missing = set(endpoints)
    end = time.monotonic() + _PATIENCE
    with contextlib.suppress(OSError):
        pidfd = os.pidfd_open(pid)
        try:
            while missing and time.monotonic() < end:
                for listener in _listeners(pid, pidfd):
                    with listener:
                        if listener.getsockname() in missing:
                            listener.listen(_LENGTH)
                            missing.discard(listener.getsockname())
                time.sleep(0.02)
        finally:
            os.close(pidfd)


def _listeners(pid: int, pidfd: int) -> Iterator[socket.socket]:
    """Copies of the process's IPv4 sockets that listen."""
    for entry in sorted(Path(f"/proc/{pid}/fd").iterdir()):
        if not _target(entry).startswith("socket:"):
            continue
        fd = _LIBC.syscall(_SYS_PIDFD_GETFD, pidfd, int(entry.name), 0)
        if fd < 0:
            raise OSError(ctypes.get_errno(), "pidfd_getfd")
        copy = socket.socket(fileno=fd)
        if copy.family == socket.AF_INET and copy.getsockopt(
            socket.SOL_SOCKET, socket.SO_ACCEPTCONN
        ):
            yield copy
        else:
            copy.close()


def _target(entry: Path) -> str:
    """What a descriptor is; nothing when it was closed meanwhile."""
    try:
        return str(entry.readlink())
    except OSError:
        return ""
