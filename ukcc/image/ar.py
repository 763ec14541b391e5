"""ar(5) archives on the link path: which names their index has.

`ukcc/image/archives.py` finds the member behind a name, for `ukcc inspect`.
"""

from __future__ import annotations

import os
import struct

from ukcc.errors import UkccError

_MAGIC = b"!<arch>\n"
_HEADER = 60
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
    """The names in an archive's index; None if it has none, or is damaged.

    The index is the first member, `/` (or `/SYM64/` with 8 bytes for 4): a count and as many
    offsets, big-endian, then the names, each ended by a NUL.
    """
    header = data[len(_MAGIC) : len(_MAGIC) + _HEADER]
    if not data.startswith(_MAGIC) or len(header) < _HEADER:
        return None
    width = {b"/": 4, b"/SYM64/": 8}.get(header[:16].rstrip())
    digits = header[_SIZE].strip()
    if width is None or not digits.isdigit():
        return None
    start = len(_MAGIC) + _HEADER
    index = data[start : start + int(digits)]
    if len(index) < int(digits) or len(index) < width:
        return None
    (count,) = struct.unpack_from(">I" if width == 4 else ">Q", index)
    names = index[width * (count + 1) :].split(b"\0")
    return frozenset(names[:count]) if len(names) >= count else None
