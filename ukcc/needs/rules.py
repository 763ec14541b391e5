"""Rules: what a person has looked up of code that cannot be told, and whether it is that code.

The function at hand must be the one of the sysroot's glibc: in libc.so.6, all code of which is the
same, or in a static program, where its bytes are those of libc.a but for what the linker fills in.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import tomli

from ukcc import tables
from ukcc.errors import UkccError
from ukcc.needs.program import Program, code_digest, load
from ukcc.needs.templates import Templates

_FILE = Path(__file__).with_name("rules.toml")


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


class Rulebook:
    """The rules that hold for one sysroot."""

    def __init__(self, sysroot: Path, names: Mapping[int, str], text: "str | None" = None) -> None:
        """text: of the rules, instead of rules.toml. Raises UkccError for a rule that is wrong."""
        self._sysroot = sysroot
        self._templates = Templates(sysroot)
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

    def is_of_libc_a(self, function: bytes) -> bool:
        """Whether a static program's function with a system call, by its bytes and perhaps padding
        behind it, is one of the sysroot's libc.a."""
        return self._templates.has(function)

    def _is(self, program: Program, addr: int, function: str) -> bool:
        shared = self._shared
        if shared is not None and self.is_libc(program):
            return any(
                symbol.addr <= addr < symbol.addr + symbol.size
                for symbol in shared.symbols
                if symbol.name == function
            )
        template = self._templates.named(function)
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
