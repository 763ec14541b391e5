"""A program or library without its debug information: what a machine keeps in its memory.

As `strip --strip-debug` would do it, for what a linker wrote: what is loaded keeps its place, and
the symbol table stays, as backtraces use it. Part of every link: one process fewer.
"""

from __future__ import annotations

import os

from ukcc.image.headers import (
    SHDR_SIZE,
    SHT_NOBITS,
    SHT_SYMTAB,
    Headers,
    align_up,
    open_headers,
)
from ukcc.image.program_file import appended, is_debug

_SHF_INFO_LINK = 0x40
_SHT_REL = (4, 9)  # SHT_RELA, SHT_REL: sh_info is a section too
_SHN_ABS, _SHN_LORESERVE = 0xFFF1, 0xFF00
_SYMBOL_SIZE = 24
_SHNDX = 3  # st_shndx is the fourth of a symbol's 12 half-words


def without_debug(path: str) -> bytes:
    """The file without debug information.

    As it is where there is none, no section table, or something behind it: a program that has
    been given an archive or a signature finds it by its place.
    """
    fd, headers = open_headers(path)
    try:
        if appended(headers) or not any(is_debug(headers, s) for s in headers.shdrs):
            return os.pread(fd, headers.size, 0)
        return _rewritten(fd, headers)
    finally:
        os.close(fd)


def _rewritten(fd: int, headers: Headers) -> bytes:
    """What segments hold as it lies, then the sections that stay, then their table."""
    loaded = max(p.offset + p.filesz for p in headers.phdrs)
    kept = [index for index, s in enumerate(headers.shdrs) if not is_debug(headers, s)]
    number = {old: new for new, old in enumerate(kept)}
    data = bytearray(os.pread(fd, loaded, 0))
    table = []
    for old in kept:
        shdr = headers.shdrs[old]
        if shdr.type != SHT_NOBITS and shdr.offset + shdr.size > loaded:
            content = os.pread(fd, shdr.size, shdr.offset)
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
    data[: ehdr.ehsize] = ehdr.pack()
    return bytes(data)


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
