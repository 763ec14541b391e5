"""The file that holds a guest's memory: sparse, for a guest touches little of what it has."""

import ctypes
import errno
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

_PAGE = 4096
_CHUNK = 1 << 20  # bytes
_ZEROS = bytes(_PAGE)
_PUNCH_HOLE_KEEP_SIZE = 0x02 | 0x01  # linux/falloc.h
_LIBC = ctypes.CDLL(None, use_errno=True)


def make_sparse(path: Path) -> None:
    """Makes holes of the pages that hold zeros. Where a file system has no holes, nothing."""
    with path.open("r+b") as file:
        for start, data in _data(file.fileno()):
            for at, length in _zero_runs(data):
                if not _punch(file.fileno(), start + at, length):
                    return


def checksum(path: Path) -> str:
    """CRC-32 of each stretch that holds data, with its place: holes need not be read.

    Pages of zeros do not count, so that a copy whose holes were filled is the same.
    """
    crc = 0
    with path.open("rb") as file:
        for start, data in _data(file.fileno()):
            for at in range(0, len(data), _PAGE):
                page = data[at : at + _PAGE]
                if page != _ZEROS:
                    crc = zlib.crc32(page, zlib.crc32((start + at).to_bytes(8, "little"), crc))
    return f"crc32 {crc:08x}"


def bytes_held(path: Path) -> int:
    """What the file takes on its disk, in bytes."""
    return path.stat().st_blocks * 512


def _data(fd: int) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of what is no hole; offsets are multiples of a page."""
    at, size = 0, os.fstat(fd).st_size
    while at < size:
        try:
            at = os.lseek(fd, at, os.SEEK_DATA) & -_PAGE
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole is left
                return
            raise
        end = os.lseek(fd, at, os.SEEK_HOLE)
        while at < end:
            data = os.pread(fd, min(_CHUNK, end - at), at)
            if not data:
                return
            yield at, data
            at += len(data)


def _zero_runs(data: bytes) -> Iterator[tuple[int, int]]:
    """(offset, length) of neighbouring pages of zeros."""
    start = None
    for at in range(0, len(data), _PAGE):
        if data[at : at + _PAGE] == _ZEROS:
            start = at if start is None else start
        elif start is not None:
            yield start, at - start
            start = None
    if start is not None:
        yield start, len(data) // _PAGE * _PAGE - start


def _punch(fd: int, at: int, length: int) -> bool:
    long = ctypes.c_long
    return not _LIBC.fallocate(fd, _PUNCH_HOLE_KEEP_SIZE, long(at), long(length))
