"""One file with code: its system-call sites, the arguments that matter, and its paths."""

import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ukcc.image.sites import looks_like_a_call
from ukcc.needs.arguments import REGISTERS, TABLE, CallArgument
from ukcc.needs.backward import RegisterValues, UnknownValue, Walker
from ukcc.needs.code import Code
from ukcc.needs.imports import Imports
from ukcc.needs.program import FunctionSymbol, Program, load
from ukcc.needs.reach import Graph, graph_of
from ukcc.needs.registers import RAX
from ukcc.needs.rules import Rulebook
from ukcc.needs.switches import Switches
from ukcc.needs.texts import paths_in

_SYSCALL = b"\x0f\x05"
# toolchain-shims/prelude.s: what is before the literal `syscall` of a redirected site
_GATE = re.compile(rb"\x4c\x8b\x1d....\x48\x8d\x0d\x05\x00\x00\x00\x41\xff\xe3\x0f\x05", re.DOTALL)
_GATE_SIZE = 17
# names of functions, at the end of texts: linkers let a text be the end of another one
_WORDS = re.compile(rb"([A-Za-z0-9_]{1,64})\x00")

# Honest files have less: libc.so.6 526 sites. A call's argument is looked at, at so many sites.
_MOST_SITES = 20_000
_LONGEST_TEXT = 64


@dataclass(frozen=True)
class Site:
    """A system call at `addr`, its first byte: the numbers it can have (`number.values`, 32 bits).

    region: the first address of its function, `function` the name. rule: the name of the rule that
    told the numbers, or empty.
    """

    addr: int
    region: int
    function: str
    number: RegisterValues
    rule: str = ""


@dataclass(frozen=True)
class Passed:
    """An argument of the call `number` at a site; texts: what the values are the addresses of."""

    addr: int
    region: int
    function: str
    number: int
    position: int
    value: RegisterValues
    texts: tuple[str, ...] = ()


@dataclass(frozen=True)
class Findings:
    """What one file's code does by itself; `wanted` in it is what other files decide.

    imports: names of others' functions that it uses; paths: see texts.py. graph: of the sysroot's
    libc.so.6, whose functions count only where something leads to them; or of a static program with
    functions of the sysroot's libc.a in it. glibc: the first addresses of those of them that make
    system calls, None for all functions of the file.
    """

    sites: tuple[Site, ...]
    passed: tuple[Passed, ...]
    imports: frozenset[str]
    paths: frozenset[str]
    graph: "Graph | None" = None
    glibc: "frozenset[int] | None" = None

    @property
    def is_libc(self) -> bool:
        """Whether it is the sysroot's libc.so.6."""
        return self.graph is not None and self.glibc is None


class Analysis:
    """A file, opened to be looked into. Raises NotAnImage for what is not an ELF file."""

    def __init__(self, data: bytes, path: Path) -> None:
        self.program = load(data, path)
        self._code = Code(self.program)
        self._switches = Switches(self._code)
        self._walker = Walker(self._code, self._switches)
        self._imports = Imports(self._code, self._walker)

    def findings(self, names: Mapping[int, str], rules: Rulebook) -> Findings:
        """Everything of the file. names: of the kernel's calls."""
        naming = _Naming(self.program)
        wanted: dict[str, list[CallArgument]] = {}
        for row in TABLE:
            wanted.setdefault(row.call, []).append(row)
        sites: list[Site] = []
        passed: list[Passed] = []
        for addr in self._sites():
            if len(sites) == _MOST_SITES:
                late = RegisterValues(
                    unknown=(UnknownValue(addr, f"more than {_MOST_SITES} system calls"),)
                )
                sites.append(Site(addr, 0, "", late))
                break
            site = self._site(addr, naming.of(addr), rules)
            sites.append(site)
            for number in sorted({value & 0xFFFFFFFF for value in site.number.values}):
                for row in wanted.get(names.get(number, ""), ()) if not site.rule else ():
                    passed.append(self._passed(site, number, row))
        paths = paths_in(b"\0".join(piece.data for piece in self.program.pieces))
        glibc = None if rules.is_libc(self.program) else self._of_libc_a(sites, rules)
        graph = None
        if glibc is None or glibc:
            graph = graph_of(self._code, self._switches)
        if self._code.overflow:
            graph = glibc = None
        names_used = self._imports.names()
        return Findings(tuple(sites), tuple(passed), names_used, paths, graph, glibc)

    def _of_libc_a(self, sites: "list[Site]", rules: Rulebook) -> frozenset[int]:
        """The functions with a site that are the sysroot's libc.a's, of a static program: one in
        which no other file can find a function."""
        if self.program.imports or self.program.exports:
            return frozenset()
        regions = [self._code.region_at(site.addr) for site in sites]
        return frozenset(
            region.start
            for region in regions
            if region is not None
            and rules.is_of_libc_a(self.program.read(region.start, region.end - region.start))
        )

    def passed_to(self, name: str, register: int) -> RegisterValues:
        """What a register holds where the file calls a function of another."""
        return self._imports.passed(name, register)

    def names_in_texts(self, names: "Collection[str]") -> frozenset[str]:
        """Those of some names that are a text, or the end of one, beside the loader's own names."""
        start, end = self.program.names
        found: set[str] = set()
        for piece in self.program.pieces:
            for match in _WORDS.finditer(piece.data):
                if start <= piece.addr + match.start() < end:
                    continue
                word = match[1].decode("ascii")
                found.update(word[at:] for at in range(len(word)) if word[at:] in names)
        return frozenset(found)

    def _site(self, addr: int, function: str, rules: Rulebook) -> Site:
        found = self._walker.register(addr, RAX)
        region = self._code.region_at(addr)
        start = region.start if region else 0
        if found.unknown:
            rule = rules.find(self.program, addr)
            if rule is not None:
                return Site(
                    addr, start, function, RegisterValues(frozenset(rule.numbers)), rule.name
                )
        return Site(addr, start, function, found)

    def _passed(self, site: Site, number: int, row: CallArgument) -> Passed:
        found = self._walker.register(site.addr, REGISTERS[row.position])
        texts: tuple[str, ...] = ()
        if row.kind is None:
            read = [self.text_at(value) for value in sorted(found.values) if value]
            texts = tuple(text for text in read if text is not None)
            if len(texts) != len(read):
                why = UnknownValue(site.addr, "its text is not in the file")
                found = RegisterValues(found.values, found.wanted, (*found.unknown, why))
        return Passed(site.addr, site.region, site.function, number, row.position, found, texts)

    def text_at(self, addr: int) -> "str | None":
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
        around: list[FunctionSymbol] = []
        for symbol in reversed(self._symbols[max(index - 64, 0) : index]):
            if addr < symbol.addr + symbol.size:
                around.append(symbol)
        plain = sorted(around, key=lambda s: (s.name.startswith("__GI_"), len(s.name), s.name))
        return plain[0].name.partition("@")[0] if plain else ""
