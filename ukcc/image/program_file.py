"""What of an image's file belongs to the program, and whether it is still what was packed.

A machine has its program from the archive, which was made at the link. What is done to the file
later (bytes appended, a section added, strip) has to reach the machine too: the packer records a
checksum of the program's part, and `ukcc run` sends that part along when it differs. Part of every
link: the standard library only.
"""

from __future__ import annotations

import os
import struct
import zlib

from ukcc.image.headers import (
    EHDR_SIZE,
    PHDR_SIZE,
    SHDR_SIZE,
    SHF_ALLOC,
    SHT_NOBITS,
    Headers,
    Shdr,
)
from ukcc.image.section_names import ARCHIVE_SECTION, KERNEL_SECTIONS, METADATA_SECTION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# (offset, bytes) in a file
Extent = tuple[int, int]

_CHUNK = 1 << 20

# Sections that only a hypervisor reads, or that change with the checksum itself.
_NOT_THE_PROGRAMS = tuple(
    name.encode() for name in (KERNEL_SECTIONS, ARCHIVE_SECTION, METADATA_SECTION)
)

_DEBUG = (b".debug", b".zdebug", b".stab", b".gdb_index", b".rela.debug", b".gnu.debug", b".line")

# What nothing covers between the parts of a file is a hole of the packer's from this size on.
_LONG_GAP = 1 << 20


def is_debug(headers: Headers, shdr: Shdr) -> bool:
    """Whether a section is debug information, which no machine has."""
    return not shdr.flags & SHF_ALLOC and headers.name_of(shdr).startswith(_DEBUG)


def elf_end(headers: Headers) -> int:
    """Where the ELF file ends; what follows was appended to it."""
    return max(end for _, end in _covered(headers))


def appended(headers: Headers) -> int:
    """How many bytes follow the ELF file: an archive that its program reads, a signature."""
    return headers.size - elf_end(headers)


def program_extents(headers: Headers) -> list[Extent]:
    """The parts of an image's file that the machine's copy has, in ascending order.

    All but the kernel, the archive, the metadata and debug information: so offsets and the
    distance from the end are those of the image.
    """
    holes = [
        (s.offset, s.offset + s.size)
        for s in headers.shdrs
        if s.size
        and s.type != SHT_NOBITS
        and (headers.name_of(s).startswith(_NOT_THE_PROGRAMS) or is_debug(headers, s))
    ]
    holes += _long_gaps(headers)
    extents = []
    at = 0
    for start, end in sorted(holes):
        if start > at:
            extents.append((at, start - at))
        at = max(at, end)
    if at < headers.size:
        extents.append((at, headers.size - at))
    return extents


def checksum(fd: int, headers: Headers) -> str:
    """Of the program's part of a file, and of where it lies: 8 hexadecimal digits.

    CRC-32: it has to notice a tool's work, not to withstand an enemy, who could as well change
    the archive.
    """
    extents = program_extents(headers)
    places = b"".join(struct.pack("<QQ", *extent) for extent in extents)
    crc = zlib.crc32(places + struct.pack("<Q", headers.size))
    for data in _contents(fd, extents):
        crc = zlib.crc32(data, crc)
    return f"{crc:08x}"


def machine_copy(fd: int, headers: Headers, *, sparse: bool) -> bytes:
    """The file for a machine: what `program_extents` names, the rest zero, or left out if `sparse`.

    Debug information becomes sections without contents, as a debugger's tools make them.
    """
    extents = program_extents(headers)
    copy = bytearray(b"".join(_contents(fd, extents)) if sparse else headers.size)
    packed = 0
    kinds = _debug_kinds(headers)
    kind = next(kinds, -1)
    for offset, size in extents:
        if not sparse:
            copy[offset : offset + size] = b"".join(_contents(fd, [(offset, size)]))
        # extents and places both ascend, and a stranger's file may have very many of them
        while 0 <= kind <= offset + size - 4:
            if kind >= offset:
                at = kind - offset + (packed if sparse else offset)
                struct.pack_into("<I", copy, at, SHT_NOBITS)
            kind = next(kinds, -1)
        packed += size
    return bytes(copy)


def _debug_kinds(headers: Headers) -> Iterator[int]:
    """Where in the file the types of sections with debug information are, in ascending order."""
    for index, shdr in enumerate(headers.shdrs):
        if is_debug(headers, shdr):
            yield headers.ehdr.shoff + index * SHDR_SIZE + 4  # sh_type


def _covered(headers: Headers) -> list[Extent]:
    """(start, end) of everything that an ELF file's headers know of."""
    ehdr = headers.ehdr
    found = [(0, EHDR_SIZE)]
    # where there is no table, its offset may be any number
    if headers.phdrs:
        found.append((ehdr.phoff, ehdr.phoff + len(headers.phdrs) * PHDR_SIZE))
    if headers.shdrs:
        found.append((ehdr.shoff, ehdr.shoff + len(headers.shdrs) * SHDR_SIZE))
    found += [(p.offset, p.offset + p.filesz) for p in headers.phdrs if p.filesz]
    found += [
        (s.offset, s.offset + s.size) for s in headers.shdrs if s.size and s.type != SHT_NOBITS
    ]
    return found


def _long_gaps(headers: Headers) -> list[Extent]:
    gaps = []
    at = 0
    for start, end in sorted(_covered(headers)):
        if start - at >= _LONG_GAP:
            gaps.append((at, start))
        at = max(at, end)
    return gaps


def _contents(fd: int, extents: Sequence[Extent]) -> Iterator[bytes]:
    for offset, size in extents:
        end = offset + size
        while offset < end:
            data = os.pread(fd, min(_CHUNK, end - offset), offset)
            if not data:
                raise OSError(None, "a file that is being read became shorter")
            yield data
            offset += len(data)
