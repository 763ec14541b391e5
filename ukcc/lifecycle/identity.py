"""A process, told from a later one that has got its number."""

import contextlib
import os
import select
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_START_FIELD = 22  # of /proc/PID/stat, counted from 1: proc(5)
_NAME_FIELD = 2  # which ends with the last `)`


@dataclass(frozen=True)
class Identity:
    """pid; start: when it was started, in clock ticks since the host's; boot: that start's id."""

    pid: int
    start: int
    boot: str


def own_identity() -> Identity:
    """This process's."""
    return Identity(os.getpid(), _start_time(os.getpid()), _boot_id())


@contextlib.contextmanager
def open_process(identity: Identity) -> Iterator["int | None"]:
    """A pidfd of the process, or None when it has ended.

    The start time is read while the descriptor holds the number, so it cannot be another's.
    """
    fd = None
    with contextlib.suppress(OSError):
        fd = os.pidfd_open(identity.pid)
    try:
        alive = fd is not None and not has_ended(fd, 0) and _is_it(identity)
        yield fd if alive else None
    finally:
        if fd is not None:
            os.close(fd)


def is_alive(identity: Identity) -> bool:
    """Whether it is still there."""
    with open_process(identity) as fd:
        return fd is not None


def has_ended(pidfd: int, seconds: "float | None") -> bool:
    """Whether the process ends within so many seconds; None waits as long as it takes."""
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    return bool(poll.poll(None if seconds is None else max(0.0, seconds) * 1000))


def _is_it(identity: Identity) -> bool:
    try:
        return identity.start == _start_time(identity.pid) and identity.boot == _boot_id()
    except OSError:
        return False


def _start_time(pid: int) -> int:
    text = Path(f"/proc/{pid}/stat").read_text()
    return int(text.rpartition(")")[2].split()[_START_FIELD - _NAME_FIELD - 1])


def _boot_id() -> str:
    return _BOOT_ID.read_text().strip()
