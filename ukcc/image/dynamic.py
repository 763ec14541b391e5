"""What a dynamic program or a shared library says to the loader: needs, imports, exports.

Read from the sections that a linker has just written, with `struct`: part of every link. Sources:
the gABI ("Dynamic Section", "Symbol Table") and the LSB ("Symbol Versioning").
"""

from __future__ import annotations

import os
import struct

from ukcc.image.headers import SHF_ALLOC, Headers, Shdr, open_headers
from ukcc.record import Record

SHT_DYNAMIC, SHT_DYNSYM, SHT_SYMTAB, SHT_VERSYM = 6, 11, 2, 0x6FFFFFFF

DT_NEEDED, DT_INIT, DT_FINI, DT_SONAME, DT_SYMBOLIC, DT_FLAGS = 1, 12, 13, 14, 16, 30
DT_INIT_ARRAYSZ, DT_FINI_ARRAYSZ, DT_PREINIT_ARRAYSZ = 27, 28, 33
DT_FLAGS_1, DT_VERDEF, DT_AUXILIARY, DT_FILTER = 0x6FFFFFFB, 0x6FFFFFFC, 0x7FFFFFFD, 0x7FFFFFFF

_SYMBOL = struct.Struct("<IBBHQQ")
_DYNAMIC = struct.Struct("<qQ")
_GLOBAL, _WEAK, _UNIQUE = 1, 2, 10
_UNDEFINED = 0
_FIRST_VERSION = 2  # 0 is local, 1 is global without a version


class Dynamic(Record):
    """The loader's view of one file; names are bytes, as ELF has them.

    needed: DT_NEEDED in order. soname: empty without one. tags: the last value of every tag.
    sections: name → address and size in bytes of what lies in memory. imports: names that another
    file has to define. weak: names that may stay undefined. bound: those of the weak ones that have
    a version, so the link has seen a definition. own: names that this file defines and shows, so
    that its definition counts before another's.
    """

    needed: tuple[bytes, ...]
    soname: bytes
    sections: dict[bytes, tuple[int, int]]
    tags: dict[int, int]
    imports: frozenset[bytes]
    weak: frozenset[bytes]
    bound: frozenset[bytes]
    own: frozenset[bytes]


def read_dynamic(path: str) -> Dynamic | None:
    """The dynamic section and symbols of a file; None if it has none. Raises UkccError."""
    fd, headers = open_headers(path)
    try:
        tags = _section(headers, SHT_DYNAMIC)
        symbols = _section(headers, SHT_DYNSYM)
        if tags is None or symbols is None:
            return None
        versions = _section(headers, SHT_VERSYM)
        strings = _strings(fd, headers, symbols)
        entries = list(_DYNAMIC.iter_unpack(_whole(fd, tags, _DYNAMIC.size)))
        soname = [_name(strings, value) for tag, value in entries if tag == DT_SONAME]
        return Dynamic(
            tuple(_name(strings, value) for tag, value in entries if tag == DT_NEEDED),
            soname[0] if soname else b"",
            {headers.name_of(s): (s.addr, s.size) for s in headers.shdrs if s.flags & SHF_ALLOC},
            dict(entries),
            *_sorted_symbols(
                list(_SYMBOL.iter_unpack(_whole(fd, symbols, _SYMBOL.size))),
                _whole(fd, versions, 2) if versions else b"",
                strings,
            ),
        )
    finally:
        os.close(fd)


def defined_globals(path: str) -> frozenset[bytes] | None:
    """The names that a file's full symbol table defines for others; None if it was stripped."""
    fd, headers = open_headers(path)
    try:
        table = _section(headers, SHT_SYMTAB)
        if table is None:
            return None
        strings = _strings(fd, headers, table)
        return frozenset(
            _name(strings, name)
            for name, info, _, section, _, _ in _SYMBOL.iter_unpack(_whole(fd, table, _SYMBOL.size))
            if section != _UNDEFINED and info >> 4 in (_GLOBAL, _WEAK, _UNIQUE)
        )
    finally:
        os.close(fd)


def _sorted_symbols(
    symbols: list[tuple[int, ...]], versions: bytes, strings: bytes
) -> tuple[frozenset[bytes], ...]:
    """The four sets of a Dynamic, in its order.

    A name with a version that is not the file's own comes from a library. That holds for a
    definition, too: of a variable that the program has a copy of (R_X86_64_COPY).
    """
    imports, weak, bound, own = set(), set(), set(), set()
    index = [number & 0x7FFF for (number,) in struct.iter_unpack("<H", versions)]
    index += [1] * (len(symbols) - len(index))
    for (name, info, _, section, _, _), version in zip(symbols, index, strict=False):
        binding = info >> 4
        if section != _UNDEFINED:
            if binding in (_GLOBAL, _WEAK, _UNIQUE) and version < _FIRST_VERSION:
                own.add(_name(strings, name))
        elif binding == _GLOBAL:
            imports.add(_name(strings, name))
        elif binding == _WEAK:
            weak.add(_name(strings, name))
            if version >= _FIRST_VERSION:
                bound.add(_name(strings, name))
    return frozenset(imports), frozenset(weak), frozenset(bound), frozenset(own)


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
