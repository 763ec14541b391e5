"""ar(5) archives: member headers and the index, which names each member defines.

Part of a link: standard library only. `ukcc/image/archives.py` finds the member behind a function,
for `ukcc inspect`.
"""

from __future__ import annotations

import os
import struct

from ukcc.errors import UkccError

MAGIC = b"!<arch>\n"
HEADER = 60

# The index is a member of one of these names: its numbers have so many bytes.
INDEX_WIDTHS = {b"/": 4, b"/SYM64/": 8}

_SIZE = slice(48, 58)
_LIMIT = 64 << 20  # bytes; looking through more would be felt at every link


def read_index(path: str) -> frozenset[bytes] | None:
    """The global names that an archive's members define, by its index.

    None for what is not an archive with an index of its own (thin, not indexed, huge).

    Raises UkccError if it cannot be read.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    try:
        size = os.fstat(fd).st_size
        data = os.pread(fd, size, 0) if size <= _LIMIT else b""
    finally:
        os.close(fd)
    return index_names(data)


def index_names(data: bytes) -> frozenset[bytes] | None:
    """The names in an archive's index, its first member; None if it has none, or is damaged."""
    start = len(MAGIC) + HEADER
    found = member_header(data[len(MAGIC) : start])
    if not data.startswith(MAGIC) or found is None:
        return None
    name, size = found
    width = INDEX_WIDTHS.get(name)
    table = data[start : start + size]
    symbols = parse_index(table, width) if width and len(table) == size else None
    return None if symbols is None else frozenset(symbols[0])


def member_header(header: bytes) -> tuple[bytes, int] | None:
    """A member's name field, without its padding, and the member's size in bytes; or None."""
    digits = header[_SIZE].strip()
    if len(header) < HEADER or not digits.isdigit():
        return None
    return header[:16].rstrip(), int(digits)


def parse_index(table: bytes, width: int) -> tuple[list[bytes], tuple[int, ...]] | None:
    """The names in an index, and of each the offset of its member's header; None if damaged.

    table: a count and as many offsets, big-endian, `width` bytes each, then the names, each ended
    by a NUL.
    """
    if len(table) < width:
        return None
    count = int.from_bytes(table[:width], "big")
    if len(table) < width * (count + 1):
        return None
    names = table[width * (count + 1) :].split(b"\0", count)
    if len(names) <= count:
        return None
    return names[:count], struct.unpack_from(f">{count}{'I' if width == 4 else 'Q'}", table, width)
