"""Where every part of an image goes: pure arithmetic, no file touched.

The rules and their reasons are in docs/image.md. In short: the application's bytes stay where the
linker put them; everything else is appended; the program-header table grows in place, or, where
there is no room, moves to the head of what is appended; no two PT_LOADs share a physical address;
the PVH note is the last PT_NOTE.
"""

from __future__ import annotations

from ukcc.errors import UkccError
from ukcc.image.bss import Cut, Split, split_bss
from ukcc.image.headers import (
    EHDR_SIZE,
    ET_DYN,
    ET_EXEC,
    PAGE,
    PF_R,
    PF_X,
    PHDR_SIZE,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    SHDR_SIZE,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHT_NOTE,
    SHT_NULL,
    SHT_PROGBITS,
    SHT_STRTAB,
    Ehdr,
    Headers,
    Phdr,
    Shdr,
    align_up,
)
from ukcc.image.kernel import PackedKernel
from ukcc.image.notes import ALIGN as NOTE_ALIGN
from ukcc.image.program_file import appended
from ukcc.image.room import Grown, grow, table_place
from ukcc.image.section_names import ENTRY_SECTION, METADATA_SECTION, PVH_SECTION
from ukcc.image.sharing import SharedPiece, Sharing, moved_segments, piece_names, placed, shared
from ukcc.light.record import Record

# rust-vmm's loaders refuse an e_entry below this (their HIMEM_START); QEMU does not look at it.
LOWEST_ENTRY = 1 << 20

# `endbr64; jmp rel32`: how a high entry point reaches a low one.
STUB_SIZE = 9

# Linux (load_elf_phdrs) refuses a table of more than a page.
MOST_PHDRS = PAGE // PHDR_SIZE

# So many segments more another kernel may have, where the table grows in place (`rekernel`).
_SPARE_PHDRS = 2

# Addresses of a process are below this (47 bits).
_END_OF_MEMORY = 1 << 47

# patchelf moves sections of the first segment, of which it lengthens some: a run path, names.
_ADDED_BY_PATCHELF = 64 << 10

# How far `jmp rel32` goes, less what is appended.
_REACH_OF_JUMP = (1 << 31) - (1 << 28)


class Sizes(Record):
    """Lengths in bytes of what is appended besides the kernel.

    program: where in the archive the program's file begins, a multiple of a page; 0: nothing of it
    is shared.
    """

    archive: int
    metadata: int
    pvh: int
    program: int = 0


class Layout(Record):
    """The whole image. Offsets are in the output file; what no part covers is zero.

    `phdrs` is the whole program-header table, at `ehdr.phoff`; `shdrs` the whole section table, at
    `ehdr.shoff`, `names` its name table. Of the linked file, the first `app_size` bytes are kept.
    The last `appended` bytes of it follow the ELF file at the end once more, for programs that look
    for them there. `archive`: what the file has of it apart from the program's segments. `stub` is
    (offset, distance to jump) for a program whose entry point is too low, else None. `end_paddr` is
    behind all that a hypervisor loads.
    """

    ehdr: Ehdr
    phdrs: tuple[Phdr, ...]
    shdrs: tuple[Shdr, ...]
    names: bytes
    app_size: int
    appended: int
    stub: tuple[int, int] | None
    metadata_offset: int
    pvh_offset: int
    kernel_offset: int
    archive: tuple[SharedPiece, ...]
    archive_paddr: int
    names_offset: int
    size: int
    end_paddr: int
    cut: Cut | None
    grown: Grown | None


def check_program(app: Headers, what: str) -> None:
    """Raises UkccError unless the headers are those of a program that can be started."""
    loads = [p for p in app.phdrs if p.type == PT_LOAD]
    if app.ehdr.type not in (ET_EXEC, ET_DYN) or not loads:
        raise UkccError(f"{what}: not a program, but an object file or something else")
    if not app.ehdr.entry:
        raise UkccError(f"{what}: a shared library, not a program: it has no entry point")
    if len(app.phdrs) > MOST_PHDRS // 2:
        raise UkccError(f"{what}: {len(app.phdrs)} program headers are more than an image can hold")
    if app.ehdr.shoff and not app.ehdr.shnum:
        raise UkccError(f"{what}: more than 65,279 sections are not supported")
    _check_memory(app, loads, what)


