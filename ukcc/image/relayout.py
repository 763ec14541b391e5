"""Where every part of an image goes when its kernel is replaced: pure arithmetic, no file touched.

The image may have been through other tools (strip, objcopy, patchelf) since it was packed, so it is
read as it is: the kernel is one region of the file, and the new one takes its place. What lies
behind it moves by whole pages, the archive's pieces and whatever is between them included. In
memory the archive, with the program's segments in it, comes behind the new kernel. The rules are
those of `layout` (docs/image.md).
"""

from dataclasses import dataclass

from ukcc.image.archive_file import has_bytes
from ukcc.image.headers import (
    PAGE,
    PF_R,
    PHDR_SIZE,
    PT_LOAD,
    PT_PHDR,
    SHDR_SIZE,
    Ehdr,
    Headers,
    Phdr,
    Shdr,
    align_up,
    congruent,
)
from ukcc.image.kernel import PackedKernel
from ukcc.image.layout import MOST_PHDRS, covering
from ukcc.image.parts import Parts, mapped_from, refusal, span
from ukcc.image.renaming import renamed, renumbered
from ukcc.image.sharing import OUTSIDE_MEMORY
from ukcc.light.record import Record

_END_OF_MEMORY = 1 << 47  # of a process
# What the packer leaves free for patchelf stays free.
_LONGEST_GAP = 16 << 20

_MOST_SECTIONS = 0xFF00  # SHN_LORESERVE: from here on a section's index says something else


@dataclass(frozen=True)
class Relayout:
    """The image with another kernel; offsets are in the new file.

    metadata, pvh: their program headers. archive: its physical address. indices: the new number of
    each old section. kept: how much of the old file is copied, from its `region_end` on `shift`
    bytes further; end: of the ELF file; end_paddr: behind all that a hypervisor loads.
    """

    ehdr: Ehdr
    phdrs: tuple[Phdr, ...]
    shdrs: tuple[Shdr, ...]
    names: bytes
    names_offset: int
    archive: int
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


def relayout(
    headers: Headers, parts: Parts, kernel: PackedKernel, notes: tuple[int, int]
) -> Relayout:
    """Lays the image out around another kernel.

    notes: the indices of the program headers of metadata and PVH note. Raises UkccError where a
    part has no place.
    """
    shift = parts.start + align_up(kernel.size) - parts.end
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
        archive=align_up(kernel.end_paddr),
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
    metadata: Phdr
    pvh: Phdr


def _segments(
    headers: Headers, parts: Parts, kernel: PackedKernel, notes: tuple[int, int], shift: int
) -> _Segments:
    """The kernel's segments come where the old ones were in the table, the others keep theirs."""
    boot = _boot_segments(headers, parts, kernel, shift)
    placed = _placed(headers, parts, shift, align_up(kernel.end_paddr))
    phoff = _moved(headers.ehdr.phoff, parts, shift)
    count = len(placed) - len(parts.segments) + len(boot)
    if count > MOST_PHDRS:
        raise refusal(f"{count} program headers are more than Linux takes")
    size = count * PHDR_SIZE
    if _is_followed(headers, notes[0]):
        placed[notes[0]] = _begun_at(placed[notes[0]], phoff + size)
    placed = _followed(headers, parts, placed)
    table: list[Phdr] = []
    for index, phdr in enumerate(placed):
        if index == parts.segments[0]:
            table += boot
        if phdr.type == PT_PHDR and phdr.offset == phoff:
            table.append(phdr._replace(filesz=size, memsz=size))
        elif index not in parts.segments:
            table.append(phdr)
    return _Segments(phoff, table, boot, placed[notes[0]], placed[notes[1]])


