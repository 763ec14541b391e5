"""What a dynamic program says to the loader: which libraries it needs, and which names.

The names are read from the sections that a linker has just written, with `struct`: part of every
link. Sources: the gABI ("Symbol Table") and the LSB ("Symbol Versioning"). The libraries are for
`loader_tags` to read.
"""

from __future__ import annotations

import os
import struct

from ukcc.image.headers import Headers, Shdr, open_headers, reader
from ukcc.image.loader_tags import read_loader_tags
from ukcc.light.record import Record

SHT_DYNSYM, SHT_SYMTAB, SHT_RELA, SHT_VERSYM = 11, 2, 4, 0x6FFFFFFF

_SYMBOL = struct.Struct("<IBBHQQ")
_RELA = struct.Struct("<QQq")
_IRELATIVE = 37  # R_X86_64_IRELATIVE (psABI)
_FILE = 4  # STT_FILE
_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10
_UNDEFINED = 0
_FIRST_VERSION = 2  # 0 is local, 1 is global without a version


class Dynamic(Record):
    """The loader's view of one file; names of symbols are bytes, as ELF has them.

    needed: the libraries, in order. resolves: it has functions that choose their code (ifunc).
    imports: names that another file has to define. weak: names that may stay undefined. bound:
    those of the weak ones that have a version, so the link has seen a definition.
    """

    needed: tuple[str, ...]
    resolves: bool
    imports: frozenset[bytes]
    weak: frozenset[bytes]
    bound: frozenset[bytes]


def read_dynamic(path: str) -> Dynamic | None:
    """The libraries and dynamic symbols of a file; None if it has none. Raises UkccError."""
    fd, headers = open_headers(path)
    try:
        symbols = _section(headers, SHT_DYNSYM)
        if symbols is None:
            return None
        versions = _section(headers, SHT_VERSYM)
        strings = _strings(fd, headers, symbols)
        return Dynamic(
            read_loader_tags(reader(fd), headers, path).needed,
            any(_has_ifunc(fd, shdr) for shdr in headers.shdrs if shdr.type == SHT_RELA),
            *_sorted_symbols(
                list(_SYMBOL.iter_unpack(_whole(fd, symbols, _SYMBOL.size))),
                _whole(fd, versions, 2) if versions else b"",
                strings,
            ),
        )
    finally:
        os.close(fd)


def defined_names(path: str) -> frozenset[bytes] | None:
    """What a program defines for all of its parts, also what is hidden from other files.

    None for one without a symbol table. Raises UkccError.
    """
    fd, headers = open_headers(path)
    try:
        table = _section(headers, SHT_SYMTAB)
        if table is None:
            return None
        symbols = list(_SYMBOL.iter_unpack(_whole(fd, table, _SYMBOL.size)))
        strings = _strings(fd, headers, table)
    finally:
        os.close(fd)
    # BFD makes hidden names local, and puts them behind a file without a name. Where another linker
    # does not, static functions cannot be told from them, and count.
    hidden_from = 0
    for index, (name, info, *_) in enumerate(symbols):
        if info & 15 == _FILE and not _name(strings, name):
            hidden_from = index
    return frozenset(
        _name(strings, name)
        for index, (name, info, _, section, _, _) in enumerate(symbols)
        if section != _UNDEFINED and info & 15 != _FILE
        if info >> 4 in (_GLOBAL, _WEAK, _UNIQUE) or index > hidden_from
    )


def _has_ifunc(fd: int, relocations: Shdr) -> bool:
    data = _whole(fd, relocations, _RELA.size)
    return any(info & 0xFFFFFFFF == _IRELATIVE for _, info, _ in _RELA.iter_unpack(data))


def _sorted_symbols(
    symbols: list[tuple[int, ...]], versions: bytes, strings: bytes
) -> tuple[frozenset[bytes], ...]:
    """Imports, weak names, and those of them that have a version."""
    imports, weak, bound = set(), set(), set()
    index = [number & 0x7FFF for (number,) in struct.iter_unpack("<H", versions)]
    index += [1] * (len(symbols) - len(index))
    for (name, info, _, section, _, _), version in zip(symbols, index, strict=False):
        if section != _UNDEFINED:
            continue
        if info >> 4 == _GLOBAL:
            imports.add(_name(strings, name))
        elif info >> 4 == _WEAK:
            weak.add(_name(strings, name))
            if version >= _FIRST_VERSION:
                bound.add(_name(strings, name))
    return frozenset(imports), frozenset(weak), frozenset(bound)


def _section(headers: Headers, kind: int) -> Shdr | None:
    return next((shdr for shdr in headers.shdrs if shdr.type == kind), None)


def _strings(fd: int, headers: Headers, table: Shdr) -> bytes:
    if table.link >= len(headers.shdrs):
        return b""
    return _whole(fd, headers.shdrs[table.link], 1)


def _whole(fd: int, shdr: Shdr, entry: int) -> bytes:
    """A section's bytes, in whole entries. That it lies in the file has been checked."""
    return os.pread(fd, shdr.size - shdr.size % entry, shdr.offset)


def _name(strings: bytes, offset: int) -> bytes:
    return strings[offset : strings.find(b"\0", offset)]