def _check_memory(app: Headers, loads: list[Phdr], what: str) -> None:
    """Raises UkccError for segments that Linux would not map, or an entry point in none of them."""
    for phdr in app.phdrs:
        if max(phdr.vaddr, phdr.memsz, phdr.paddr, phdr.offset) >= _END_OF_MEMORY:
            raise UkccError(f"{what}: damaged ELF file: a segment at {phdr.vaddr:#x}")
    end = 0
    for load in loads:
        if load.filesz > load.memsz or (load.vaddr - load.offset) % PAGE:
            raise UkccError(f"{what}: damaged ELF file: a segment that cannot be mapped")
        if load.vaddr < end or load.vend > _END_OF_MEMORY:
            raise UkccError(f"{what}: its segments overlap, or are not in ascending order")
        end = load.vend
    if not any(load.vaddr <= app.ehdr.entry < load.vend for load in loads):
        raise UkccError(f"{what}: its entry point {app.ehdr.entry:#x} is in no segment")
    # what is appended to such a program lies behind its memory, and must be reached from the stub
    if app.ehdr.entry < LOWEST_ENTRY and end > _REACH_OF_JUMP:
        raise UkccError(
            f"{what}: a program linked at 0 that has {end >> 20:,} MiB of memory is not supported",
            "link it with -no-pie",
        )


def plan(app: Headers, kernel: PackedKernel, sizes: Sizes, pinned: bool = False) -> Layout:
    """Lays out the image of a program (see `check_program`) around a kernel.

    pinned: nothing of the program may move, not even its notes (`room.is_pinned`).
    """
    own = split_bss(app)
    has_stub = app.ehdr.entry < LOWEST_ENTRY
    count = len(own.phdrs) + has_stub + 1 + len(kernel.segments) + 2
    sharing, grown = _arranged(app, own, sizes, count, pinned)
    count += len(sharing.pieces)
    if grown:
        own = own._replace(phdrs=grown.phdrs, shdrs=grown.shdrs)
    loads = [p for p in own.phdrs if p.type == PT_LOAD]

    # File offsets. The kernel and the archive start on pages, so that file systems can share them.
    app_size = _without_section_table(app)
    table = 0 if grown else count * PHDR_SIZE
    head_size = table + sizes.metadata + sizes.pvh
    head_at, bias = (align_up(app_size), 0) if grown else table_place(loads, app_size, head_size)
    metadata = head_at + table
    pvh = metadata + sizes.metadata
    stub = align_up(head_at + head_size)
    kernel_at = stub + (PAGE if has_stub else 0)
    archive_at = align_up(kernel_at + kernel.size)
    pieces = placed(sharing.pieces, archive_at)
    names_at = align_up(pieces[-1].offset + pieces[-1].size)

    # Virtual addresses of the parts that Linux maps and never touches: above everything, and never
    # nearer to their offset than the program is, for qemu-user takes the lowest such distance for
    # the place of the ELF header.
    highest = max(*(p.vend for p in loads), 0 if grown else bias + stub, LOWEST_ENTRY)
    above = max(align_up(highest) - head_at, loads[0].vaddr - loads[0].offset)
    for_patchelf = 0
    if grown:
        if app.ehdr.type == ET_DYN and any(p.type == PT_INTERP for p in own.phdrs):
            above = max(above, _loaded_end(kernel, sizes, loads, head_size) - names_at)
            for_patchelf = names_at + above + align_up(loads[0].filesz) + _ADDED_BY_PATCHELF
        bias = above

    def part(offset: int, size: int, paddr: int, shift: int, flags: int = PF_R) -> Phdr:
        return Phdr(PT_LOAD, flags, offset, offset + shift, paddr, size, size, PAGE)

    # Physical addresses: kernel, archive, then a scratch range for what only Linux looks at. The
    # notes are last, so that the PVH note stays last where patchelf sorts by them. With a table in
    # front of them they are first: GNU strip orders the file by physical address, and writes a
    # table of its own in front of the table's sections without moving p_paddr. Behind a whole page
    # that is right. What patchelf adds to a PIE has a virtual address above all others and the same
    # physical one: it comes between scratch and notes.
    archive_paddr = align_up(kernel.end_paddr)
    scratch = archive_paddr + align_up(sizes.archive)
    head = part(head_at, head_size, scratch, bias)
    scratch = scratch if grown else align_up(head.pend)
    jump = [part(stub, STUB_SIZE, scratch, above, PF_R | PF_X)] if has_stub else []
    boot = [part(kernel_at + s.offset, s.filesz, s.paddr, above) for s in kernel.segments]
    cpio = [part(p.offset, p.size, archive_paddr + p.start, above) for p in pieces]
    scratch += len(jump) * PAGE
    moved, scratch = moved_segments(own.phdrs, sharing, archive_paddr, scratch)
    if grown:
        head = head._replace(paddr=max(scratch, for_patchelf))
    notes = [_note(head, metadata, sizes.metadata), _note(head, pvh, sizes.pvh)]
    place = head if not grown else moved[own.phdrs.index(loads[0])]
    moved = _with_pt_phdr(moved, place, EHDR_SIZE if grown else head_at, count)
    phdrs = [*_with_head(moved, head), *jump, *boot, *cpio, *notes]

    added = [
        (METADATA_SECTION, covering(notes[0])),
        (PVH_SECTION, covering(notes[1])),
        *((ENTRY_SECTION, covering(p)) for p in jump),
        *((s.name, covering(p)) for s, p in zip(kernel.segments, boot, strict=True)),
        *zip(piece_names(len(cpio)), map(covering, cpio), strict=True),
    ]
    ehdr, shdrs, names = _section_table(app, own.shdrs, added, names_at)
    ehdr = ehdr._replace(
        entry=jump[0].vaddr if jump else app.ehdr.entry,
        phoff=EHDR_SIZE if grown else head_at,
        phentsize=PHDR_SIZE,
        phnum=len(phdrs),
    )
    in_memory = (p.pend for p in phdrs if p.type == PT_LOAD and p.filesz)
    return Layout(
        ehdr=ehdr,
        phdrs=tuple(phdrs),
        shdrs=shdrs,
        names=names,
        app_size=app_size,
        appended=appended(app),
        stub=(stub, app.ehdr.entry - (jump[0].vaddr + STUB_SIZE)) if jump else None,
        metadata_offset=metadata,
        pvh_offset=pvh,
        kernel_offset=kernel_at,
        archive=pieces,
        archive_paddr=archive_paddr,
        names_offset=names_at,
        size=ehdr.shoff + len(shdrs) * SHDR_SIZE + appended(app),
        end_paddr=max(kernel.end_paddr, *in_memory),
        cut=own.cut,
        grown=grown,
    )


