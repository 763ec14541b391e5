"""Room for the program headers of an image, right behind those of the program.

Every tool that computes where the table lies in memory (qemu-user, valgrind, gVisor, symbolizers)
takes the address of the ELF header + e_phoff, and GNU strip writes it behind that header whatever
it was. So the table has to grow in place. `shims/room.o` is part of each link: its note lies where
linkers put notes, near the table. What is between them, notes and the interpreter's path, is only
found by headers, and moves up into the room.
"""

from __future__ import annotations

import os
import struct

from ukcc.image.headers import (
    EHDR_SIZE,
    PAGE,
    PHDR_SIZE,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    SHF_ALLOC,
    SHT_DYNSYM,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_SYMTAB,
    Headers,
    Phdr,
    Shdr,
    align_up,
)
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

ROOM_SECTION = ".note.uk.room"

# What may move: code can only refer to it by a symbol of the program's own.
_MOVABLE = (b".interp", b".note.gnu.property", b".note.gnu.build-id", b".note.ABI-tag")

_NOTE = struct.Struct("<III8s")  # namesz, descsz, type, "UKCC" padded
_NOTE_NAME, _NOTE_TYPE = b"UKCC\0\0\0\0", 3

_ABI_TAG = b"__abi_tag"  # glibc's name for its own note, to which nothing refers (csu/abi-note.c)

# A table below the program goes no lower than this: vm.mmap_min_addr forbids only the first 64 KiB,
# but null pointers with an offset should still fault.
_LOWEST_TABLE = 1 << 20

# A table behind the program's memory may lengthen the file by this; no blocks, but copies may.
_LONGEST_HOLE = 16 << 20

_STT_SECTION = 3
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, shndx, value, size
_HALVES, _SHNDX = _SYMBOL.size // 2, 3  # st_shndx is the fourth of a symbol's 12 half-words


class Grown(Record):
    """The program's headers when its table has grown.

    Bytes `start` to `end` of the linked file lie `distance` further up; `note` (offset, bytes) is
    what remains of the room, and begins there. `sections`: indices of what was moved.
    """

    phdrs: tuple[Phdr, ...]
    shdrs: tuple[Shdr, ...]
    start: int
    end: int
    distance: int
    note: tuple[int, bytes]
    sections: frozenset[int]


def grow(
    app: Headers, phdrs: tuple[Phdr, ...], shdrs: tuple[Shdr, ...], count: int
) -> Grown | None:
    """Makes place for a table of `count` headers behind the ELF header; None where there is none.

    phdrs, shdrs: the program's, as far as they are decided already; those of `app`, as linked.
    """
    first = next((p for p in phdrs if p.type == PT_LOAD), None)
    room = _room(app)
    if room is None or first is None or first.offset or app.ehdr.phoff != EHDR_SIZE:
        return None
    index, note = room
    table_end = EHDR_SIZE + count * PHDR_SIZE
    between = _between(app, note)
    if between is None or note.offset + note.size > first.filesz:
        return None
    if note.addr - note.offset != first.vaddr:
        return None
    start = min([note.offset, *(app.shdrs[i].offset for i in between)])
    alignment = max([8, *(app.shdrs[i].addralign for i in between)])
    distance = align_up(max(table_end - start, 0), alignment)
    left = note.size - distance
    if left < _NOTE.size or alignment & (alignment - 1):
        return None

    end, room_end = note.offset, note.offset + note.size
    if any(p.offset < room_end and end < p.offset + p.filesz < room_end for p in phdrs):
        return None  # it describes a part of the room
    changed = list(shdrs)
    for i in between:
        changed[i] = _shifted_section(shdrs[i], distance)
    changed[index] = _shifted_section(shdrs[index], distance)._replace(size=left)
    described = [_shifted(p, start, note, distance) for p in phdrs]
    header = _NOTE.pack(len("UKCC") + 1, left - _NOTE.size, _NOTE_TYPE, _NOTE_NAME)
    return Grown(
        phdrs=tuple(described),
        shdrs=tuple(changed),
        start=start,
        end=end,
        distance=distance,
        note=(end + distance, header),
        sections=frozenset([*between, index]),
    )


def table_place(loads: list[Phdr], app_size: int, size: int) -> tuple[int, int]:
    """(file offset of the table's segment of `size` bytes, its virtual address minus that offset),
    for a program in which there is no room for a larger table.

    Behind the program's memory, BSS included, at text base + file offset: there everybody finds it.
    Where that would make the file long, below the program. Linux finds it there too: before 5.18 it
    computes AT_PHDR as e_phoff + (vaddr - offset of the first PT_LOAD), since then it looks for the
    PT_LOAD that holds e_phoff. Below a PIE linked at 0 there is nothing.
    """
    start = loads[0].vaddr // PAGE * PAGE
    base = loads[0].vaddr - loads[0].offset
    phoff = align_up(app_size)
    behind = max(phoff, align_up(max(p.vend for p in loads)) - base)
    below = start - align_up(size) - PAGE
    if behind - phoff > _LONGEST_HOLE and below >= _LOWEST_TABLE:
        return phoff, below - phoff
    return behind, base


