"""Where every part of an image goes when its kernel is replaced: pure arithmetic, no file touched.

The image may have been through other tools (strip, objcopy, patchelf) since it was packed, so it is
read as it is: kernel and archive are one region of the file, and the new ones take its place.
What lies behind it moves by whole pages. The rules are those of `layout` (docs/image.md).
"""

from dataclasses import dataclass

from ukcc.errors import UkccError
from ukcc.image.headers import (
    PAGE,
    PF_R,
    PHDR_SIZE,
    PT_LOAD,
    PT_PHDR,
    SHDR_SIZE,
    SHT_NOBITS,
    Ehdr,
    Headers,
    Phdr,
    Shdr,
    align_up,
    congruent,
)
from ukcc.image.kernel import Kernel
from ukcc.image.layout import MOST_PHDRS, OUTSIDE_MEMORY, covering
from ukcc.image.renaming import renamed, renumbered
from ukcc.record import Record

ARCHIVE_SECTION = ".uk.archive"
KERNEL_SECTIONS = b".uk.kernel."

_END_OF_MEMORY = 1 << 47  # of a process
_MOST_SECTIONS = 0xFF00  # SHN_LORESERVE: from here on a section's index says something else

LINK_AGAIN = "link it again"


@dataclass(frozen=True)
class Parts:
    """Where in an image's file kernel and archive are: bytes `start` to `end`, on pages.

    sections: indices of the kernel's section headers; segments: of its program headers; archive,
    archive_segment: those of the archive.
    """

    start: int
    end: int
    sections: tuple[int, ...]
    segments: tuple[int, ...]
    archive: int
    archive_segment: int


@dataclass(frozen=True)
class Relayout:
    """The image with another kernel; offsets are in the new file.

    archive, metadata, pvh: their program headers. indices: the new number of each old section.
    kept: how much of the old file is copied, from its `region_end` on `shift` bytes further; end:
    of the ELF file; end_paddr: behind all that a hypervisor loads.
    """

    ehdr: Ehdr
    phdrs: tuple[Phdr, ...]
    shdrs: tuple[Shdr, ...]
    names: bytes
    names_offset: int
    archive: Phdr
    metadata: Phdr
    pvh: Phdr
    indices: tuple[int, ...]
    region_end: int
    shift: int
    kept: int
    end: int
    end_paddr: int

    @property
    def headers(self) -> Headers:
        """All headers of the new file, without what was appended to the old one."""
        return Headers(self.ehdr, self.phdrs, self.shdrs, self.names, self.end)

    def moved(self, offset: int) -> int:
        """Where in the new file a byte of the old one is."""
        return offset + self.shift if offset >= self.region_end else offset


def refusal(reason: str) -> UkccError:
    """The kernel cannot be replaced; the image's name is still to be put in front."""
    return UkccError(f"its kernel cannot be replaced: {reason}", LINK_AGAIN)


def find_parts(headers: Headers) -> Parts:
    """Finds kernel and archive. Raises UkccError unless they lie together, and nothing between."""
    if len(headers.phdrs) > MOST_PHDRS:
        raise refusal(f"it has {len(headers.phdrs):,} program headers, more than Linux takes")
    sections = tuple(
        index
        for index, shdr in enumerate(headers.shdrs)
        if headers.name_of(shdr).startswith(KERNEL_SECTIONS) and _has_bytes(shdr)
    )
    archives = [
        index
        for index, shdr in enumerate(headers.shdrs)
        if headers.name_of(shdr) == ARCHIVE_SECTION.encode() and _has_bytes(shdr)
    ]
    if not sections or len(archives) != 1 or headers.ehdr.shstrndx in (*sections, *archives):
        raise refusal("its sections do not say where kernel and archive are")
    archive = headers.shdrs[archives[0]]
    start = min(headers.shdrs[index].offset for index in sections) // PAGE * PAGE
    end = archive.offset + archive.size
    if (
        archive.offset % PAGE
        or archive.size % PAGE
        or any(_end(headers.shdrs[index]) > archive.offset for index in sections)
    ):
        raise refusal("another tool has put its archive elsewhere")
    segments = _segments_of(headers, [headers.shdrs[index] for index in sections])
    holders = _segments_of(headers, [archive])
    if len(segments) != len(sections) or len(holders) != 1:
        raise refusal("its segments are not those of a kernel and an archive")
    parts = Parts(start, end, sections, segments, archives[0], holders[0])
    _check_alone(headers, parts)
    return parts


