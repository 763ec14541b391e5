"""What each byte of an image's file is: kernel, application, archive, tables, padding."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.image.elf import Elf, Section, Symbol, open_elf
from ukcc.image.headers import EHDR_SIZE, PHDR_SIZE, SHDR_SIZE, open_headers
from ukcc.image.inspect import read_image_metadata
from ukcc.image.section_names import KERNEL_SECTIONS, OURS
from ukcc.pictures import kernel_bytes
from ukcc.pictures.box import Box, Building, largest_first
from ukcc.pictures.fills import is_fill
from ukcc.pictures.kernel_bytes import NO_SYMBOL, PADDING
from ukcc.pictures.ledger import Ledger
from ukcc.pictures.members import Libraries
from ukcc.pictures.objects import named_ranges

APPLICATION, ARCHIVE, KERNEL, TABLES = "application", "archive", "kernel", "ELF tables and notes"
UNKNOWN = "(in no section)"
THE_PROGRAM = "(program)"  # in the archive; it has another name in each image
_OURS = (OURS, ".note.uk.")
_KINDS = (0, 1, 2, 10)  # no type, object, function, indirect function
_DEBUG = (".debug_", ".zdebug_")
_SYMBOLS = (".symtab", ".strtab", ".shstrtab", "uk_sites_v1", ".comment", ".gnu_debuglink")


def file_tree(path: Path, vmlinux: "Path | None" = None) -> Box:
    """The file's bytes as a tree; its size is the file's. Raises UkccError.

    vmlinux: the kernel with its symbols, if there is one.
    """
    with open_elf(path) as elf:
        size = _size(path)
        ledger = Ledger(size)
        _claim_tables(ledger, path)
        sections = [s for s in elf.sections() if s.in_file and s.size]
        _claim_program(ledger, elf, path)
        kernel_bytes.claim_kernel(ledger, elf, vmlinux, KERNEL)
        for section in sections:
            if section.name.startswith(KERNEL_SECTIONS):
                name = section.name.removeprefix(KERNEL_SECTIONS)
                ledger.claim(
                    section.offset, section.offset + section.size, (KERNEL, name, NO_SYMBOL)
                )
        _claim_archive(ledger, elf, path)
        for section in sections:
            end = section.offset + section.size
            if section.name.startswith(_OURS):
                ledger.claim(section.offset, end, (TABLES, section.name))
            ledger.claim(section.offset, end, (APPLICATION, section.name, NO_SYMBOL))
        for start, end in list(ledger.free()):
            ledger.claim(start, end, (PADDING if is_fill(elf, start, end) else UNKNOWN,))
    tree = Building(path.name)
    for start, end, whose in ledger.entries():
        tree.at(whose).add(end - start)
    return largest_first(tree.built())


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None


def _claim_tables(ledger: Ledger, path: Path) -> None:
    fd, headers = open_headers(str(path))
    os.close(fd)
    ehdr = headers.ehdr
    ledger.claim(0, EHDR_SIZE, (TABLES, "ELF header"))
    phdrs, shdrs = len(headers.phdrs) * PHDR_SIZE, len(headers.shdrs) * SHDR_SIZE
    ledger.claim(ehdr.phoff, ehdr.phoff + phdrs, (TABLES, "program headers"))
    if ehdr.shoff:
        ledger.claim(ehdr.shoff, ehdr.shoff + shdrs, (TABLES, "section headers"))


def _claim_program(ledger: Ledger, elf: Elf, path: Path) -> None:
    """The application's symbols: below the member of a library, or the source file."""
    libraries = Libraries(elf, path)
    by_section: dict[int, list[Symbol]] = {}
    for symbol in elf.symbols():
        by_section.setdefault(symbol.section, []).append(symbol)
    for number, section in enumerate(elf.sections(), 1):
        if not section.in_file or section.name.startswith((KERNEL_SECTIONS, *_OURS)):
            continue
        end = section.offset + section.size
        if section.name.startswith(_DEBUG):
            ledger.claim(section.offset, end, (APPLICATION, "debug information", section.name))
        elif section.name in _SYMBOLS:
            ledger.claim(section.offset, end, (APPLICATION, "symbol tables", section.name))
        elif section.allocated:
            _claim_section(ledger, elf, section, by_section.get(number, ()), libraries)


def _claim_section(
    ledger: Ledger, elf: Elf, section: Section, symbols: Iterable[Symbol], libraries: Libraries
) -> None:
    # the data after a mark of the linker's or the C library's is not the mark's
    addresses = [s for s in symbols if s.kind in _KINDS and (s.size or section.executable)]
    distance = section.offset - section.addr
    named = named_ranges(addresses, section.addr, section.addr + section.size)
    for one in named:
        whose = (APPLICATION, *libraries.origin(one), one.symbol.name)
        ledger.claim(one.start + distance, one.end + distance, whose)
    for start, end in list(ledger.free(section.offset, section.offset + section.size)):
        what = PADDING if is_fill(elf, start, end) else NO_SYMBOL
        ledger.claim(start, end, (APPLICATION, section.name, what))


def _claim_archive(ledger: Ledger, elf: Elf, path: Path) -> None:
    archive = elf.archive()
    program = read_image_metadata(elf, path).get("program", "")
    for member in archive.members():
        if stat.S_ISREG(member.mode) or stat.S_ISLNK(member.mode):
            name = f"/{member.path}"
            whose = (ARCHIVE, THE_PROGRAM if name == program else name)
            for offset, size in archive.places(member.offset, member.size):
                ledger.claim(offset, offset + size, whose)
    for offset, size in archive.places(0, archive.size):
        for start, end in list(ledger.free(offset, offset + size)):
            what = PADDING if is_fill(elf, start, end) else "(headers)"
            ledger.claim(start, end, (ARCHIVE, what))
