"""ELF files read outside the link path, as plain data.

The file may be a stranger's (`ukcc inspect`, `ukcc run`): no size in it is believed, nothing is
decompressed, and what is read takes no more than a few times the file's own size. Therefore by
headers.py and not by pyelftools, which decompresses a section by the size that it claims, and reads
names of any length as often as they are asked for.
"""

import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from ukcc.errors import NotAnImage, UkccError
from ukcc.image.headers import (
    EHDR_SIZE,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHT_NOBITS,
    SHT_NULL,
    SHT_SYMTAB,
    Headers,
    Shdr,
    read_headers,
)
from ukcc.image.libtool import wrapper_mend
from ukcc.image.notes import find_note

SHF_COMPRESSED = 0x800

_KINDS = {1: "ET_REL", 2: "ET_EXEC", 3: "ET_DYN", 4: "ET_CORE"}
_SYMBOL = struct.Struct("<IBBHQQ")  # Elf64_Sym: name, info, other, shndx, value, size
_FUNCTIONS = (2, 10)  # STT_FUNC, STT_GNU_IFUNC
_LOCAL = 0  # STB_LOCAL

# Bytes. An archive is loaded below 4 GiB; longer names are damage; a PT_INTERP is a path.
_LARGEST_PART = 4 << 30
_LONGEST_NAME, _LONGEST_SECTION_NAME, _LONGEST_PATH = 1 << 16, 256, 4096
_LARGEST_NOTES = 64 << 20
# Of names that share their ends, the sum may be larger than the table; of honest ones by little.
_NAMES_FACTOR, _NAMES_MORE = 4, 1 << 20


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