def _segments_of(headers: Headers, sections: list[Shdr]) -> tuple[int, ...]:
    """The program headers of what these sections cover."""
    covered = {(s.offset, s.addr, s.size) for s in sections}
    return tuple(
        index
        for index, phdr in enumerate(headers.phdrs)
        if phdr.type == PT_LOAD and (phdr.offset, phdr.vaddr, phdr.filesz) in covered
    )


def _check_alone(headers: Headers, parts: Parts) -> None:
    """Raises UkccError if anything but kernel and archive lies in their region of the file."""
    own_sections = {*parts.sections, parts.archive}
    own_segments = {*parts.segments, parts.archive_segment}
    ehdr = headers.ehdr
    others = [_span(s) for i, s in enumerate(headers.shdrs) if i not in own_sections]
    others += [_span(p) for i, p in enumerate(headers.phdrs) if i not in own_segments]
    others.append((ehdr.phoff, ehdr.phoff + len(headers.phdrs) * PHDR_SIZE))
    others.append((ehdr.shoff, ehdr.shoff + len(headers.shdrs) * SHDR_SIZE))
    if any(begin < parts.end and parts.start < end for begin, end in others if begin < end):
        raise refusal("something else lies between kernel and archive")


def relayout(headers: Headers, parts: Parts, kernel: Kernel, notes: tuple[int, int]) -> Relayout:
    """Lays the image out around another kernel.

    notes: the indices of the program headers of metadata and PVH note. Raises UkccError where a
    part has no place.
    """
    shift = parts.start + align_up(kernel.size) + headers.phdrs[parts.archive_segment].filesz
    shift -= parts.end
    segments = _segments(headers, parts, kernel, notes, shift)
    phdrs = segments.table
    shdrs = _sections(headers, parts, segments, notes[0], shift)
    names, offsets = renamed(headers, parts.sections, [s.name for s in kernel.segments])
    new = [covering(p)._replace(name=n) for p, n in zip(segments.boot, offsets, strict=True)]
    shdrs, indices = renumbered(shdrs, parts.sections, new)
    if len(shdrs) >= _MOST_SECTIONS:
        raise refusal(f"{len(shdrs):,} sections are too many")
    owner = indices[headers.ehdr.shstrndx]
    tables = _tables(
        headers, owner, phdrs, shdrs, len(names), _moved(headers.ehdr.shoff, parts, shift)
    )
    shdrs[owner] = shdrs[owner]._replace(offset=tables.names, size=len(names))

    in_memory = (p.pend for p in phdrs if p.type == PT_LOAD and p.filesz)
    made = Relayout(
        ehdr=headers.ehdr._replace(
            phoff=segments.phoff,
            phnum=len(phdrs),
            shoff=tables.sections,
            shnum=len(shdrs),
            shstrndx=owner,
        ),
        phdrs=tuple(phdrs),
        shdrs=tuple(shdrs),
        names=names,
        names_offset=tables.names,
        archive=segments.archive,
        metadata=segments.metadata,
        pvh=segments.pvh,
        indices=indices,
        region_end=parts.end,
        shift=shift,
        kept=tables.kept - shift,
        end=tables.end,
        end_paddr=max(kernel.end_paddr, *in_memory),
    )
    _check_table(made)
    return made


class _Segments(Record):
    """The new program-header table and where it is, and some of its entries."""

    phoff: int
    table: list[Phdr]
    boot: list[Phdr]
    archive: Phdr
    metadata: Phdr
    pvh: Phdr


