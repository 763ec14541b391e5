"""Rules: what a person has looked up of code that cannot be told, and whether it is that code.

The function at hand must be the one of the sysroot's glibc: in libc.so.6, all code of which is the
same, or in a static program, where its bytes are those of libc.a but for what the linker fills in.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from io import BytesIO
from pathlib import Path
from typing import Any

import tomli
from elftools.elf.elffile import ELFFile
from elftools.elf.relocation import RelocationSection
from elftools.elf.sections import SymbolTableSection

from ukcc import tables
from ukcc.errors import UkccError
from ukcc.image.archives import Archive
from ukcc.needs.program import Program, code_digest, load

_FILE = Path(__file__).with_name("rules.toml")

# (bytes before, bytes from) a relocation's place that the linker may write, relaxations included:
# the psABI's types by number
_WRITTEN = {
    1: (0, 8), 2: (0, 4), 4: (0, 4), 9: (2, 4), 10: (0, 4), 11: (0, 4), 21: (0, 4), 22: (3, 4),
    23: (0, 4), 41: (2, 4), 42: (3, 4),
}  # fmt: skip


@dataclass(frozen=True)
class Rule:
    """A row of rules.toml."""

    name: str
    functions: tuple[str, ...]
    glibc: tuple[str, ...]
    calls: tuple[str, ...]
    reason: str


@dataclass(frozen=True)
class _Rules:
    rule: tuple[Rule, ...]


@dataclass(frozen=True)
class Told:
    """What a rule says of a site: the numbers of its calls."""

    name: str
    numbers: tuple[int, ...]


@dataclass(frozen=True)
class _Template:
    """A function of libc.a: its bytes, and 0 in `mask` where the linker writes."""

    code: bytes
    mask: bytes

    def fits(self, code: bytes) -> bool:
        return len(code) == len(self.code) and all(
            a == b for a, b, counts in zip(code, self.code, self.mask, strict=True) if counts
        )


class Rulebook:
    """The rules that hold for one sysroot."""

    def __init__(self, sysroot: Path, names: Mapping[int, str], text: "str | None" = None) -> None:
        """text: of the rules, instead of rules.toml. Raises UkccError for a rule that is wrong."""
        self._sysroot = sysroot
        self._text = _FILE.read_text() if text is None else text
        numbers = {name: number for number, name in names.items()}
        version = _glibc_version(sysroot)
        self._rules = []
        for rule in tables.record(_Rules, _parsed(self._text), "rules.").rule:
            unknown = [call for call in rule.calls if call not in numbers]
            if unknown:
                raise UkccError(f"rules.toml: {rule.name}: {unknown[0]} is not a system call")
            if any(version.startswith(known) for known in rule.glibc):
                self._rules.append((rule, tuple(numbers[call] for call in rule.calls)))

    @property
    def digest(self) -> str:
        """Over what decides."""
        return hashlib.sha256(f"{self._text}\0{self._sysroot}".encode()).hexdigest()

    def find(self, program: Program, addr: int) -> "Told | None":
        """The rule for the site at an address, if the function around it is glibc's."""
        for rule, numbers in self._rules:
            if any(self._is(program, addr, function) for function in rule.functions):
                return Told(rule.name, numbers)
        return None

    def is_libc(self, program: Program) -> bool:
        """Whether a file's code is that of the sysroot's libc.so.6."""
        return self._shared is not None and code_digest(program) == self._shared_digest

    def _is(self, program: Program, addr: int, function: str) -> bool:
        shared = self._shared
        if shared is not None and self.is_libc(program):
            return any(
                symbol.addr <= addr < symbol.addr + symbol.size
                for symbol in shared.symbols
                if symbol.name == function
            )
        template = self._template(function)
        if template is None:
            return False
        starts = {symbol.addr for symbol in program.symbols if symbol.addr <= addr}
        starts |= {start for start, _ in program.frames if start <= addr}
        size = len(template.code)
        return any(
            template.fits(program.read(start, size)) for start in starts if addr < start + size
        )

    @cached_property
    def _shared(self) -> "Program | None":
        path = self._sysroot / "usr/lib/libc.so.6"
        try:
            return load(path.read_bytes(), path)
        except (OSError, UkccError):
            return None

    @cached_property
    def _shared_digest(self) -> str:
        return code_digest(self._shared) if self._shared else ""

    @cached_property
    def _archive(self) -> "Archive | None":
        try:
            return Archive(self._sysroot / "usr/lib/libc.a")
        except (OSError, ValueError):
            return None

    def _template(self, function: str) -> "_Template | None":
        data = self._archive.member_of(function) if self._archive else b""
        return _template(data, function) if data else None


def _parsed(text: str) -> dict[str, Any]:
    try:
        return tomli.loads(text)
    except tomli.TOMLDecodeError as error:
        raise UkccError(f"rules.toml: {error}") from None


def _glibc_version(sysroot: Path) -> str:
    try:
        return str(json.loads((sysroot / "sysroot.json").read_text())["versions"]["glibc"])
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _template(data: bytes, function: str) -> "_Template | None":
    """A function of an object file of the sysroot."""
    elf = ELFFile(BytesIO(data))
    table = elf.get_section_by_name(".symtab")
    if not isinstance(table, SymbolTableSection):
        return None
    for symbol in table.get_symbol_by_name(function) or ():
        index = symbol["st_shndx"]
        if not isinstance(index, int) or not symbol["st_size"]:
            continue
        start, size = symbol["st_value"], symbol["st_size"]
        code = elf.get_section(index).data()[start : start + size]
        mask = bytearray(b"\1" * size)
        for section in elf.iter_sections():
            if isinstance(section, RelocationSection) and section["sh_info"] == index:
                for relocation in section.iter_relocations():
                    kind, at = relocation["r_info_type"], relocation["r_offset"] - start
                    if not -8 < at < size:
                        continue
                    if kind not in _WRITTEN:
                        return None
                    before, length = _WRITTEN[kind]
                    for place in range(max(at - before, 0), min(at + length, size)):
                        mask[place] = 0
        return _Template(code, bytes(mask))
    return None
