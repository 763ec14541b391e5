"""The archive of an image, read from its file.

An image that shares bytes with its program has the archive in pieces, each a section and a segment
of its own; between them, by physical address, come segments of the program (`sharing`). A
hypervisor puts all of them together in memory, and so does this. Images may be a stranger's: what
is put together is never longer than the file.
"""

from __future__ import annotations

import zlib
from bisect import bisect_right
from itertools import islice
from typing import TYPE_CHECKING

from ukcc.errors import NotAnImage, UkccError
from ukcc.image import cpio
from ukcc.image.debug import LARGEST
from ukcc.image.headers import PT_LOAD, SHF_COMPRESSED, SHT_NOBITS, Headers, Phdr, Shdr
from ukcc.image.kernel import DESCRIPTOR, DESCRIPTOR_MAGIC
from ukcc.image.layout import MOST_PHDRS
from ukcc.image.section_names import ARCHIVE_SECTION, KERNEL_SECTIONS
from ukcc.image.sharing import piece_names
from ukcc.light.record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from ukcc.image.headers import Read

_CHUNK = 1 << 20
_MOST_WORDS = 4096  # that begin like a descriptor; a kernel has two
_SECTION = ARCHIVE_SECTION.encode()


class Extent(Record):
    """Bytes of an archive, from `start` of it on, that lie at `offset` of the file.

    segment: the program header that brings them into memory. is_shared: they are the program's,
    too.
    """

    start: int
    offset: int
    size: int
    segment: int
    is_shared: bool


class Descriptor(Record):
    """What a kernel is told of its archive: the physical address, the length, the checksum."""

    paddr: int
    size: int
    crc32: int


class Archive:
    """An archive in an open file; one of no bytes where there is none. `what` names the file."""

    def __init__(self, read: Read, extents: Sequence[Extent], what: str) -> None:
        self._read = read
        self._what = what
        self._starts = [extent.start for extent in extents]
        self.extents = tuple(extents)
        self.size = sum(extent.size for extent in extents)

    def read(self, offset: int, count: int) -> bytes:
        """Bytes of the archive, fewer where it ends."""
        return b"".join([self._read(at, size) for at, size in self.places(offset, count)])

    def places(self, offset: int, count: int) -> Iterator[tuple[int, int]]:
        """(offset, size) of these bytes in the file, in the archive's order."""
        end = offset + count
        first = max(bisect_right(self._starts, offset) - 1, 0)
        for index in range(first, len(self.extents)):
            extent = self.extents[index]
            if extent.start >= end:
                return
            begin, last = max(offset, extent.start), min(end, extent.start + extent.size)
            if begin < last:
                yield extent.offset + begin - extent.start, last - begin

    def crc32(self, size: int) -> int:
        """Of its first `size` bytes, as its descriptor has it."""
        crc = 0
        for offset, left in self.places(0, size):
            for at in range(offset, offset + left, _CHUNK):
                crc = zlib.crc32(self._read(at, min(_CHUNK, offset + left - at)), crc)
        return crc

    def members(self) -> Iterator[cpio.Member]:
        """What is in it; a member's offset is one of the archive. Raises UkccError."""
        try:
            yield from cpio.walk(self.read, 0, self.size)
        except UkccError as error:
            raise UkccError(f"{self._what}: {error.message}", error.hint) from None

    def data(self, member: cpio.Member) -> bytes:
        """The data of one. Raises UkccError for one that is too large to be looked at."""
        if member.size > LARGEST:
            raise UkccError(f"{self._what}: /{member.path} is larger than 2 GiB")
        return self.read(member.offset, member.size)

    def is_elf(self, member: cpio.Member) -> bool:
        """Whether a member is a program or a library."""
        return self.read(member.offset, min(member.size, 4)) == b"\x7fELF"


def open_archive(read: Read, headers: Headers, what: str) -> Archive:
    """The archive of the open file with these headers. Raises NotAnImage if a part is not there."""
    sections = archive_sections(headers)
    if any(headers.shdrs[index].flags & SHF_COMPRESSED for index in sections):
        raise NotAnImage(f"{what}: damaged ELF file: {ARCHIVE_SECTION} is compressed")
    extents = archive_extents(headers, sections)
    if extents is None:
        raise NotAnImage(f"{what}: damaged: the parts of its archive do not lie together")
    return Archive(read, extents, what)


def has_bytes(shdr: Shdr) -> bool:
    """Whether a section has a part of the file."""
    return bool(shdr.size) and shdr.type != SHT_NOBITS


