"""Functions of the sysroot's libc.a, to be known again in a static program by their bytes alone.

A linker changes nothing of a function but what relocations name, so the rest tells it, whatever the
program calls it, and also where it has no names any more.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from ukcc import paths
from ukcc.image.archives import StaticLibrary
from ukcc.needs.kept import write_whole

# (bytes before, bytes from) a relocation's place that the linker may write, relaxations included:
# the psABI's types by number
_WRITTEN = {
    1: (0, 8), 2: (0, 4), 4: (0, 4), 9: (2, 4), 10: (0, 4), 11: (0, 4), 21: (0, 4), 22: (3, 4),
    23: (0, 4), 41: (2, 4), 42: (3, 4),
}  # fmt: skip

_SYSCALL = b"\x0f\x05"
_PADDING = 15  # bytes behind a function that its bounds in a program may include


@dataclass(frozen=True)
class Template:
    """A function: its bytes, and 0 in `mask` where the linker writes."""

    code: bytes
    mask: bytes

    def fits(self, code: bytes) -> bool:
        """Whether these bytes are the function, as a linker may have left it."""
        return len(code) == len(self.code) and all(
            a == b for a, b, counts in zip(code, self.code, self.mask, strict=True) if counts
        )


class Templates:
    """Those of one sysroot. Empty where it has no libc.a that can be read."""

    def __init__(self, sysroot: Path) -> None:
        self._path = sysroot / "usr/lib/libc.a"

    def named(self, function: str) -> "Template | None":
        """A global function of the archive; None if it has none of that name."""
        data = self._archive.member_of(function) if self._archive else b""
        found = _functions(data) if data else ()
        return next((template for name, template in found if name == function), None)

    def has(self, code: bytes) -> bool:
        """Whether a function with a system call, and perhaps padding behind it, is one of these."""
        for size in range(len(code), max(len(code) - _PADDING, 0) - 1, -1):
            if any(template.fits(code[:size]) for template in self._with_calls.get(size, ())):
                return True
        return False

    @cached_property
    def _archive(self) -> "StaticLibrary | None":
        try:
            return StaticLibrary(self._path)
        except (OSError, ValueError):
            return None

    @cached_property
    def _with_calls(self) -> dict[int, list[Template]]:
        """Those with a system call, by size. It takes a second to find them, so they are kept."""
        found: dict[int, list[Template]] = {}
        for code, mask in self._kept():
            template = Template(bytes.fromhex(code), bytes.fromhex(mask))
            found.setdefault(len(template.code), []).append(template)
        return found

    def _kept(self) -> "list[tuple[str, str]]":
        try:
            digest = hashlib.sha256(self._path.read_bytes()).hexdigest()[:32]
        except OSError:
            return []
        file = Path(paths.store()) / "cache" / "needs" / f"libc.a-{digest}.json"
        with contextlib.suppress(OSError, ValueError, TypeError):
            return [(str(code), str(mask)) for code, mask in json.loads(file.read_text())]
        members = self._archive.members() if self._archive else ()
        found = [
            (template.code.hex(), template.mask.hex())
            for data in members
            if _SYSCALL in data
            for _, template in _functions(data)
            if _SYSCALL in template.code
        ]
        with contextlib.suppress(OSError):
            write_whole(file, json.dumps(found))
        return found


def _functions(data: bytes) -> Iterator[tuple[str, Template]]:
    """The functions of an object file of the sysroot, with their names."""
    elf = ELFFile(BytesIO(data))
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return
    relocations = {
        section["sh_info"]: list(section.iter_relocations())
        for section in elf.iter_sections()
        if isinstance(section, RelocationSection)
    }
    for symbol in table.iter_symbols():
        index, start, size = symbol["st_shndx"], symbol["st_value"], symbol["st_size"]
        if symbol["st_info"]["type"] not in ("STT_FUNC", "STT_GNU_IFUNC"):
            continue
        if not isinstance(index, int) or not size:
            continue
        code = elf.get_section(index).data()[start : start + size]
        mask = _mask(relocations.get(index, ()), start, size)
        if mask is not None:
            yield symbol.name, Template(code, mask)


def _mask(relocations: Iterable[Any], start: int, size: int) -> "bytes | None":
    """1 for each byte that the linker leaves; None if it may write something unknown."""
    mask = bytearray(b"\1" * size)
    for relocation in relocations:
        kind, at = relocation["r_info_type"], relocation["r_offset"] - start
        if not -8 < at < size:
            continue
        if kind not in _WRITTEN:
            return None
        before, length = _WRITTEN[kind]
        for place in range(max(at - before, 0), min(at + length, size)):
            mask[place] = 0
    return bytes(mask)
