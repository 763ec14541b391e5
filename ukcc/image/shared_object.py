"""One file that a program loads, opened once: what it is, what it needs, and its bytes.

The name may come from a stranger's program, so nothing but a shared library for this machine is
read any further, and nothing but a regular file is opened. Part of the link of a dynamic program:
standard library only.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH116
import os
import stat

from ukcc.errors import UkccError
from ukcc.image.debug import stripped
from ukcc.image.headers import ET_DYN, parse_headers, reader
from ukcc.image.loader_tags import LoaderTags, read_loader_tags
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ukcc.image.headers import Read

# EI_CLASS, EI_DATA, EI_VERSION of x86-64; e_machine at 18.
_IDENT = b"\x7fELF\x02\x01\x01"
_START = 20
_X86_64 = b"\x3e\x00"

_SMALL = 4 << 20

# Opening a device may do something; a FIFO would wait for its writer.
_FLAGS = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY


class SharedObject(Record):
    """path: absolute, as it was found; identity: device and inode, by which a loader knows a file
    that it has already; data: the file without debug information."""

    path: str
    identity: tuple[int, int]
    dynamic: LoaderTags
    data: bytes


def open_shared(path: str) -> SharedObject | None:
    """The shared library at an absolute path; None where there is none, or one for another machine.

    Those are what a loader passes over. Raises UkccError for any other file, as the loader stops.
    """
    fd = _open(path)
    if fd < 0:
        return None
    try:
        status = os.fstat(fd)
        if not stat.S_ISREG(status.st_mode):
            raise UkccError(f"{path}: not a regular file")
        if _is_for_another_machine(os.pread(fd, _START, 0)):
            return None
        read = _reader(fd, status.st_size)
        headers = parse_headers(read, status.st_size, path)
        if headers.ehdr.type != ET_DYN:
            raise UkccError(f"{path}: not a shared library")
        dynamic = read_loader_tags(read, headers, path)
        if dynamic.is_program:
            raise UkccError(f"{path}: a program, not a shared library")
        return SharedObject(
            path, (status.st_dev, status.st_ino), dynamic, stripped(read, headers, path)
        )
    finally:
        os.close(fd)


def soname_of(path: str) -> str:
    """The name by which programs ask for a shared library; "" for what is none, or is damaged.

    Without a soname it is the file's own name.
    """
    try:
        fd = _open(path)
    except UkccError:
        return ""  # a pipe, for one
    if fd < 0:
        return ""
    try:
        read = reader(fd)
        headers = parse_headers(read, os.fstat(fd).st_size, path)
        if headers.ehdr.type != ET_DYN:
            return ""
        return read_loader_tags(read, headers, path).soname or path.rpartition("/")[2]
    except UkccError:
        return ""  # a linker script, for one
    finally:
        os.close(fd)


def _open(path: str) -> int:
    """A descriptor of a regular file, or -1 where there is nothing that we may read."""
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise UkccError(f"{path}: not a regular file")
        return os.open(path, _FLAGS)
    except OSError:
        return -1


def _reader(fd: int, size: int) -> Read:
    """The file's bytes: of a small one all at once, of others (debug information) as asked for."""
    if size > _SMALL:
        return reader(fd)
    data = os.pread(fd, size, 0)
    return lambda offset, count: data[offset : offset + count]


def _is_for_another_machine(start: bytes) -> bool:
    """Whether it is an ELF file of another class or machine (glibc: open_verify)."""
    if start[:4] != _IDENT[:4] or len(start) < _START:
        return False
    return start[4:5] != _IDENT[4:5] or (start[:7] == _IDENT and start[18:20] != _X86_64)
