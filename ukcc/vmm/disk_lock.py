"""A disk for one machine: Firecracker locks nothing, and two that write would break it.

By the bytes that QEMU locks in its files (block/file-posix.c), so that each heeds the other: a
shared lock of byte 100 + n says "I use right n", of 200 + n "nobody else may have right n".
"""

import fcntl
import os
import struct
from collections.abc import Sequence

from ukcc.errors import MachineError
from ukcc.vm.storage.disks import Disk

_USED, _FORBIDDEN = 100, 200
_READ, _WRITE = 0, 1  # QEMU's BLK_PERM_CONSISTENT_READ and _WRITE, as bit numbers
_FLOCK = "hhqqi4x"  # struct flock of x86-64: type, whence, start, length, process


def lock_disks(disks: Sequence[Disk]) -> None:
    """For as long as the disks' descriptors are open. Raises MachineError where another has one."""
    for disk in disks:
        (layer, *_) = disk.chain
        if layer.fd is None or layer.device:
            continue
        if not _lock(layer.fd, not disk.readonly):
            raise MachineError(
                f"--disk {disk.file}: another machine has it",
                "end that one first, or copy the file",
            )


def _lock(fd: int, writable: bool) -> bool:
    """Whether it could be had; then it is."""
    held = [_USED + _READ, _FORBIDDEN + _WRITE, *([_USED + _WRITE] if writable else [])]
    try:
        for byte in held:
            _ask(fd, fcntl.F_OFD_SETLK, fcntl.F_RDLCK, byte)
        barring = [_USED + _WRITE, _FORBIDDEN + _READ, *([_FORBIDDEN + _WRITE] if writable else [])]
        found = [_ask(fd, fcntl.F_OFD_GETLK, fcntl.F_WRLCK, byte) for byte in barring]
    except OSError:
        return True  # a file system without locks
    return all(kind == fcntl.F_UNLCK for kind in found)


def _ask(fd: int, command: int, kind: int, byte: int) -> int:
    lock = struct.pack(_FLOCK, kind, os.SEEK_SET, byte, 1, 0)
    answer = fcntl.fcntl(fd, command, lock)
    found, *_ = struct.unpack(_FLOCK, answer)
    return int(found)