def _segments(
    headers: Headers, parts: Parts, kernel: Kernel, notes: tuple[int, int], shift: int
) -> _Segments:
    """The kernel's segments come where the old ones were in the table, the others keep theirs."""
    boot, archive = _boot_segments(headers, parts, kernel, parts.start + align_up(kernel.size))
    placed = _placed(headers, parts, shift, archive.pend)
    phoff = _moved(headers.ehdr.phoff, parts, shift)
    count = len(placed) - len(parts.segments) + len(boot)
    if count > MOST_PHDRS:
        raise refusal(f"{count} program headers are more than Linux takes")
    size = count * PHDR_SIZE
    if _is_followed(headers, notes[0]):
        placed[notes[0]] = _begun_at(placed[notes[0]], phoff + size)
    table: list[Phdr] = []
    for index, phdr in enumerate(placed):
        if index == parts.segments[0]:
            table += boot
        if index == parts.archive_segment:
            table.append(archive)
        elif phdr.type == PT_PHDR and phdr.offset == phoff:
            table.append(phdr._replace(filesz=size, memsz=size))
        elif index not in parts.segments:
            table.append(phdr)
    return _Segments(phoff, table, boot, archive, placed[notes[0]], placed[notes[1]])


def _boot_segments(
    headers: Headers, parts: Parts, kernel: Kernel, archive_at: int
) -> tuple[list[Phdr], Phdr]:
    """The program headers of kernel and archive, at the virtual address where these began."""
    own = {*parts.segments, parts.archive_segment}
    size = headers.phdrs[parts.archive_segment].filesz
    begin = min(headers.phdrs[index].vaddr for index in own) // PAGE * PAGE
    end = begin + archive_at - parts.start + size
    others = [p for i, p in enumerate(headers.phdrs) if p.type == PT_LOAD and i not in own]
    if end > _END_OF_MEMORY or any(p.vaddr < end and begin < p.vend for p in others):
        raise refusal("something else is mapped where it would be")

    def part(offset: int, size: int, paddr: int) -> Phdr:
        return Phdr(PT_LOAD, PF_R, offset, begin + offset - parts.start, paddr, size, size, PAGE)

    boot = [part(parts.start + s.offset, s.filesz, s.paddr) for s in kernel.segments]
    return boot, part(archive_at, size, align_up(kernel.end_paddr))


def _placed(headers: Headers, parts: Parts, shift: int, scratch: int) -> list[Phdr]:
    """All program headers at their new offsets; all but kernel and archive at scratch physical
    addresses from `scratch` on, in the order that they had; without bytes they may stay outside."""
    own = {*parts.segments, parts.archive_segment}
    placed = [p._replace(offset=_moved(p.offset, parts, shift)) for p in headers.phdrs]
    loads = [i for i, p in enumerate(headers.phdrs) if p.type == PT_LOAD and i not in own]
    low = [i for i in loads if placed[i].filesz or placed[i].paddr < OUTSIDE_MEMORY]
    for index in sorted(low, key=lambda i: headers.phdrs[i].paddr):
        paddr = congruent(scratch, placed[index].paddr)
        placed[index] = placed[index]._replace(paddr=paddr)
        scratch = align_up(paddr + placed[index].memsz)
        if scratch > OUTSIDE_MEMORY:
            raise refusal("its segments are longer than a machine's memory")
    ranges = [(placed[i].vaddr, placed[i].vend, placed[i].paddr) for i in loads]
    for index, phdr in enumerate(placed):
        if phdr.type == PT_LOAD or not phdr.memsz:
            continue
        for vaddr, vend, paddr in ranges:
            if vaddr <= phdr.vaddr < vend:
                placed[index] = phdr._replace(paddr=paddr + phdr.vaddr - vaddr)
                break
    return placed


