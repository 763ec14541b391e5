"""The program's bytes that lie once in an image: in its segments, not in the archive again.

As a process the program has its code and constants from its own segments, the machine from the last
member of the archive. They are the same bytes. So these segments get the physical addresses of
their place in the archive, and the file has of the archive only the pieces around them: what a
hypervisor loads is the whole archive (docs/image.md). Pure arithmetic, part of every link.
"""

from __future__ import annotations

from ukcc.image.headers import (
    EHDR_SIZE,
    PAGE,
    PF_W,
    PHDR_SIZE,
    PT_LOAD,
    SHDR_SIZE,
    SHT_DYNSYM,
    SHT_SYMTAB,
    Headers,
    Phdr,
    align_up,
    congruent,
)
from ukcc.image.section_names import ARCHIVE_SECTION
from ukcc.light.record import Record

# Where no machine of ours has memory: 1 TiB, the first address that 40 bits cannot name.
OUTSIDE_MEMORY = 1 << 40

# Below this a segment is not worth the two headers that a further piece takes.
_SMALLEST = 4 * PAGE


class SharedPiece(Record):
    """Bytes `start` to `end` of the archive, at `offset` of the file."""

    start: int
    end: int
    offset: int = 0

    @property
    def size(self) -> int:
        """In bytes."""
        return self.end - self.start


class Sharing(Record):
    """How an archive lies in a file.

    segments: the program's that have a part of it, in ascending order; program: where in the
    archive the program's file begins, a multiple of a page; pieces: what the file has besides, up
    to the end of the archive's last page.
    """

    segments: tuple[Phdr, ...]
    program: int
    pieces: tuple[SharedPiece, ...]


def shared(app: Headers, archive: int, program: int) -> Sharing:
    """What the program and an archive of `archive` bytes can have together.

    program: where in the archive the program's file begins; 0 if it is not there as it was linked.
    """
    segments = _shareable(app) if program else ()
    pieces = []
    start = 0
    for phdr in segments:
        at = program + phdr.offset
        if at > start:
            pieces.append(SharedPiece(start, at))
        start = at + phdr.filesz
    end = align_up(archive)
    if start < end:
        pieces.append(SharedPiece(start, end))
    return Sharing(segments, program, tuple(pieces))


def placed(pieces: tuple[SharedPiece, ...], offset: int) -> tuple[SharedPiece, ...]:
    """The pieces in a file, from `offset`, a multiple of a page, on.

    No page of the file has bytes of two, so that each can be mapped by itself.
    """
    result = []
    for piece in pieces:
        at = align_up(offset) + piece.start % PAGE
        result.append(piece._replace(offset=at))
        offset = at + piece.size
    return tuple(result)


def piece_names(count: int) -> list[str]:
    """The names of the pieces' sections."""
    return [f"{ARCHIVE_SECTION}.{n}" if n else ARCHIVE_SECTION for n in range(count)]


def moved_segments(
    phdrs: tuple[Phdr, ...], sharing: Sharing, archive: int, scratch: int
) -> tuple[list[Phdr], int]:
    """The program's headers at their physical addresses, and the end of the scratch range.

    archive: where that begins; scratch: where the range begins for all that it does not share.
    Headers that describe a part of a PT_LOAD (TLS, RELRO, notes) move with it: GNU strip finds a
    segment's sections by physical address.
    """
    shift = {}
    outside = OUTSIDE_MEMORY
    for phdr in phdrs:
        if phdr.type != PT_LOAD:
            continue
        if phdr in sharing.segments:
            paddr = archive + sharing.program + phdr.offset
        elif phdr.filesz:
            paddr = congruent(scratch, phdr.vaddr)
            scratch = align_up(paddr + phdr.memsz)
        else:
            paddr = congruent(outside, phdr.vaddr)
            outside = align_up(paddr + phdr.memsz)
        shift[phdr] = paddr - phdr.vaddr

    def moved(phdr: Phdr) -> Phdr:
        for load, distance in shift.items():
            if phdr.memsz and load.vaddr <= phdr.vaddr and phdr.vaddr < load.vend:
                return phdr._replace(paddr=phdr.vaddr + distance)
        return phdr

    return [moved(p) for p in phdrs], scratch


def _shareable(app: Headers) -> tuple[Phdr, ...]:
    """The segments whose bytes are the same in an image and in the program's file.

    Not those that a process may write, for tools do so as well (patchelf: DT_RPATH). Not the first,
    with the ELF header and what moves for a larger table; none with a table that the packer writes
    anew, or with bytes of another segment.
    """
    loads = [p for p in app.phdrs if p.type == PT_LOAD]
    ehdr = app.ehdr
    taken = [
        (0, EHDR_SIZE),
        (ehdr.phoff, ehdr.phoff + len(app.phdrs) * PHDR_SIZE),
        (ehdr.shoff, ehdr.shoff + len(app.shdrs) * SHDR_SIZE),
    ]
    taken += [
        (s.offset, s.offset + s.size) for s in app.shdrs if s.type in (SHT_SYMTAB, SHT_DYNSYM)
    ]

    def is_alone(phdr: Phdr) -> bool:
        spans = [*taken, *((p.offset, p.offset + p.filesz) for p in loads if p is not phdr)]
        return not any(phdr.offset < end and at < phdr.offset + phdr.filesz for at, end in spans)

    found = [
        p
        for p in loads[1:]
        if not p.flags & PF_W and p.memsz == p.filesz >= _SMALLEST and is_alone(p)
    ]
    return tuple(sorted(found, key=lambda p: p.offset))
