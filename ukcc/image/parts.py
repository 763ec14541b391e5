"""Where in an image's file kernel and archive are, for whoever replaces the kernel.

The image may be a stranger's, or have been through other tools: what cannot be told is refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ukcc.errors import UkccError
from ukcc.image.archive_file import (
    archive_extents,
    archive_sections,
    has_bytes,
    kernel_sections,
    segment_of,
)
from ukcc.image.headers import (
    EHDR_SIZE,
    PAGE,
    PHDR_SIZE,
    PT_LOAD,
    SHDR_SIZE,
    SHT_DYNSYM,
    SHT_SYMTAB,
    Headers,
    Phdr,
    Shdr,
    align_up,
)
from ukcc.image.layout import MOST_PHDRS

LINK_AGAIN = "link it again"


@dataclass(frozen=True)
class Parts:
    """Where in an image kernel and archive are.

    start, end: the kernel's bytes in the file, on pages; sections, segments: indices of its section
    and program headers. pieces, archive: those of the archive's pieces; shared: program headers of
    the program's that are parts of the archive, too. paddr, paddr_end: of the archive.
    """

    start: int
    end: int
    sections: tuple[int, ...]
    segments: tuple[int, ...]
    pieces: tuple[int, ...]
    archive: tuple[int, ...]
    shared: tuple[int, ...]
    paddr: int
    paddr_end: int

    @property
    def own(self) -> frozenset[int]:
        """Indices of the program headers that are not the program's."""
        return frozenset({*self.segments, *self.archive})


def refusal(reason: str) -> UkccError:
    """The kernel cannot be replaced; the image's name is still to be put in front."""
    return UkccError(f"its kernel cannot be replaced: {reason}", LINK_AGAIN)


def find_parts(headers: Headers) -> Parts:
    """Finds kernel and archive. Raises UkccError unless each lies alone in its part of the file."""
    if len(headers.phdrs) > MOST_PHDRS:
        raise refusal(f"it has {len(headers.phdrs):,} program headers, more than Linux takes")
    sections = tuple(kernel_sections(headers))
    pieces = tuple(archive_sections(headers))
    if not sections or not pieces or headers.ehdr.shstrndx in (*sections, *pieces):
        raise refusal("its sections do not say where kernel and archive are")
    start = min(headers.shdrs[index].offset for index in sections) // PAGE * PAGE
    end = align_up(max(end_of(headers.shdrs[index]) for index in sections))
    archive = [headers.shdrs[index] for index in pieces]
    if (
        archive[0].offset % PAGE
        or end_of(archive[-1]) % PAGE
        or any(s.offset < end for s in archive)
    ):
        raise refusal("another tool has put its archive elsewhere")
    segments = tuple(segment_of(headers, headers.shdrs[index]) for index in sections)
    holders = tuple(segment_of(headers, shdr) for shdr in archive)
    extents = archive_extents(headers, pieces)
    shared = tuple(extent.segment for extent in extents or () if extent.is_shared)
    found = (*segments, *holders, *shared)
    if (
        extents is None
        or len({*found} - {-1}) < len(found)
        or any(headers.phdrs[e.segment].memsz != e.size for e in extents)
    ):
        raise refusal("its segments are not those of a kernel and an archive")
    paddr = headers.phdrs[holders[0]].paddr
    paddr_end = paddr + sum(extent.size for extent in extents)
    parts = Parts(start, end, sections, segments, pieces, holders, shared, paddr, paddr_end)
    _check_alone(headers, parts)
    _check_order(headers, parts)
    return parts


def _check_alone(headers: Headers, parts: Parts) -> None:
    """Raises UkccError if anything but kernel and archive lies in their parts of the file."""
    own_sections = {*parts.sections, *parts.pieces}
    ehdr = headers.ehdr
    others = [span(s) for i, s in enumerate(headers.shdrs) if i not in own_sections]
    others += [span(p) for i, p in enumerate(headers.phdrs) if i not in parts.own]
    others.append((ehdr.phoff, ehdr.phoff + len(headers.phdrs) * PHDR_SIZE))
    others.append((ehdr.shoff, ehdr.shoff + len(headers.shdrs) * SHDR_SIZE))
    own = [(parts.start, parts.end), *(span(headers.phdrs[index]) for index in parts.archive)]
    if _overlap(others, own):
        raise refusal("something else lies between kernel and archive")


def check_shared(headers: Headers, parts: Parts, notes: Sequence[int]) -> None:
    """Raises UkccError if a part of the archive that is the program's would be written to.

    notes: program headers of what will be. The packer shares no such part.
    """
    ehdr = headers.ehdr
    written = [
        (0, EHDR_SIZE),
        (ehdr.phoff, ehdr.phoff + len(headers.phdrs) * PHDR_SIZE),
        (ehdr.shoff, ehdr.shoff + len(headers.shdrs) * SHDR_SIZE),
        span(headers.shdrs[ehdr.shstrndx]),
        *(span(headers.phdrs[index]) for index in notes),
        *(span(s) for s in headers.shdrs if s.type in (SHT_SYMTAB, SHT_DYNSYM)),
        # a larger table of segments comes where the segment is that has it
        *(
            span(p)
            for i, p in enumerate(headers.phdrs)
            if p.type == PT_LOAD and i not in parts.shared
        ),
    ]
    if _overlap(written, [span(headers.phdrs[index]) for index in parts.shared]):
        raise refusal("its archive has parts that would be written to")


def _overlap(some: list[tuple[int, int]], others: list[tuple[int, int]]) -> bool:
    """Whether a range of the ones has a byte of the others."""
    return any(b < end and begin < e for b, e in some if b < e for begin, end in others)


def _check_order(headers: Headers, parts: Parts) -> None:
    """Raises UkccError unless the archive's pieces are mapped behind the kernel."""
    begin = mapped_from(headers, parts)
    behind = begin + parts.end - parts.start
    if any(headers.phdrs[index].vaddr < behind for index in parts.archive):
        raise refusal("another tool has put its archive elsewhere")


def mapped_from(headers: Headers, parts: Parts) -> int:
    """The virtual address of the kernel's part of the file."""
    return min(headers.phdrs[index].vaddr for index in parts.segments) // PAGE * PAGE


def span(part: Phdr | Shdr) -> tuple[int, int]:
    """(begin, end) in the file; nothing of what has no bytes."""
    return (part.offset, end_of(part))


def end_of(part: Phdr | Shdr) -> int:
    """The offset behind a part of the file."""
    if isinstance(part, Shdr):
        return part.offset + (part.size if has_bytes(part) else 0)
    return part.offset + part.filesz
