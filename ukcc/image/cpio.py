"""A newc cpio archive, as the kernel unpacks it into its root file system.

Format: cpio(5) "New ASCII Format" and the kernel's Documentation/driver-api/early-userspace/
buffer-format.rst. Times and inode numbers are fixed, so the same files give the same bytes.
"""

from __future__ import annotations

import os
import stat

from ukcc.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

_TRAILER = "TRAILER!!!"


class Entry(Record):
    """One member: `path` without a leading slash, `mode` with its type bits, `data` as stored.

    A directory has no data; a symbolic link's data is its target. uid, gid: the owner.
    """

    path: str
    mode: int
    data: bytes = b""
    uid: int = 0
    gid: int = 0


def regular(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(path.lstrip("/"), stat.S_IFREG | permissions, data)


def with_parents(entries: Iterable[Entry], known: Mapping[str, Entry] = {}) -> list[Entry]:
    """The entries, each directory they need put before its first use.

    The kernel does not create a missing parent: it drops the file. known: directories by path that
    are as they are there; others are root's, 0755.
    """
    seen: set[str] = set()
    result = []
    for entry in entries:
        parts = entry.path.split("/")
        for depth in range(1, len(parts)):
            parent = "/".join(parts[:depth])
            if parent not in seen:
                seen.add(parent)
                result.append(known.get(parent) or Entry(parent, stat.S_IFDIR | 0o755))
        if entry.path not in seen or not stat.S_ISDIR(entry.mode):
            result.append(entry)
        seen.add(entry.path)
    return result


def modification_time() -> int:
    """`SOURCE_DATE_EPOCH` (seconds; reproducible-builds.org), else 0: never the clock."""
    text = os.environ.get("SOURCE_DATE_EPOCH", "0")
    return int(text) & 0xFFFFFFFF if text.isdigit() else 0


def archive(entries: Iterable[Entry], mtime: int = 0) -> bytes:
    """The archive's bytes, ended by its trailer and padded to 4 bytes."""
    out: list[bytes] = []
    inode = 0
    for inode, entry in enumerate(entries, start=1):
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        out += _member(entry, inode, links, mtime)
    out += _member(Entry(_TRAILER, 0), inode + 1, 1, 0)
    return b"".join(out)


def _member(entry: Entry, inode: int, links: int, mtime: int) -> tuple[bytes, ...]:
    """Header, name and data, name and data each padded so that what follows is 4-byte aligned."""
    name = entry.path.encode("utf-8", "surrogateescape") + b"\0"
    data, owner = entry.data, (entry.uid, entry.gid)
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, entry.mode, *owner, links, mtime, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return header, name, b"\0" * (-(len(header) + len(name)) % 4), data, b"\0" * (-len(data) % 4)


def members(data: bytes) -> Iterator[Entry]:
    """The members of an archive that `archive` wrote; a damaged one ends early."""
    at = 0
    while data[at : at + 6] == b"070701":
        try:
            fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        except ValueError:
            return
        mode, size, name_size = fields[1], fields[6], fields[11]
        start = at + 110 + name_size
        start += -start % 4
        path = data[at + 110 : at + 110 + name_size - 1].decode("utf-8", "surrogateescape")
        if path == _TRAILER:
            return
        yield Entry(path, mode, data[start : start + size], fields[2], fields[3])
        at = start + size + -size % 4