def _is_followed(headers: Headers, note: int) -> bool:
    """Whether that note begins right behind the table: where there is no room for a larger one, and
    nothing may lie between, for GNU strip (docs/image.md)."""
    table_end = headers.ehdr.phoff + len(headers.phdrs) * PHDR_SIZE
    return headers.phdrs[note].offset == table_end


def _begun_at(note: Phdr, offset: int) -> Phdr:
    """The note with its beginning elsewhere, and its end where it was."""
    into = offset - note.offset
    size = note.filesz - into
    if size <= 0 or note.vaddr + into < 0 or note.paddr + into < 0:
        raise refusal("there is no room for this kernel's program headers")
    return note._replace(
        offset=offset, vaddr=note.vaddr + into, paddr=note.paddr + into, filesz=size, memsz=size
    )


def _sections(
    headers: Headers, parts: Parts, segments: _Segments, note: int, shift: int
) -> list[Shdr]:
    """All section headers at their new offsets; those of archive and metadata cover their segment,
    those of the kernel are still the old ones."""
    old = headers.phdrs[note]
    result = []
    for index, shdr in enumerate(headers.shdrs):
        moved = shdr._replace(offset=_moved(shdr.offset, parts, shift))
        if index == parts.archive:
            moved = covering(segments.archive)._replace(name=shdr.name)
        elif _has_bytes(shdr) and (shdr.offset, shdr.size) == (old.offset, old.filesz):
            new = segments.metadata
            moved = moved._replace(addr=new.vaddr, offset=new.offset, size=new.filesz)
        result.append(moved)
    return result


class _Tables(Record):
    """Offsets of the sections' names and headers; the end of what is kept, and of all."""

    names: int
    sections: int
    kept: int
    end: int


def _tables(
    headers: Headers, owner: int, phdrs: list[Phdr], shdrs: list[Shdr], length: int, shoff: int
) -> _Tables:
    """Where the section names, `length` bytes of the section `owner`, and the section headers go;
    shoff: where the latter would stay.

    Both stay if they are as long as before, or the last in the file; else they go to its end.
    """
    was = headers.shdrs[headers.ehdr.shstrndx].size
    names_at = shdrs[owner].offset
    spans = [_span(s) for i, s in enumerate(shdrs) if i != owner]
    spans += [_span(p) for p in phdrs]
    rest = max(end for begin, end in spans if begin < end)
    old_end = max(rest, names_at + was, shoff + len(headers.shdrs) * SHDR_SIZE)
    if length == was and len(shdrs) == len(headers.shdrs):
        return _Tables(names_at, shoff, old_end, old_end)
    kept = names_at
    if rest > names_at or shoff < names_at + was:
        kept = names_at = old_end
    shoff = align_up(names_at + length, 8)
    return _Tables(names_at, shoff, kept, shoff + len(shdrs) * SHDR_SIZE)


def _check_table(made: Relayout) -> None:
    """Raises UkccError if the program-header table would lie on something else."""
    begin, end = made.ehdr.phoff, made.ehdr.phoff + len(made.phdrs) * PHDR_SIZE
    in_segment = any(
        p.type == PT_LOAD and p.offset <= begin and end <= p.offset + p.filesz for p in made.phdrs
    )
    spans = [_span(s) for s in made.shdrs]
    spans += [_span(p) for p in made.phdrs if p.type not in (PT_LOAD, PT_PHDR)]
    if not in_segment or any(b < end and begin < e for b, e in spans if b < e):
        raise refusal("there is no room for this kernel's program headers")


def _moved(offset: int, parts: Parts, shift: int) -> int:
    return offset + shift if offset >= parts.end else offset


def _has_bytes(shdr: Shdr) -> bool:
    return bool(shdr.size) and shdr.type != SHT_NOBITS


def _span(part: Phdr | Shdr) -> tuple[int, int]:
    """(begin, end) in the file; nothing of what has no bytes."""
    return (part.offset, _end(part))


def _end(part: Phdr | Shdr) -> int:
    if isinstance(part, Shdr):
        return part.offset + (part.size if _has_bytes(part) else 0)
    return part.offset + part.filesz
