"""ELF files read outside the link path, as plain data: programs, libraries, kernels, images.

Any of them may be a stranger's. `headers` has checked that every table and part lies in the file;
what is read here beside that has a bound of its own.
"""

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ukcc.errors import NotAnImage, UkccError
from ukcc.image.archive_file import Archive, is_damaged, open_archive
from ukcc.image.headers import (
    ET_DYN,
    ET_EXEC,
    PT_LOAD,
    PT_NOTE,
    SHF_ALLOC,
    SHF_COMPRESSED,
    SHF_EXECINSTR,
    SHT_NOBITS,
    SHT_NULL,
    SHT_SYMTAB,
    Headers,
    Shdr,
    open_file,
    parse_headers,
)
from ukcc.image.libtool import wrapper_mend
from ukcc.image.loader_tags import read_interpreter
from ukcc.image.notes import find_note

if TYPE_CHECKING:
    from ukcc.image.headers import Read

# Of a real program, much less: Chrome's text has 200 MB, its symbols 60.
_LARGEST_PART = 512 << 20
_LARGEST_SYMBOLS = 128 << 20
_LARGEST_NOTES = 16 << 20
# Of names that share their ends, the sum may be larger than the table; of honest ones by little.
_NAMES_FACTOR, _NAMES_MORE = 4, 1 << 20
_LONGEST_NAME = 65536  # C++ templates have names of some thousand characters

_SYMBOL = struct.Struct("<IBBHQQ")
_STT_FUNC, _STT_SECTION, _STT_FILE, _STT_GNU_IFUNC = 2, 3, 4, 10
_SHN_UNDEF, _SHN_LORESERVE = 0, 0xFF00


class Segment(NamedTuple):
    """A PT_LOAD: addresses and sizes in bytes; `number` in the program-header table."""

    number: int
    flags: int
    vaddr: int
    paddr: int
    offset: int
    filesz: int
    memsz: int


class Section(NamedTuple):
    """A section: `allocated` and `executable` by its flags, `in_file` unless NOBITS."""

    name: str
    addr: int
    offset: int
    size: int
    allocated: bool
    executable: bool
    in_file: bool


class Function(NamedTuple):
    """A function symbol; `is_global` unless local to its object."""

    name: str
    addr: int
    size: int
    is_global: bool


class Symbol(NamedTuple):
    """Anything with a name: `kind` is STT_OBJECT, …; `section` its number; `unit` the number of
    the FILE symbol before it, which names the source of a local one; -1 for a global one."""

    name: str
    addr: int
    size: int
    kind: int
    is_global: bool
    section: int
    unit: int


class _Symbol(NamedTuple):
    name: str
    info: int
    shndx: int
    value: int
    size: int