def _arranged(
    app: Headers, own: Split, sizes: Sizes, count: int, pinned: bool
) -> tuple[Sharing, Grown | None]:
    """What of the archive is shared, and the program's headers when their table has grown.

    count: of all headers but the archive's. Nothing is shared where the headers find no room then,
    also not those that another kernel may want.
    """
    whole, parts = (shared(app, sizes.archive, place) for place in (0, sizes.program))
    if not pinned:
        for one, spare in ((parts, _SPARE_PHDRS), (whole, _SPARE_PHDRS), (whole, 0)):
            grown = grow(app, own.phdrs, own.shdrs, count + len(one.pieces) + spare)
            if grown:
                return one, grown
    fits = count + len(parts.pieces) <= MOST_PHDRS
    return (parts if fits else whole), None


def plan_thin(app: Headers, metadata: int) -> Layout:
    """Lays out a thin image: the program as it is, and a section for `metadata` bytes of notes.

    No segment changes, so there is nothing that a tool could move wrongly.
    """
    app_size = _without_section_table(app)
    at = align_up(app_size, NOTE_ALIGN)
    names_at = at + metadata
    added = [(METADATA_SECTION, Shdr(0, SHT_NOTE, 0, 0, at, metadata, 0, 0, NOTE_ALIGN, 0))]
    ehdr, shdrs, names = _section_table(app, app.shdrs, added, names_at)
    return Layout(
        ehdr=ehdr,
        phdrs=app.phdrs,
        shdrs=shdrs,
        names=names,
        app_size=app_size,
        appended=appended(app),
        stub=None,
        metadata_offset=at,
        pvh_offset=names_at,
        kernel_offset=names_at,
        archive=(),
        archive_paddr=0,
        names_offset=names_at,
        size=ehdr.shoff + len(shdrs) * SHDR_SIZE + appended(app),
        end_paddr=0,
        cut=None,
        grown=None,
    )


