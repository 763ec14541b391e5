"""The one door to pyelftools: ELF files read outside the link path, as plain data."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from elftools.common.exceptions import ELFError
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from ukcc.errors import NotAnImage, UkccError
from ukcc.image.headers import SHF_ALLOC, SHF_EXECINSTR
from ukcc.image.libtool import wrapper_mend
from ukcc.image.notes import find_note


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
    """One ELF file, opened for reading."""

    def __init__(self, elf: Any) -> None:
        self._elf = elf

    @property
    def kind(self) -> str:
        """`ET_EXEC`, `ET_DYN`, …"""
        return str(self._elf.header.e_type)

    @property
    def entry(self) -> int:
        """`e_entry`, a virtual address."""
        return int(self._elf.header.e_entry)

    def loads(self) -> "list[Segment]":
        """All PT_LOADs, in the table's order."""
        return [
            Segment(
                index, s["p_flags"], s["p_vaddr"], s["p_paddr"],
                s["p_offset"], s["p_filesz"], s["p_memsz"],
            )
            for index, s in enumerate(self._elf.iter_segments())
            if s["p_type"] == "PT_LOAD"
        ]  # fmt: skip

    def interpreter(self) -> "str | None":
        """PT_INTERP's path, or None for a static program."""
        for segment in self._elf.iter_segments():
            if segment["p_type"] == "PT_INTERP":
                return str(segment.get_interp_name())
        return None

    def note(self, name: str, kind: int) -> "bytes | None":
        """The description of the last such note in the file's PT_NOTEs, as loaders choose."""
        found = None
        for segment in self._elf.iter_segments():
            if segment["p_type"] == "PT_NOTE":
                found = find_note(segment.data(), name, kind) or found
        return found

    def sections(self) -> "list[Section]":
        """All sections but the null one."""
        return [
            Section(
                s.name, s["sh_addr"], s["sh_offset"], s["sh_size"],
                bool(s["sh_flags"] & SHF_ALLOC), bool(s["sh_flags"] & SHF_EXECINSTR),
                s["sh_type"] != "SHT_NOBITS",
            )
            for s in self._elf.iter_sections()
            if s["sh_type"] != "SHT_NULL"
        ]  # fmt: skip

    def section_bytes(self, name: str) -> bytes:
        """The content of a section; empty if there is none of that name."""
        section = self._elf.get_section_by_name(name)
        return bytes(section.data()) if section is not None else b""

    def symbol(self, name: str) -> "int | None":
        """The value of a symbol, or None."""
        for table in self._symbol_tables():
            for symbol in table.get_symbol_by_name(name) or ():
                return int(symbol["st_value"])
        return None

    def functions(self) -> "list[Function]":
        """Function symbols with an address, sorted by it."""
        found = [
            Function(
                symbol.name,
                symbol["st_value"],
                symbol["st_size"],
                symbol["st_info"]["bind"] != "STB_LOCAL",
            )
            for table in self._symbol_tables()
            for symbol in table.iter_symbols()
            if symbol["st_info"]["type"] in ("STT_FUNC", "STT_LOOS")  # LOOS: GNU_IFUNC
            and symbol["st_shndx"] != "SHN_UNDEF"
        ]
        return sorted(set(found), key=lambda f: (f.addr, -f.size, not f.is_global, f.name))

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file."""
        self._elf.stream.seek(offset)
        return bytes(self._elf.stream.read(size))

    def _symbol_tables(self) -> "Iterator[Any]":
        for section in self._elf.iter_sections():
            if isinstance(section, SymbolTableSection) and section.name != ".dynsym":
                yield section


@contextmanager
def open_elf(path: Path) -> "Iterator[Elf]":
    """Opens an ELF file; whatever is wrong with it, then or while it is read, is a UkccError.

    Raises NotAnImage for what is no x86-64 ELF file, or a damaged one.
    """
    with _reading(path), path.open("rb") as stream:
        yield _opened(stream, path)


@contextmanager
def elf_in_memory(data: bytes, path: Path) -> "Iterator[Elf]":
    """The same for a file's bytes; `path` names it in messages."""
    with _reading(path):
        yield _opened(BytesIO(data), path)


def _opened(stream: BinaryIO, path: Path) -> Elf:
    magic = stream.read(4)
    if magic != b"\x7fELF":
        raise NotAnImage(f"{path}: not an ELF file", wrapper_mend(path))
    stream.seek(0)
    elf = ELFFile(stream)
    if elf.get_machine_arch() != "x64":
        raise NotAnImage(f"{path}: built for another machine: {elf.get_machine_arch()}")
    return Elf(elf)


@contextmanager
def _reading(path: Path) -> "Iterator[None]":
    try:
        yield
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    except (ELFError, ArithmeticError, AttributeError, LookupError, MemoryError, ValueError):
        raise NotAnImage(f"{path}: truncated or damaged ELF file") from None
