"""A newc cpio archive, as the kernel unpacks it into its root file system.

Format: cpio(5) "New ASCII Format" and the kernel's Documentation/driver-api/early-userspace/
buffer-format.rst. Times and inode numbers are fixed, so the same files give the same bytes.
"""

from __future__ import annotations

import os
import stat
import struct

from ukcc.errors import UkccError
from ukcc.image.headers import PAGE
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from ukcc.image.headers import Read

_TRAILER = "TRAILER!!!"

_HEADER = 110  # the magic, and 13 numbers of 8 hexadecimal digits
_NUMBERS = struct.Struct(">13I")
_NAME_SIZE = 94  # where in the header the length of the name is
_LARGEST = 0xFFFFFFFF  # what such a number can say
_LONGEST_NAME = 4096  # PATH_MAX; the kernel passes over a longer one (init/initramfs.c)
_MOST_MEMBERS = 1 << 20


class Entry(Record):
    """One member: `path` without a leading slash, `mode` with its type bits, `data` as stored.

    A directory has no data; a symbolic link's data is its target. uid, gid: the owner.
    """

    path: str
    mode: int
    data: bytes = b""
    uid: int = 0
    gid: int = 0

    @property
    def size(self) -> int:
        """Of the data, in bytes."""
        return len(self.data)