class Elf:
    """One ELF file, opened for reading. what: its name in messages."""

    def __init__(self, fd: int, headers: Headers, what: str) -> None:
        self._fd, self._headers, self._what = fd, headers, what

    @property
    def kind(self) -> str:
        """`ET_EXEC`, `ET_DYN`, …"""
        number = self._headers.ehdr.type
        return _KINDS.get(number, str(number))

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
        for phdr in self._headers.phdrs:
            if phdr.type == PT_INTERP:
                path = self.bytes_at(phdr.offset, min(phdr.filesz, _LONGEST_PATH))
                return path.partition(b"\0")[0].decode("utf-8", "surrogateescape")
        return None

    def note(self, name: str, kind: int) -> "bytes | None":
        """The description of the last such note in the file's PT_NOTEs, as loaders choose."""
        found = None
        places = [(p.offset, p.filesz) for p in self._headers.phdrs if p.type == PT_NOTE]
        if sum(size for _, size in places) > _LARGEST_NOTES:
            raise self._damaged("its notes are too large")
        for offset, size in places:
            found = find_note(self.bytes_at(offset, size), name, kind) or found
        return found

    def sections(self) -> "list[Section]":
        """All sections but the null one."""
        return [
            Section(
                self._section_name(s), s.addr, s.offset, s.size,
                bool(s.flags & SHF_ALLOC), bool(s.flags & SHF_EXECINSTR), s.type != SHT_NOBITS,
            )
            for s in self._headers.shdrs
            if s.type != SHT_NULL
        ]  # fmt: skip

    def section_bytes(self, name: str) -> bytes:
        """The content of a section; empty if there is none of that name, or nothing in the file.

        Raises NotAnImage for one that is compressed: nobody compresses those that we read.
        """
        section = self._headers.section(name)
        if section is None or section.type == SHT_NOBITS:
            return b""
        return self._section(section, name)

    def symbol(self, name: str) -> "int | None":
        """The value of a symbol, or None."""
        wanted = name.encode()
        return next((value for label, _, _, value, _ in self._symbols() if label == wanted), None)

    def functions(self) -> "list[Function]":
        """Function symbols with an address, sorted by it."""
        found = {
            Function(name.decode("utf-8", "surrogateescape"), value, size, info >> 4 != _LOCAL)
            for name, info, section, value, size in self._symbols()
            if info & 15 in _FUNCTIONS and section
        }
        return sorted(found, key=lambda f: (f.addr, -f.size, not f.is_global, f.name))

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file. Raises NotAnImage where they are not all there."""
        if size > _LARGEST_PART or offset + size > self._headers.size:
            raise self._damaged("a part is outside it")
        pieces = []
        while size:
            data = os.pread(self._fd, size, offset)  # 2 GiB at a time
            if not data:
                raise self._damaged("it has become shorter")
            pieces.append(data)
            offset, size = offset + len(data), size - len(data)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def _section(self, section: Shdr, name: str) -> bytes:
        if section.flags & SHF_COMPRESSED:
            raise self._damaged(f"section {name} is compressed")
        return self.bytes_at(section.offset, section.size)

    def _section_name(self, section: Shdr) -> str:
        names = self._headers.names
        end = names.find(b"\0", section.name, section.name + _LONGEST_SECTION_NAME)
        if end < 0:
            raise self._damaged("a section's name is outside it, or too long")
        return names[section.name : end].decode("utf-8", "surrogateescape")

    def _symbols(self) -> "Iterator[tuple[bytes, int, int, int, int]]":
        """(name, info, section's number, value, size) of all in the symbol tables."""
        for section in self._headers.shdrs:
            if section.type != SHT_SYMTAB or section.link >= len(self._headers.shdrs):
                continue
            data = self._section(section, ".symtab")
            names = self._section(self._headers.shdrs[section.link], ".strtab")
            left = _NAMES_FACTOR * len(names) + _NAMES_MORE
            if section.entsize != _SYMBOL.size or len(data) % _SYMBOL.size:
                raise self._damaged("its symbol table")
            for at, info, _, number, value, size in _SYMBOL.iter_unpack(data):
                end = names.find(b"\0", at, at + _LONGEST_NAME)
                left -= end - at
                if end < 0 or left < 0:
                    raise self._damaged("names of symbols are outside it, or too long")
                yield names[at:end], info, number, value, size

    def _damaged(self, how: str) -> NotAnImage:
        return NotAnImage(f"{self._what}: truncated or damaged ELF file: {how}")


@contextmanager
def open_elf(path: Path) -> "Iterator[Elf]":
    """Opens an ELF file; whatever is wrong with it, then or while it is read, is a UkccError.

    Raises NotAnImage for what is no x86-64 ELF file, or a damaged one.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    try:
        with _reading(path):
            yield _opened(fd, path)
    finally:
        os.close(fd)


@contextmanager
def elf_in_memory(data: bytes, path: Path) -> "Iterator[Elf]":
    """The same for a file's bytes; `path` names it in messages."""
    fd = os.memfd_create("elf", os.MFD_CLOEXEC)
    try:
        with _reading(path):
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            yield _opened(fd, path)
    finally:
        os.close(fd)


def _opened(fd: int, path: Path) -> Elf:
    status = os.fstat(fd)
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    start = os.pread(fd, EHDR_SIZE, 0)
    if start[:4] != b"\x7fELF":
        raise NotAnImage(f"{path}: not an ELF file", wrapper_mend(path))
    if len(start) < EHDR_SIZE:
        raise NotAnImage(f"{path}: truncated or damaged ELF file")
    try:
        return Elf(fd, read_headers(fd, status.st_size, str(path)), str(path))
    except UkccError as error:
        raise NotAnImage(error.message, error.hint) from None


@contextmanager
def _reading(path: Path) -> "Iterator[None]":
    try:
        yield
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    except MemoryError:
        raise NotAnImage(
            f"{path}: damaged ELF file: it asks for more memory than there is"
        ) from None
    except (IndexError, KeyError, OverflowError, ValueError, struct.error):
        raise NotAnImage(f"{path}: truncated or damaged ELF file") from None