class Elf:
    """One ELF file, open for reading; `what` names it in messages."""

    def __init__(self, read: "Read", headers: Headers, what: str) -> None:
        self._read = read
        self._headers = headers
        self._what = what

    @property
    def read(self) -> "Read":
        """Reads (offset, count) of the file's bytes."""
        return self._read

    @property
    def kind(self) -> str:
        """`ET_EXEC`, `ET_DYN`, …"""
        kinds = {ET_EXEC: "ET_EXEC", ET_DYN: "ET_DYN"}
        return kinds.get(self._headers.ehdr.type, f"ET_{self._headers.ehdr.type}")

    @property
    def entry(self) -> int:
        """`e_entry`, a virtual address."""
        return self._headers.ehdr.entry

    def loads(self) -> "list[Segment]":
        """All PT_LOADs, in the table's order."""
        return [
            Segment(index, p.flags, p.vaddr, p.paddr, p.offset, p.filesz, p.memsz)
            for index, p in enumerate(self._headers.phdrs)
            if p.type == PT_LOAD
        ]

    def interpreter(self) -> "str | None":
        """PT_INTERP's path, or None for a static program."""
        return read_interpreter(self._read, self._headers, self._what) or None

    def note(self, name: str, kind: int) -> "bytes | None":
        """The description of the last such note in the file's PT_NOTEs, as loaders choose."""
        found = None
        for phdr in self._headers.phdrs:
            if phdr.type == PT_NOTE:
                data = self._part(phdr.offset, phdr.filesz, _LARGEST_NOTES, "a note")
                found = find_note(data, name, kind) or found
        return found

    def sections(self) -> "list[Section]":
        """All sections but the null one."""
        return [
            Section(
                self._headers.name_of(s).decode("utf-8", "replace"),
                s.addr, s.offset, s.size,
                bool(s.flags & SHF_ALLOC), bool(s.flags & SHF_EXECINSTR), s.type != SHT_NOBITS,
            )
            for s in self._headers.shdrs
            if s.type != SHT_NULL
        ]  # fmt: skip

    def section_range(self, name: str) -> "tuple[int, int]":
        """(offset, size) of a section's bytes in the file; (0, 0) if there is none of that name.

        Raises NotAnImage for a compressed one: those that are asked for never are.
        """
        shdr = self._headers.section(name)
        if shdr is None or shdr.type == SHT_NOBITS:
            return 0, 0
        if shdr.flags & SHF_COMPRESSED:
            raise NotAnImage(f"{self._what}: damaged ELF file: {name} is compressed")
        return shdr.offset, shdr.size

    def archive(self) -> Archive:
        """An image's archive; one of no bytes for what has none. Raises NotAnImage."""
        return open_archive(self._read, self._headers, self._what)

    def has_damaged_archive(self) -> bool:
        """Whether bytes that an image's program and its archive share were changed."""
        return is_damaged(self._read, self._headers, self._what)

    def section_bytes(self, name: str) -> bytes:
        """The content of a section; empty if there is none of that name."""
        return self._part(*self.section_range(name), _LARGEST_PART, name)

    def symbol(self, name: str) -> "int | None":
        """The value of a symbol, or None."""
        return next((s.value for s in self._symbols() if s.name == name), None)

    def functions(self) -> "list[Function]":
        """Function symbols with an address, sorted by it."""
        found = {
            Function(s.name, s.value, s.size, bool(s.info >> 4))
            for s in self._symbols()
            if s.info & 0xF in (_STT_FUNC, _STT_GNU_IFUNC) and s.shndx != _SHN_UNDEF
        }
        return sorted(found, key=lambda f: (f.addr, -f.size, not f.is_global, f.name))

    def symbols(self) -> "list[Symbol]":
        """What is defined in sections of this file, in the table's order."""
        found, unit = [], -1
        for s in self._symbols():
            kind, is_global = s.info & 0xF, bool(s.info >> 4)
            if kind == _STT_FILE:
                unit += 1
            elif kind != _STT_SECTION and _SHN_UNDEF < s.shndx < _SHN_LORESERVE:
                own = -1 if is_global else unit
                found.append(Symbol(s.name, s.value, s.size, kind, is_global, s.shndx, own))
        return found

    def units(self) -> "list[str]":
        """The names of all FILE symbols, in the table's order."""
        return [s.name for s in self._symbols() if s.info & 0xF == _STT_FILE]

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file."""
        return self._part(offset, size, _LARGEST_PART, "a segment")

    def _part(self, offset: int, size: int, most: int, name: str) -> bytes:
        if size > most:
            raise NotAnImage(f"{self._what}: damaged ELF file: {name} has {size:,} bytes")
        if not size or offset >= self._headers.size:
            return b""
        return self._read(offset, min(size, self._headers.size - offset))

    def _symbols(self) -> Iterator[_Symbol]:
        for shdr in self._headers.shdrs:
            if shdr.type == SHT_SYMTAB and not shdr.flags & SHF_COMPRESSED:
                yield from self._symbols_of(shdr)

    def _symbols_of(self, table: Shdr) -> Iterator[_Symbol]:
        if table.link >= len(self._headers.shdrs):
            return
        strings = self._headers.shdrs[table.link]
        if strings.type == SHT_NOBITS:
            return
        names = self._part(strings.offset, strings.size, _LARGEST_PART, "names of symbols")
        data = self._part(table.offset, table.size, _LARGEST_SYMBOLS, "a symbol table")
        usable = len(data) - len(data) % _SYMBOL.size
        left = _NAMES_FACTOR * len(names) + _NAMES_MORE
        for at, info, _, shndx, value, size in _SYMBOL.iter_unpack(data[:usable]):
            end = names.find(b"\0", at, at + _LONGEST_NAME)
            left -= end - at if end >= 0 else min(_LONGEST_NAME, max(len(names) - at, 0))
            if left < 0:
                raise NotAnImage(f"{self._what}: damaged ELF file: names of symbols overlap")
            if end >= 0:
                name = names[at:end].decode("utf-8", "replace")
                yield _Symbol(name, info, shndx, value, size)


@contextmanager
def open_elf(path: Path) -> "Iterator[Elf]":
    """Opens an ELF file; whatever is wrong with it, then or while it is read, is a UkccError.

    Raises NotAnImage for what is no x86-64 ELF file, or a damaged one.
    """
    try:
        with os.fdopen(open_file(str(path)), "rb") as stream:
            size = stream.seek(0, 2)

            def read(offset: int, count: int) -> bytes:
                stream.seek(offset)
                return stream.read(count)

            yield _opened(read, size, path)
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None


@contextmanager
def elf_in_memory(data: bytes, path: Path) -> "Iterator[Elf]":
    """The same for a file's bytes; `path` names it in messages."""
    yield _opened(lambda offset, count: data[offset : offset + count], len(data), path)


def _opened(read: "Read", size: int, path: Path) -> Elf:
    try:
        return Elf(read, parse_headers(read, size, str(path)), str(path))
    except NotAnImage as error:
        raise NotAnImage(error.message, wrapper_mend(path)) from None
    except UkccError as error:
        raise NotAnImage(error.message, error.hint) from None
