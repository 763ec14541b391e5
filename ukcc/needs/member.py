"""One file with code: its system-call sites, the arguments that matter, and its paths."""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ukcc.image.sites import looks_like_a_call
from ukcc.needs.arguments import REGISTERS, TABLE, Argument
from ukcc.needs.backward import Found, Unknown, Walker
from ukcc.needs.code import Code
from ukcc.needs.effects import RAX
from ukcc.needs.imports import Imports
from ukcc.needs.program import Program, Symbol, load
from ukcc.needs.rules import Rulebook
from ukcc.needs.texts import paths_in

_SYSCALL = b"\x0f\x05"
# toolchain-shims/prelude.s: what is before the literal `syscall` of a redirected site
_GATE = re.compile(rb"\x4c\x8b\x1d....\x48\x8d\x0d\x05\x00\x00\x00\x41\xff\xe3\x0f\x05", re.DOTALL)
_GATE_SIZE = 17

# Honest files have less: libc.so.6 526 sites. A call's argument is looked at, at so many sites.
_MOST_SITES = 20_000
_LONGEST_TEXT = 64


@dataclass(frozen=True)
class Site:
    """A system call at `addr`, its first byte: the numbers it can have (`number.values`, 32 bits).

    rule: the name of the rule that told them, or empty.
    """

    addr: int
    function: str
    number: Found
    rule: str = ""


@dataclass(frozen=True)
class Passed:
    """An argument of the call `number` at a site; texts: what the values are the addresses of."""

    addr: int
    function: str
    number: int
    position: int
    value: Found
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What one file's code does by itself; `wanted` in it is what other files decide.

    imports: names of others' functions that it uses; paths: see texts.py.
    """

    sites: tuple[Site, ...]
    passed: tuple[Passed, ...]
    imports: frozenset[str]
    paths: frozenset[str]


class Analysis:
    """A file, opened to be looked into. Raises NotAnImage for what is not an ELF file."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.program = load(data, path)
        self._code = Code(self.program)
        self._walker = Walker(self._code)
        self._imports = Imports(self._code, self._walker)

    def findings(self, names: Mapping[int, str], rules: Rulebook) -> Findings:
        """Everything of the file. names: of the kernel's calls."""
        naming = _Naming(self.program)
        wanted: dict[str, list[Argument]] = {}
        for row in TABLE:
            wanted.setdefault(row.call, []).append(row)
        sites: list[Site] = []
        passed: list[Passed] = []
        for addr in self._sites():
            if len(sites) == _MOST_SITES:
                late = Found(unknown=(Unknown(addr, f"more than {_MOST_SITES} system calls"),))
                sites.append(Site(addr, "", late))
                break
            site = self._site(addr, naming.of(addr), rules)
            sites.append(site)
            for number in sorted({value & 0xFFFFFFFF for value in site.number.values}):
                for row in wanted.get(names.get(number, ""), ()) if not site.rule else ():
                    passed.append(self._passed(site, number, row))
        paths = paths_in(b"\0".join(piece.data for piece in self.program.pieces))
        return Findings(tuple(sites), tuple(passed), self._imports.names(), paths)

    def passed_to(self, name: str, register: int) -> Found:
        """What a register holds where the file calls a function of another."""
        return self._imports.passed(name, register)

    def has_text(self, text: bytes) -> bool:
        """Whether a text of its own is in memory, beside the loader's names."""
        start, end = self.program.names
        for piece in self.program.pieces:
            at = piece.data.find(b"\0" + text + b"\0")
            while at >= 0:
                if not start <= piece.addr + at < end:
                    return True
                at = piece.data.find(b"\0" + text + b"\0", at + 1)
        return False

    def _site(self, addr: int, function: str, rules: Rulebook) -> Site:
        found = self._walker.register(addr, RAX)
        if found.unknown:
            rule = rules.find(self.program, addr)
            if rule is not None:
                return Site(addr, function, Found(frozenset(rule.numbers)), rule.name)
        return Site(addr, function, found)

    def _passed(self, site: Site, number: int, row: Argument) -> Passed:
        found = self._walker.register(site.addr, REGISTERS[row.position])
        texts: tuple[str, ...] = ()
        if row.kind is None:
            read = [self._text(value) for value in sorted(found.values) if value]
            texts = tuple(text for text in read if text is not None)
            if len(texts) != len(read):
                why = Unknown(site.addr, "its text is not in the file")
                found = Found(found.values, found.wanted, (*found.unknown, why))
        return Passed(site.addr, site.function, number, row.position, found, texts)

    def _text(self, addr: int) -> "str | None":
        """The text at an address that is never written."""
        piece = self.program.piece_at(addr)
        if piece is None or piece.writable:
            return None
        text, end, _ = self.program.read(addr, _LONGEST_TEXT).partition(b"\0")
        return text.decode("utf-8", "replace") if end else None

    def _sites(self) -> Iterator[int]:
        """The first byte of each site, by ascending address."""
        for piece in self.program.code:
            at = piece.data.find(_SYSCALL)
            while at >= 0:
                start = at - _GATE_SIZE
                is_gate = start >= 0 and _GATE.match(piece.data, start)
                addr = piece.addr + (start if is_gate else at)
                region = self._code.region_at(addr)
                assert region is not None
                if region.opaque:
                    is_site = looks_like_a_call(piece.data, at, piece.addr + at)
                else:
                    is_site = region.insn(addr) is not None
                if is_site:
                    yield addr
                at = piece.data.find(_SYSCALL, at + 1)


class _Naming:
    """Addresses to the names of functions."""

    def __init__(self, program: Program) -> None:
        self._symbols = sorted(program.symbols, key=lambda s: (s.addr, s.size))
        self._starts = [symbol.addr for symbol in self._symbols]

    def of(self, addr: int) -> str:
        """The plainest name of the function around an address, or empty."""
        index = bisect_right(self._starts, addr)
        around: list[Symbol] = []
        for symbol in reversed(self._symbols[max(index - 64, 0) : index]):
            if addr < symbol.addr + symbol.size:
                around.append(symbol)
        plain = sorted(around, key=lambda s: (s.name.startswith("__GI_"), len(s.name), s.name))
        return plain[0].name.partition("@")[0] if plain else ""
