"""Files of a shared directory, by paths that the guest has named: never outside, never a link.

The guest writes in the directory while we look, so a path is not checked and then opened: each
part is opened in the one before it, and a link is none (what openat2(2) calls RESOLVE_BENEATH and
RESOLVE_NO_SYMLINKS, for kernels of any age). The guest's kernel names files without links, so
nothing is lost.
"""

import os
import stat
from collections.abc import Iterable
from pathlib import PurePosixPath

# A larger program is not read: bytes.
_LARGEST = 1 << 30

_DIRECTORY = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
# a FIFO would not open until somebody writes
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


def below(path: str, directory: str) -> "tuple[str, ...] | None":
    """The parts of an absolute path of the guest below its directory; None if it is not below."""
    parts, above = PurePosixPath(path).parts, PurePosixPath(directory).parts
    rest = parts[len(above) :]
    if parts[: len(above)] != above or not rest or ".." in rest or "\0" in path:
        return None
    return rest


def open_below(directory: str, parts: Iterable[str]) -> "int | None":
    """A descriptor of the regular file, for reading; None if there is none.

    directory: the host's, which may be a link; parts: names, none of them `..`.
    """
    *directories, name = parts
    try:
        at = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            for part in directories:
                inner = os.open(part, _DIRECTORY, dir_fd=at)
                os.close(at)
                at = inner
            # what is no file is not opened: to open a device can be to use it
            if not _is_file(os.stat(name, dir_fd=at, follow_symlinks=False)):
                return None
            fd = os.open(name, _FILE, dir_fd=at)
        finally:
            os.close(at)
    except OSError:
        return None
    if not _is_file(os.fstat(fd)):
        os.close(fd)
        return None
    return fd


def _is_file(status: os.stat_result) -> bool:
    return stat.S_ISREG(status.st_mode) and status.st_size <= _LARGEST