def kernel_sections(headers: Headers) -> list[int]:
    """The indices of the kernel's sections."""
    prefix = KERNEL_SECTIONS.encode()
    return [
        index
        for index, shdr in enumerate(headers.shdrs)
        if headers.name_of(shdr).startswith(prefix) and has_bytes(shdr)
    ]


def find_descriptor(read: Read, kernel: Sequence[Phdr], paddr: int) -> Descriptor | None:
    """The descriptor of the archive at that physical address, in one of the kernel's segments.

    The word alone, without what follows it, is also where the kernel compares.
    """
    for phdr in kernel:
        places = _places(read, phdr.offset, phdr.offset + phdr.filesz, DESCRIPTOR_MAGIC)
        for at in islice(places, _MOST_WORDS):
            data = read(at, DESCRIPTOR.size)
            if len(data) == DESCRIPTOR.size:
                _, where, size, crc32, reserved = DESCRIPTOR.unpack(data)
                if where == paddr and not reserved:
                    return Descriptor(where, size, crc32)
    return None


def _places(read: Read, begin: int, end: int, word: bytes) -> Iterator[int]:
    """Where a word is in a part of a file."""
    for start in range(begin, end, _CHUNK):
        data = read(start, min(_CHUNK + len(word) - 1, end - start))
        at = data.find(word)
        while at >= 0:
            yield start + at
            at = data.find(word, at + 1)


def is_damaged(read: Read, headers: Headers, what: str) -> bool:
    """Whether an archive that shares bytes with the program is not what was packed any more, and
    its kernel would say so. Raises NotAnImage as `open_archive` does."""
    archive = open_archive(read, headers, what)
    if not any(extent.is_shared for extent in archive.extents):
        return False
    kernel = [
        headers.phdrs[segment_of(headers, headers.shdrs[index])]
        for index in kernel_sections(headers)[:MOST_PHDRS]
    ]
    if sum(phdr.filesz for phdr in kernel) > headers.size:
        return True
    found = find_descriptor(read, kernel, headers.phdrs[archive.extents[0].segment].paddr)
    return found is None or found.size > archive.size or archive.crc32(found.size) != found.crc32


def is_piece(name: str) -> bool:
    """Whether a section of that name is a piece of an archive."""
    return name == ARCHIVE_SECTION or name.startswith(f"{ARCHIVE_SECTION}.")


def archive_sections(headers: Headers) -> list[int]:
    """The indices of the sections of an archive's pieces, the first one first."""
    found: dict[bytes, int] = {}
    for index, shdr in enumerate(headers.shdrs):
        name = headers.name_of(shdr)
        if name.startswith(_SECTION) and has_bytes(shdr):
            found.setdefault(name, index)
    wanted = (name.encode() for name in piece_names(len(found)))
    return [found[name] for name in wanted if name in found]


def segment_of(headers: Headers, shdr: Shdr) -> int:
    """The index of the program header whose bytes are those of the section; -1 for none."""
    for index, phdr in enumerate(headers.phdrs):
        same = (phdr.offset, phdr.vaddr, phdr.filesz) == (shdr.offset, shdr.addr, shdr.size)
        if phdr.type == PT_LOAD and same:
            return index
    return -1


def archive_extents(headers: Headers, sections: Sequence[int]) -> list[Extent] | None:
    """An archive from the first of its pieces to the last, by physical address; sections: theirs.

    None for one with a gap, or one that is longer than the file, as if bytes were in it twice.
    """
    if len(sections) < 2:
        whole = [headers.shdrs[index] for index in sections]
        return [Extent(0, s.offset, s.size, segment_of(headers, s), False) for s in whole]
    if len(sections) > MOST_PHDRS:
        return None
    pieces = [segment_of(headers, headers.shdrs[index]) for index in sections]
    if min(pieces) < 0:
        return None
    by_paddr = {
        phdr.paddr: index
        for index, phdr in enumerate(headers.phdrs)
        if phdr.type == PT_LOAD and phdr.filesz
    }
    begin = at = headers.phdrs[pieces[0]].paddr
    end = max(headers.phdrs[index].paddr + headers.phdrs[index].filesz for index in pieces)
    if end - begin > headers.size:
        return None
    extents = []
    while at < end:
        index = by_paddr.get(at, -1)
        if index < 0:
            return None
        phdr = headers.phdrs[index]
        extents.append(Extent(at - begin, phdr.offset, phdr.filesz, index, index not in pieces))
        at += phdr.filesz
    return extents if at == end else None