def _boot_segments(headers: Headers, parts: Parts, kernel: PackedKernel, shift: int) -> list[Phdr]:
    """The program headers of the kernel, at the virtual address where the old one's began."""
    begin = mapped_from(headers, parts)
    end = max(headers.phdrs[index].vend for index in parts.archive) + shift
    others = [p for i, p in enumerate(headers.phdrs) if p.type == PT_LOAD and i not in parts.own]
    if end > _END_OF_MEMORY or any(p.vaddr < end and begin < p.vend for p in others):
        raise refusal("something else is mapped where it would be")

    def part(offset: int, size: int, paddr: int) -> Phdr:
        return Phdr(PT_LOAD, PF_R, offset, begin + offset - parts.start, paddr, size, size, PAGE)

    return [part(parts.start + s.offset, s.filesz, s.paddr) for s in kernel.segments]


def _placed(headers: Headers, parts: Parts, shift: int, archive: int) -> list[Phdr]:
    """All program headers at their new offsets, and the segments' physical addresses when the
    archive begins at `archive`: it with all that is in it as it was, the others at scratch
    addresses behind it, in the order that they had; without bytes they may stay outside."""
    placed = [p._replace(offset=_moved(p.offset, parts, shift)) for p in headers.phdrs]
    distance = archive - parts.paddr
    for index in (*parts.archive, *parts.shared):
        placed[index] = placed[index]._replace(paddr=placed[index].paddr + distance)
    for index in parts.archive:
        placed[index] = placed[index]._replace(vaddr=placed[index].vaddr + shift)
    own = {*parts.own, *parts.shared}
    loads = _loads(headers, parts)
    scratch = parts.paddr_end + distance
    for index in sorted(loads, key=lambda i: headers.phdrs[i].paddr):
        if index in own or not (placed[index].filesz or placed[index].paddr < OUTSIDE_MEMORY):
            continue
        paddr = placed[index].paddr + distance
        if not 0 <= paddr - scratch < _LONGEST_GAP:
            paddr = congruent(scratch, paddr)
        placed[index] = placed[index]._replace(paddr=paddr)
        scratch = align_up(paddr + placed[index].memsz)
        if scratch > OUTSIDE_MEMORY:
            raise refusal("its segments are longer than a machine's memory")
    return placed


def _loads(headers: Headers, parts: Parts) -> list[int]:
    """Indices of the program's own segments."""
    phdrs = enumerate(headers.phdrs)
    return [i for i, p in phdrs if p.type == PT_LOAD and p.memsz and i not in parts.own]


def _followed(headers: Headers, parts: Parts, placed: list[Phdr]) -> list[Phdr]:
    """The same, where what lies in a segment of the program's has its physical address by it."""
    loads = [placed[index] for index in _loads(headers, parts)]

    def follow(phdr: Phdr) -> Phdr:
        if phdr.type != PT_LOAD and phdr.memsz:
            for load in loads:
                if load.vaddr <= phdr.vaddr < load.vend:
                    return phdr._replace(paddr=load.paddr + phdr.vaddr - load.vaddr)
        return phdr

    return [follow(phdr) for phdr in placed]


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
    """All section headers at their new places; those of the kernel are still the old ones."""
    old = headers.phdrs[note]
    result = []
    for index, shdr in enumerate(headers.shdrs):
        moved = shdr._replace(offset=_moved(shdr.offset, parts, shift))
        if index in parts.pieces:
            moved = moved._replace(addr=moved.addr + shift)
        elif has_bytes(shdr) and (shdr.offset, shdr.size) == (old.offset, old.filesz):
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
    spans = [span(s) for i, s in enumerate(shdrs) if i != owner]
    spans += [span(p) for p in phdrs]
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
    spans = [span(s) for s in made.shdrs]
    spans += [span(p) for p in made.phdrs if p.type not in (PT_LOAD, PT_PHDR)]
    if not in_segment or any(b < end and begin < e for b, e in spans if b < e):
        raise refusal("there is no room for this kernel's program headers")


def _moved(offset: int, parts: Parts, shift: int) -> int:
    return offset + shift if offset >= parts.end else offset
