"""What a dynamic ELF file asks of its loader: the dynamic section, read with bounds.

Pure functions over the bytes of a file that may be a stranger's. Format: System V gABI, "Dynamic
Section"; DT_FLAGS_1 from glibc's elf.h. Part of the link of a dynamic program, so: the standard
library only.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
import os
import struct

from ukcc.errors import UkccError
from ukcc.image.headers import PT_DYNAMIC, PT_INTERP, PT_LOAD
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ukcc.image.headers import Headers, Read

DT_NULL, DT_NEEDED, DT_STRTAB, DT_SONAME = 0, 1, 5, 14
DT_RPATH, DT_RUNPATH, DT_FLAGS_1 = 15, 29, 0x6FFFFFFB
DT_AUXILIARY, DT_FILTER = 0x7FFFFFFD, 0x7FFFFFFF
DF_1_NODEFLIB, DF_1_PIE = 0x800, 0x08000000

_ENTRY = struct.Struct("<qQ")  # d_tag, d_val

# Far more than a linker writes: LibreOffice's largest has 70 DT_NEEDED, a dynamic section 40 tags.
_MOST_ENTRIES = 4096
_LONGEST_STRING = 65536
_PIECE = 512

# Linux refuses a longer PT_INTERP (load_elf_binary).
_PATH_MAX = 4096


class LoaderTags(Record):
    """Names as they stand in the file, `$ORIGIN` and its kin not expanded.

    needed: DT_NEEDED, DT_FILTER and DT_AUXILIARY in the file's order; optional: those of them that
    may be missing (DT_AUXILIARY); rpath, runpath: search paths, or None; flags: DT_FLAGS_1.
    """

    needed: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    soname: str = ""
    rpath: str | None = None
    runpath: str | None = None
    flags: int = 0

    @property
    def has_default_directories(self) -> bool:
        """False if the file was linked with `-z nodefaultlib`."""
        return not self.flags & DF_1_NODEFLIB

    @property
    def is_program(self) -> bool:
        """Whether a position-independent file is a program, which nothing can load as a library."""
        return bool(self.flags & DF_1_PIE)


def read_loader_tags(read: Read, headers: Headers, what: str) -> LoaderTags:
    """The dynamic section; an empty record for a file without. `what` names the file in messages.

    Raises UkccError for one that no linker wrote.
    """
    segment = next((p for p in headers.phdrs if p.type == PT_DYNAMIC), None)
    if segment is None:
        return LoaderTags()
    size = min(segment.filesz, _MOST_ENTRIES * _ENTRY.size)
    entries = []
    data = read(segment.offset, size - size % _ENTRY.size) if size else b""
    for tag, value in _ENTRY.iter_unpack(data[: len(data) - len(data) % _ENTRY.size]):
        if tag == DT_NULL:
            break
        entries.append((tag, value))
    else:
        if segment.filesz > size:
            raise UkccError(f"{what}: damaged ELF file: its dynamic section is too long")
    # As in the loader, a later entry of a kind counts that may only be there once.
    last = dict(entries)
    strings = last.get(DT_STRTAB)

    def text(value: int) -> str:
        if strings is None:
            raise UkccError(f"{what}: damaged ELF file: its dynamic section has no strings")
        return _string(read, headers, strings + value, what)

    def path(tag: int) -> str | None:
        return text(last[tag]) if tag in last else None

    return LoaderTags(
        needed=tuple(
            text(value) for tag, value in entries if tag in (DT_NEEDED, DT_FILTER, DT_AUXILIARY)
        ),
        optional=tuple(text(value) for tag, value in entries if tag == DT_AUXILIARY),
        soname=path(DT_SONAME) or "",
        rpath=path(DT_RPATH),
        runpath=path(DT_RUNPATH),
        flags=last.get(DT_FLAGS_1, 0),
    )


def read_interpreter(read: Read, headers: Headers, what: str) -> str:
    """PT_INTERP's path, or "" for a static program. Raises UkccError if it cannot be a path."""
    for phdr in headers.phdrs:
        if phdr.type == PT_INTERP:
            data = read(phdr.offset, phdr.filesz) if 2 <= phdr.filesz <= _PATH_MAX else b""
            name, end, _ = data.partition(b"\0")
            if not name or not end:
                raise UkccError(f"{what}: damaged ELF file: the name of its dynamic loader")
            return os.fsdecode(name)
    return ""


def _string(read: Read, headers: Headers, address: int, what: str) -> str:
    """The string at a virtual address, as it lies in the file."""
    for phdr in headers.phdrs:
        if phdr.type == PT_LOAD and phdr.vaddr <= address < phdr.vaddr + phdr.filesz:
            offset = phdr.offset + (address - phdr.vaddr)
            left = phdr.filesz - (address - phdr.vaddr)
            break
    else:
        raise UkccError(f"{what}: damaged ELF file: a name is outside its segments")
    found = b""
    piece = _PIECE
    while len(found) < min(left, _LONGEST_STRING):
        data = read(offset + len(found), min(piece, left - len(found)))
        end = data.find(b"\0")
        if end >= 0:
            return os.fsdecode(found + data[:end])
        if not data:
            break
        found += data
        piece = _LONGEST_STRING
    raise UkccError(f"{what}: damaged ELF file: a name in its dynamic section has no end")