def _without_section_table(app: Headers) -> int:
    """How much of the linked file to keep: the section table is written anew at the end."""
    at = app.ehdr.shoff
    return at if at and at + len(app.shdrs) * SHDR_SIZE == app.size else app.size


def _loaded_end(kernel: PackedKernel, sizes: Sizes, loads: list[Phdr], head_size: int) -> int:
    """Where, at the latest, all that a hypervisor loads ends; but for what patchelf adds."""
    scratch = sum(align_up(p.memsz) + PAGE for p in loads if p.filesz) + align_up(head_size)
    return align_up(kernel.end_paddr) + align_up(sizes.archive) + scratch + PAGE


def _with_pt_phdr(moved: list[Phdr], load: Phdr, phoff: int, count: int) -> list[Phdr]:
    """The headers, PT_PHDR, where there is one, saying where the whole table is: in `load`.

    The dynamic loader computes the load address from it.
    """
    into, size = phoff - load.offset, count * PHDR_SIZE
    return [
        p._replace(
            offset=phoff,
            vaddr=load.vaddr + into,
            paddr=load.paddr + into,
            filesz=size,
            memsz=size,
        )
        if p.type == PT_PHDR
        else p
        for p in moved
    ]


def _with_head(moved: list[Phdr], head: Phdr) -> list[Phdr]:
    """The application's headers and, among its PT_LOADs, `head`, in ascending order."""
    loads = [i for i, p in enumerate(moved) if p.type == PT_LOAD]
    first = loads[0] if head.vaddr < moved[loads[0]].vaddr else loads[-1] + 1
    return [*moved[:first], head, *moved[first:]]


def _note(head: Phdr, offset: int, size: int) -> Phdr:
    """A PT_NOTE inside the table's segment."""
    into = offset - head.offset
    return Phdr(PT_NOTE, PF_R, offset, head.vaddr + into, head.paddr + into, size, size, 4)


def covering(phdr: Phdr) -> Shdr:
    """The header of a section that covers a segment, its name still to be given.

    Allocatable: GNU strip and objcopy keep a segment's bytes only where such a section claims them.
    """
    kind = SHT_NOTE if phdr.type == PT_NOTE else SHT_PROGBITS
    flags = SHF_ALLOC | (SHF_EXECINSTR if phdr.flags & PF_X else 0)
    align = phdr.align if phdr.type == PT_NOTE else 1 if phdr.vaddr % PAGE else PAGE
    return Shdr(0, kind, flags, phdr.vaddr, phdr.offset, phdr.filesz, 0, 0, align, 0)


def _section_table(
    app: Headers, own: tuple[Shdr, ...], added: list[tuple[str, Shdr]], names_at: int
) -> tuple[Ehdr, tuple[Shdr, ...], bytes]:
    """(the file's header that leads to them, all section headers, their name table).

    The name table lies at `names_at`, the headers behind it.
    New sections come last, so that no index in a symbol or a link changes.
    """
    shdrs = list(own)
    names = app.names
    shstrndx = app.ehdr.shstrndx
    if not shdrs:  # the program had its section table removed
        shdrs, names, shstrndx = [Shdr(SHT_NULL, *[0] * 9)], b"\0", 0
    for name, shdr in added:
        shdrs.append(shdr._replace(name=len(names)))
        names += name.encode() + b"\0"
    if not shstrndx:
        shstrndx = len(shdrs)
        shdrs.append(Shdr(len(names), SHT_STRTAB, 0, 0, 0, 0, 0, 0, 1, 0))
        names += b".shstrtab\0"
    shdrs[shstrndx] = shdrs[shstrndx]._replace(offset=names_at, size=len(names))
    ehdr = app.ehdr._replace(
        shoff=align_up(names_at + len(names), 8),
        shentsize=SHDR_SIZE,
        shnum=len(shdrs),
        shstrndx=shstrndx,
    )
    return ehdr, tuple(shdrs), names
