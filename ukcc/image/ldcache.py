"""/etc/ld.so.cache: which file answers to a library's name, as ldconfig(8) has found it.

A pure function over the file's bytes. Format: glibc's sysdeps/generic/dl-cache.h: the new one, and
the old one (up to glibc 2.31) with the new one behind it. Part of the link of a dynamic program:
standard library only.
"""

from __future__ import annotations

import os
import struct

from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

PATH = "/etc/ld.so.cache"

# A full desktop's has four thousand entries in 400 KiB.
LARGEST = 8 << 20

_OLD = b"ld.so-1.7.0"
_NEW = b"glibc-ld.so.cache1.1"
_OLD_HEADER = struct.Struct("<11sxI")  # magic, number of entries
_OLD_ENTRY = 12
_NEW_HEADER = struct.Struct("<20sIIB3xI12x")  # magic, entries, length of strings, flags, extensions
_NEW_ENTRY = struct.Struct("<iIIIQ")  # flags, key, value, (unused), hwcap
_ALIGNMENT = 8

_X86_64_LIBC6 = 0x303  # _DL_CACHE_DEFAULT_ID of x86-64
_LITTLE_ENDIAN = (0, 2)  # "not said", "little"
_NAME_MAX, _PATH_MAX = 255, 4096


class LoaderCache(Record):
    """The file's bytes, and where the path of each library's name begins in them."""

    data: bytes
    paths: Mapping[bytes, int]

    def find(self, name: str) -> str:
        """The path of the library, or "" if the cache does not know it."""
        at = self.paths.get(os.fsencode(name), -1)
        return os.fsdecode(_string(self.data, at, _PATH_MAX)) if at >= 0 else ""


def parse_cache(data: bytes) -> LoaderCache:
    """The libraries for x86-64, of two with one name the first.

    Entries for certain processors are left out: the machine's may be another one. Nothing of what
    is not such a file; entries that point outside it are passed over.
    """
    start = _start(data)
    if start < 0:
        return LoaderCache(b"", {})
    _, count, _, flags, _ = _NEW_HEADER.unpack_from(data, start)
    first = start + _NEW_HEADER.size
    if flags & 3 not in _LITTLE_ENDIAN or count > (len(data) - first) // _NEW_ENTRY.size:
        return LoaderCache(b"", {})
    found: dict[bytes, int] = {}
    entries = data[first : first + count * _NEW_ENTRY.size]
    for kind, key, value, _, hwcap in _NEW_ENTRY.iter_unpack(entries):
        if kind == _X86_64_LIBC6 and not hwcap:
            found.setdefault(_string(data, start + key, _NAME_MAX), start + value)
    found.pop(b"", None)
    return LoaderCache(data, found)


def _start(data: bytes) -> int:
    """Where the new format begins, or -1."""
    at = 0
    if data.startswith(_OLD) and len(data) >= _OLD_HEADER.size:
        _, count = _OLD_HEADER.unpack_from(data)
        at = _OLD_HEADER.size + count * _OLD_ENTRY
        at += -at % _ALIGNMENT
    if not data.startswith(_NEW, at) or len(data) - at < _NEW_HEADER.size:
        return -1
    return at


def _string(data: bytes, at: int, longest: int) -> bytes:
    """A NUL-ended string, or b"" if it does not end within its length."""
    end = data.find(b"\0", at, at + longest + 1)
    return data[at:end] if end > at else b""
