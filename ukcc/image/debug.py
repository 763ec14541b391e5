"""A program or library without its debug information: what a machine keeps in its memory.

As `strip --strip-debug` would do it, for what a linker wrote: what is loaded keeps its place, and
the symbol table stays, as backtraces use it. Part of every link: one process fewer.
"""

from __future__ import annotations

import os

from ukcc.errors import UkccError
from ukcc.image.headers import (
    EHDR_SIZE,
    PHDR_SIZE,
    SHDR_SIZE,
    SHT_NOBITS,
    SHT_SYMTAB,
    Headers,
    align_up,
    open_headers,
    reader,
)
from ukcc.image.program_file import appended, is_debug

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ukcc.image.headers import Read, Shdr

# What boots lies below 4 GiB, where devices are as well; and Linux reads no more at once.
LARGEST = (2 << 30) - 4096

_SHF_INFO_LINK = 0x40
_SHT_REL = (4, 9)  # SHT_RELA, SHT_REL: sh_info is a section too
_SHN_ABS, _SHN_LORESERVE = 0xFFF1, 0xFF00
_SYMBOL_SIZE = 24
_LARGEST_ALIGNMENT = 4096  # of what is not loaded
_SHNDX = 3  # st_shndx is the fourth of a symbol's 12 half-words


def without_debug(path: str) -> bytes:
    """The file without debug information.

    As it is where there is none, no section table, or something behind it: a program that has
    been given an archive or a signature finds it by its place.
    """
    fd, headers = open_headers(path)
    try:
        return stripped(reader(fd), headers, path)
    finally:
        os.close(fd)


def stripped(read: Read, headers: Headers, what: str) -> bytes:
    """The same of an open file. Raises UkccError for a file that no linker wrote, or a huge one."""
    if appended(headers) or not any(is_debug(headers, s) for s in headers.shdrs):
        _check_size(headers.size, what)
        return read(0, headers.size)
    return _rewritten(read, headers, what)


def _check_size(size: int, what: str) -> None:
    if size > LARGEST:
        raise UkccError(f"{what}: larger than 2 GiB, too much for an image")


def _rewritten(read: Read, headers: Headers, what: str) -> bytes:
    """What segments hold as it lies, then the sections that stay, then their table."""
    ends = [p.offset + p.filesz for p in headers.phdrs if p.filesz]
    # the table of segments may lie outside them all
    table_end = headers.ehdr.phoff + len(headers.phdrs) * PHDR_SIZE if headers.phdrs else 0
    loaded = max(EHDR_SIZE, table_end, *ends)
    kept = [index for index, s in enumerate(headers.shdrs) if not is_debug(headers, s)]
    number = {old: new for new, old in enumerate(kept)}
    behind = [s for s in headers.shdrs if not is_debug(headers, s) and _lies_behind(s, loaded)]
    _check_sections(behind, headers.size, what)
    _check_size(loaded + sum(s.size for s in behind), what)
    data = bytearray(read(0, loaded))
    table = []
    for old in kept:
        shdr = headers.shdrs[old]
        if _lies_behind(shdr, loaded):
            content = read(shdr.offset, shdr.size)
            if shdr.type == SHT_SYMTAB:
                content = _renumbered(content, number)
            data += b"\0" * (align_up(len(data), max(shdr.addralign, 1)) - len(data))
            shdr = shdr._replace(offset=len(data))
            data += content
        shdr = shdr._replace(link=number.get(shdr.link, 0))
        if shdr.flags & _SHF_INFO_LINK or shdr.type in _SHT_REL:
            shdr = shdr._replace(info=number.get(shdr.info, 0))
        table.append(shdr)
    data += b"\0" * (align_up(len(data), 8) - len(data))
    ehdr = headers.ehdr._replace(
        shoff=len(data),
        shentsize=SHDR_SIZE,
        shnum=len(table),
        shstrndx=number.get(headers.ehdr.shstrndx, 0),
    )
    data += b"".join(shdr.pack() for shdr in table)
    data[:EHDR_SIZE] = ehdr.pack()
    return bytes(data)


def _lies_behind(shdr: Shdr, loaded: int) -> bool:
    return shdr.type != SHT_NOBITS and shdr.offset + shdr.size > loaded


def _check_sections(shdrs: list[Shdr], size: int, what: str) -> None:
    """Sections of a linker's do not overlap, so that together they are no longer than the file."""
    if sum(s.size for s in shdrs) > size:
        raise UkccError(f"{what}: damaged ELF file: its sections overlap")
    if sum(s.addralign for s in shdrs) > max(size, 1 << 20):
        raise UkccError(f"{what}: damaged ELF file: its sections' alignment")
    for shdr in shdrs:
        if shdr.addralign & (shdr.addralign - 1) or shdr.addralign > _LARGEST_ALIGNMENT:
            raise UkccError(f"{what}: damaged ELF file: a section's alignment")
        if shdr.type == SHT_SYMTAB and shdr.size % _SYMBOL_SIZE:
            raise UkccError(f"{what}: damaged ELF file: a symbol table's size")


def _renumbered(content: bytes, number: dict[int, int]) -> bytes:
    """A symbol table for the new numbers; symbols of what is gone keep only their value."""
    changed = bytearray(content)
    words = memoryview(changed).cast("H")
    used = set(words[_SHNDX :: _SYMBOL_SIZE // 2].tolist())
    moved = {
        old: number.get(old, _SHN_ABS)
        for old in used
        if old < _SHN_LORESERVE and number.get(old, _SHN_ABS) != old
    }
    if moved:
        for at in range(_SHNDX, len(words), _SYMBOL_SIZE // 2):
            words[at] = moved.get(words[at], words[at])
    words.release()
    return bytes(changed)