def is_pinned(fd: int, app: Headers) -> bool:
    """Whether the program has a symbol in what would move: then its code may know the address."""
    room = _room(app)
    movable = _between(app, room[1]) if room else None
    if not movable:
        return False
    for shdr in _symbol_tables(app):
        data = _content(fd, shdr)
        for at in _symbols_in(data, app, movable):
            name, info, *_ = _SYMBOL.unpack_from(data, at)
            if info & 15 != _STT_SECTION and _name(fd, app, shdr, name) != _ABI_TAG:
                return True
    return False


def moved_symbols(fd: int, app: Headers, grown: Grown) -> list[tuple[int, bytes]]:
    """(offset, bytes) of the symbols of what has moved, with their new value."""
    patches = []
    for shdr in _symbol_tables(app):
        data = _content(fd, shdr)
        for at in _symbols_in(data, app, grown.sections):
            name, info, other, shndx, value, size = _SYMBOL.unpack_from(data, at)
            new = _SYMBOL.pack(name, info, other, shndx, value + grown.distance, size)
            patches.append((shdr.offset + at, new))
    return patches


def _room(app: Headers) -> tuple[int, Shdr] | None:
    """(index, header) of the room's section."""
    table_end = EHDR_SIZE + len(app.phdrs) * PHDR_SIZE
    for index, shdr in enumerate(app.shdrs):
        if shdr.type == SHT_NOTE and app.name_of(shdr) == ROOM_SECTION.encode():
            usable = shdr.flags & SHF_ALLOC and shdr.offset >= table_end
            return (index, shdr) if usable else None
    return None


def _between(app: Headers, room: Shdr) -> list[int] | None:
    """The sections that lie between the table and the room; None if one of them cannot move."""
    table_end = EHDR_SIZE + len(app.phdrs) * PHDR_SIZE
    found = []
    for index, shdr in enumerate(app.shdrs):
        if shdr.type == SHT_NOBITS or not shdr.size or shdr.offset >= room.offset:
            continue
        if shdr.offset < table_end or shdr.offset + shdr.size > room.offset:
            return None
        if shdr.addr - shdr.offset != room.addr - room.offset:
            return None
        if app.name_of(shdr) not in _MOVABLE:
            return None
        found.append(index)
    return found


def _shifted_section(shdr: Shdr, distance: int) -> Shdr:
    return shdr._replace(addr=shdr.addr + distance, offset=shdr.offset + distance)


def _shifted(phdr: Phdr, start: int, room: Shdr, distance: int) -> Phdr:
    """A header of moved bytes. The room at the end of a PT_NOTE is left out of it.

    QEMU 7.2 (get_elf_note_type) reads on behind a PT_NOTE until a note is longer than that one, and
    dies of zeros; what is left of the room is such a note.
    """
    if phdr.type in (PT_LOAD, PT_PHDR) or not phdr.filesz:
        return phdr
    if not start <= phdr.offset < room.offset + room.size:
        return phdr
    end, room_end = phdr.offset + phdr.filesz, room.offset + room.size
    size = phdr.filesz
    if end == room_end and phdr.type == PT_NOTE and phdr.offset < room.offset:
        size -= room.size
    elif end > room.offset:
        size -= distance
    return phdr._replace(
        offset=phdr.offset + distance,
        vaddr=phdr.vaddr + distance,
        paddr=phdr.paddr + distance,
        filesz=size,
        memsz=size,
    )


def _symbol_tables(app: Headers) -> list[Shdr]:
    return [shdr for shdr in app.shdrs if shdr.type in (SHT_SYMTAB, SHT_DYNSYM)]


def _content(fd: int, shdr: Shdr) -> bytes:
    return os.pread(fd, shdr.size, shdr.offset)


def _name(fd: int, app: Headers, table: Shdr, at: int) -> bytes:
    strings = app.shdrs[table.link] if table.link < len(app.shdrs) else table
    return os.pread(fd, len(_ABI_TAG) + 1, strings.offset + at).partition(b"\0")[0]


def _symbols_in(data: bytes, app: Headers, sections: Iterable[int]) -> list[int]:
    """Offsets of the symbols that lie in one of the sections.

    Not every symbol of a section does: `__ehdr_start` belongs to the first one, whatever that is.
    """
    whole = len(data) // _SYMBOL.size * _SYMBOL.size
    # no step for each of a hundred thousand symbols
    owners = memoryview(data)[:whole].cast("H")[_SHNDX::_HALVES].tolist()
    found = []
    for section in set(owners).intersection(sections):
        shdr, index = app.shdrs[section], -1
        for _ in range(owners.count(section)):
            index = owners.index(section, index + 1)
            at = index * _SYMBOL.size
            if 0 <= _SYMBOL.unpack_from(data, at)[4] - shdr.addr < shdr.size:
                found.append(at)
    return found