def regular(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    """A regular file."""
    return Entry(path.lstrip("/"), stat.S_IFREG | permissions, data)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(path.lstrip("/"), stat.S_IFLNK | 0o777, target.encode("utf-8", "surrogateescape"))


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
    is_number = text.isascii() and text.isdigit() and len(text) <= 20
    return int(text) & 0xFFFFFFFF if is_number else 0


def archive(entries: Iterable[Entry], mtime: int = 0, *, pages: bool = False) -> bytes:
    """The archive's bytes, ended by its trailer and padded to 4 bytes. Raises UkccError.

    pages: the data of files of at least a page begin on a page of the archive, so that the kernel
    can make whole pages of it pages of the file (`CONFIG_UK_ONE_COPY`).
    """
    out: list[bytes] = []
    inode = at = 0
    for inode, entry in enumerate(entries, start=1):
        _check(entry)
        links = 2 if stat.S_ISDIR(entry.mode) else 1
        member = _member(entry, inode, links, mtime)
        if pages and is_aligned(entry):
            member = _on_a_page(at, member, mtime)
        out += member
        at += sum(map(len, member))
    out += _member(Entry(_TRAILER, 0), inode + 1, 1, 0)
    return b"".join(out)


def place_of_last(size: int, entry: Entry) -> int:
    """Where in an archive of `size` bytes, made with `pages`, the data of its last member begin, on
    a page; 0 if they do not."""
    trailer = sum(map(len, _member(Entry(_TRAILER, 0), 0, 1, 0)))
    return size - trailer - _aligned(entry.size) if is_aligned(entry) else 0


def is_aligned(entry: Entry | Member) -> bool:
    """Whether the data of a member begin on a page of an archive that is made with `pages`."""
    return stat.S_ISREG(entry.mode) and entry.size >= PAGE


def _check(entry: Entry) -> None:
    """Raises UkccError for what the format cannot hold, or the kernel passes over in silence."""
    if len(entry.data) > _LARGEST:
        raise UkccError(f"/{entry.path}: larger than 4 GiB, too much for an image")
    if not _is_inside(entry.path) or "\0" in entry.path:
        raise UkccError(f"/{entry.path}: not a path that a file of an image can have")
    if len(os.fsencode(entry.path)) >= _LONGEST_NAME:
        raise UkccError(f"/{entry.path}: longer than a path in an image can be")


def _member(entry: Entry, inode: int, links: int, mtime: int) -> tuple[bytes, ...]:
    """Header, name and data, name and data each padded so that what follows is 4-byte aligned."""
    name = entry.path.encode("utf-8", "surrogateescape") + b"\0"
    data, owner = entry.data, (entry.uid, entry.gid)
    # ino mode uid gid nlink mtime filesize devmajor devminor rdevmajor rdevminor namesize check
    fields = (inode, entry.mode, *owner, links, mtime, len(data), 0, 0, 0, 0, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % field for field in fields)
    return header, name, b"\0" * (-(len(header) + len(name)) % 4), data, b"\0" * (-len(data) % 4)


def _on_a_page(at: int, member: tuple[bytes, ...], mtime: int) -> tuple[bytes, ...]:
    """A member that begins at byte `at`, with its data on a page.

    NULs lengthen its name, as gen_init_cpio's -a does it: every reader takes a name up to the first
    one. Where the name would be too long for the kernel, the root directory comes once more before
    the member, for zeros there would be junk to GNU cpio.
    """
    header, name, padding, *data = member
    name += padding
    gap = -(at + len(header) + len(name)) % PAGE
    if len(name) + gap <= _LONGEST_NAME:
        return _with_name(header, name + bytes(gap)), name + bytes(gap), *data
    # one link: of two with the same inode libarchive takes the second for a hard link
    root, root_name, root_padding, *_ = _member(Entry(".", stat.S_IFDIR | 0o755), 0, 1, mtime)
    root_name += root_padding
    shortest = len(root) + len(root_name)
    root_name += bytes((gap if gap >= shortest else gap + PAGE) - shortest)
    return _with_name(root, root_name), root_name, _with_name(header, name), name, *data


def _with_name(header: bytes, name: bytes) -> bytes:
    return header[:_NAME_SIZE] + b"%08x" % len(name) + header[_NAME_SIZE + 8 :]


class Member(Record):
    """A member of an archive that is read: as Entry, with the place of its data in the file."""

    path: str
    mode: int
    uid: int
    gid: int
    offset: int
    size: int


def walk(read: Read, start: int, size: int) -> Iterator[Member]:
    """The members of the archive of `size` bytes at `start` that `archive` wrote; nothing of none.

    NULs may follow a name, see `_on_a_page`.

    It may be a stranger's: raises UkccError for one that is damaged, or that names a path outside
    its own root. What lies behind the trailer is not looked at.
    """
    at = 0
    for _ in range(_MOST_MEMBERS if size else 0):
        header = read(start + at, min(_HEADER, size - at))
        fields = _fields(header)
        if not fields:
            raise UkccError(f"damaged archive: no member begins at byte {at}")
        mode, uid, gid, length, name_length = (fields[n] for n in (1, 2, 3, 6, 11))
        data_at = _aligned(at + _HEADER + name_length)
        if not 2 <= name_length <= _LONGEST_NAME or data_at + length > size:
            raise UkccError(f"damaged archive: the member at byte {at} is longer than the archive")
        name = read(start + at + _HEADER, name_length)
        path = name.rstrip(b"\0").decode("utf-8", "surrogateescape")
        if path == _TRAILER:
            return
        if name[-1:] != b"\0" or "\0" in path or not _is_inside(path):
            raise UkccError(f"damaged archive: a member is named {path!r}")
        yield Member(path, mode, uid, gid, start + data_at, length)
        at = _aligned(data_at + length)
    if size:
        raise UkccError(f"damaged archive: more than {_MOST_MEMBERS} members")


def members(data: bytes) -> Iterator[Entry]:
    """The members of an archive in memory, with their data."""
    for m in walk(lambda offset, count: data[offset : offset + count], 0, len(data)):
        yield Entry(m.path, m.mode, data[m.offset : m.offset + m.size], m.uid, m.gid)


def _fields(header: bytes) -> tuple[int, ...]:
    """The 13 numbers of a member's header; () if it is none."""
    if len(header) < _HEADER or header[:6] != b"070701":
        return ()
    try:
        return _NUMBERS.unpack(bytes.fromhex(header[6:].decode("ascii")))
    except (ValueError, struct.error):
        return ()


def _aligned(at: int) -> int:
    return at + -at % 4


def _is_inside(path: str) -> bool:
    """Whether a path is relative and in its short form, as all are that `archive` has written."""
    return path == "." or not {"", ".", ".."} & set(path.split("/"))
