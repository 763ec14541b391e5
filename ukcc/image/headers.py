"""ELF64 headers, read and written with `struct`: as much of the ELF specification as packing needs.

Only little-endian x86-64 is known here. Records, not dataclasses: importing `dataclasses`
costs every link 8 ms (it pulls `inspect`), and these are as frozen.
"""

from __future__ import annotations

import os
import stat
import struct

from ukcc.errors import NotAnImage, UkccError
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # (offset, count) -> bytes of a file, fewer where it ends
    Read = Callable[[int, int], bytes]

PAGE = 4096

ET_EXEC, ET_DYN = 2, 3
EM_X86_64 = 62
PT_LOAD, PT_DYNAMIC, PT_INTERP, PT_NOTE, PT_PHDR = 1, 2, 3, 4, 6
PF_X, PF_W, PF_R = 1, 2, 4
SHT_NULL, SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_NOTE, SHT_NOBITS = 0, 1, 2, 3, 7, 8
SHT_DYNSYM = 11
SHF_WRITE, SHF_ALLOC, SHF_EXECINSTR, SHF_TLS, SHF_COMPRESSED = 1, 2, 4, 0x400, 0x800

_EHDR = struct.Struct("<16sHHIQQQIHHHHHH")
_PHDR = struct.Struct("<IIQQQQQQ")
_SHDR = struct.Struct("<IIQQQQIIQQ")

EHDR_SIZE, PHDR_SIZE, SHDR_SIZE = _EHDR.size, _PHDR.size, _SHDR.size

# ELFCLASS64, ELFDATA2LSB, EV_CURRENT
_IDENT = b"\x7fELF\x02\x01\x01"

# No table of section names is longer; the linker's own, of some hundred names, has a few KiB.
_LONGEST_NAMES = 16 << 20
_LONGEST_NAME = 1024
_ADDRESSES = 1 << 64
_OFFSETS = 1 << 63  # off_t: an empty part may be anywhere below it


def align_up(value: int, alignment: int = PAGE) -> int:
    """The smallest multiple of `alignment` (a power of two) that is not below `value`."""
    return (value + alignment - 1) & -alignment


def congruent(floor: int, value: int, alignment: int = PAGE) -> int:
    """The smallest number not below `floor` that equals `value` modulo `alignment`."""
    return floor + (value - floor) % alignment


class Ehdr(Record):
    """`Elf64_Ehdr`, field by field."""

    ident: bytes
    type: int
    machine: int
    version: int
    entry: int
    phoff: int
    shoff: int
    flags: int
    ehsize: int
    phentsize: int
    phnum: int
    shentsize: int
    shnum: int
    shstrndx: int

    def pack(self) -> bytes:
        """The 64 bytes of the header."""
        return _EHDR.pack(*self)


class Phdr(Record):
    """`Elf64_Phdr`, field by field: offsets and sizes in bytes."""

    type: int
    flags: int
    offset: int
    vaddr: int
    paddr: int
    filesz: int
    memsz: int
    align: int

    @property
    def vend(self) -> int:
        """The first virtual address behind the segment."""
        return self.vaddr + self.memsz

    @property
    def pend(self) -> int:
        """The first physical address behind the segment."""
        return self.paddr + self.memsz

    def pack(self) -> bytes:
        """The 56 bytes of the entry."""
        return _PHDR.pack(*self)


class Shdr(Record):
    """`Elf64_Shdr`, field by field; `name` is an offset in the section-name table."""

    name: int
    type: int
    flags: int
    addr: int
    offset: int
    size: int
    link: int
    info: int
    addralign: int
    entsize: int

    def pack(self) -> bytes:
        """The 64 bytes of the entry."""
        return _SHDR.pack(*self)


class Headers(Record):
    """All headers of one file of `size` bytes; `names` is the raw section-name table."""

    ehdr: Ehdr
    phdrs: tuple[Phdr, ...]
    shdrs: tuple[Shdr, ...]
    names: bytes
    size: int

    def section(self, name: str) -> Shdr | None:
        """The first section of that name, or None."""
        wanted = name.encode()
        for shdr in self.shdrs:
            if self.name_of(shdr) == wanted:
                return shdr
        return None

    def name_of(self, shdr: Shdr) -> bytes:
        """The name of a section, without its NUL; of one that is too long, the beginning.

        Many sections may have one name, so its length is what bounds the work.
        """
        end = self.names.find(b"\0", shdr.name, shdr.name + _LONGEST_NAME)
        return self.names[shdr.name : end if end >= 0 else shdr.name + _LONGEST_NAME]


def open_headers(path: str, opened: int = -1) -> tuple[int, Headers]:
    """A descriptor of the file, which the caller closes, and its headers. Raises UkccError.

    opened: a descriptor to use instead of opening the path; it stays the caller's.
    """
    fd = opened
    try:
        if fd < 0:
            fd = open_file(path)
        return fd, read_headers(fd, os.fstat(fd).st_size, path)
    except OSError as error:
        _close(fd, opened)
        raise UkccError(f"{path}: {error.strerror}") from None
    except BaseException:
        _close(fd, opened)
        raise


def open_file(path: str) -> int:
    """A descriptor for reading. Raises OSError; UkccError for a pipe: it cannot be read at will,
    and would not even open until somebody writes.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if stat.S_ISFIFO(os.fstat(fd).st_mode):
        os.close(fd)
        raise UkccError(f"{path}: a pipe, not a file")
    return fd


def _close(fd: int, opened: int) -> None:
    if fd >= 0 and fd != opened:
        os.close(fd)


def read_headers(fd: int, size: int, what: str) -> Headers:
    """`parse_headers` of the open file `fd` of `size` bytes."""
    return parse_headers(reader(fd), size, what)


def reader(fd: int) -> Read:
    """The bytes of an open file."""
    return lambda offset, count: os.pread(fd, count, offset)


def parse_headers(read: Read, size: int, what: str) -> Headers:
    """The headers of an ELF file of `size` bytes; `what` names it in messages.

    read: (offset, count) -> bytes; it is asked for no byte outside the file. Raises NotAnImage for
    what is not an ELF file, UkccError for one that we cannot make an image of or whose headers
    point outside the file or the address space.
    """
    start = read(0, EHDR_SIZE)
    if start[:4] != b"\x7fELF":
        raise NotAnImage(f"{what}: not an ELF file")
    if len(start) < EHDR_SIZE:
        raise UkccError(f"{what}: truncated or damaged ELF file: it ends within its header")
    if start[:7] != _IDENT:
        raise UkccError(f"{what}: not a 64-bit little-endian ELF file")
    ehdr = Ehdr._make(_EHDR.unpack(start))
    if ehdr.machine != EM_X86_64:
        raise UkccError(f"{what}: built for another machine (e_machine {ehdr.machine}, not x86-64)")

    def table(entry: struct.Struct, offset: int, count: int, entsize: int) -> list[tuple[int, ...]]:
        if not count:
            return []
        length = entry.size * count
        data = read(offset, length) if offset + length <= size else b""
        if entsize != entry.size or len(data) != length:
            raise UkccError(f"{what}: truncated or damaged ELF file: a header table is outside it")
        return list(entry.iter_unpack(data))

    phdrs = tuple(map(Phdr._make, table(_PHDR, ehdr.phoff, ehdr.phnum, ehdr.phentsize)))
    shdrs = tuple(map(Shdr._make, table(_SHDR, ehdr.shoff, ehdr.shnum, ehdr.shentsize)))
    ends = [p.offset + p.filesz for p in phdrs if p.filesz]
    ends += [s.offset + s.size for s in shdrs if s.size and s.type != SHT_NOBITS]
    starts = [p.offset for p in phdrs] + [s.offset for s in shdrs]
    if max(ends, default=0) > size or max(starts, default=0) >= _OFFSETS:
        raise UkccError(f"{what}: truncated or damaged ELF file: a part is outside it")
    if any(max(p.vend, p.pend) > _ADDRESSES for p in phdrs):
        raise UkccError(f"{what}: damaged ELF file: a segment is outside the address space")
    names = b"\0"
    if shdrs and ehdr.shstrndx >= len(shdrs):
        raise UkccError(f"{what}: damaged ELF file: its section names are in no section")
    if shdrs and ehdr.shstrndx and shdrs[ehdr.shstrndx].type != SHT_NOBITS:
        if shdrs[ehdr.shstrndx].size > _LONGEST_NAMES:
            raise UkccError(f"{what}: damaged ELF file: its section names are too long")
        names = read(shdrs[ehdr.shstrndx].offset, shdrs[ehdr.shstrndx].size)
    return Headers(ehdr, phdrs, shdrs, names, size)
