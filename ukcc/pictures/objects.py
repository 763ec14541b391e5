"""Which object of a program each of its symbols is from, as far as its symbol table tells.

The FILE symbols come in the order in which the objects were linked, each before the local symbols
of its object; in each section the objects have the same order. So a global symbol between two local
ones of the same object is of that object, too. Of others it is not known.
"""

import difflib
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from ukcc.image.elf import Symbol

_DEEP = ("drivers",)  # what is below is a subsystem of its own
_LIST = Path(__file__).with_name("kernel_objects.txt")


@dataclass(frozen=True)
class Named:
    """A symbol's place in a section. unit: the number of its object's FILE symbol, or -1 if that is
    not known; between: those of the local symbols around it, or -1."""

    start: int
    end: int
    symbol: Symbol
    unit: int
    between: tuple[int, int]


def named_ranges(symbols: Sequence[Symbol], start: int, end: int) -> list[Named]:
    """Ranges of addresses of one section's symbols, ascending, without overlap, clipped to
    `start`..`end`. A symbol without a size has what follows, up to the next."""
    ordered = sorted(
        (s for s in symbols if start <= s.addr < end), key=lambda s: (s.addr, -s.size, s.is_global)
    )
    local = [s for s in ordered if s.unit >= 0]
    local_at = [s.addr for s in local]
    found: list[Named] = []
    at = start
    for number, symbol in enumerate(ordered):
        first = max(symbol.addr, at)
        last = symbol.addr + symbol.size
        if not symbol.size:
            following = ordered[number + 1] if number + 1 < len(ordered) else None
            last = following.addr if following else end
        last = min(last, end)
        if last <= first:
            continue
        between = _around(symbol, local, local_at)
        unit = symbol.unit if symbol.unit >= 0 else between[0] if between[0] == between[1] else -1
        found.append(Named(first, last, symbol, unit, between))
        at = last
    return found


def _around(symbol: Symbol, local: Sequence[Symbol], local_at: Sequence[int]) -> tuple[int, int]:
    index = bisect_left(local_at, symbol.addr)
    before = local[index - 1].unit if index else -1
    after = local[index].unit if index < len(local) else -1
    return before, after


@lru_cache
def _listed() -> tuple[str, ...]:
    lines = _LIST.read_text(encoding="ascii").splitlines()
    return tuple(line for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True)
class KernelSources:
    """The FILE symbols of a kernel. paths: of those whose directory is known, by their numbers."""

    paths: Mapping[int, str]
    places: Mapping[int, int]

    def subsystem(self, named: Named) -> str:
        """That of its file; if that is not known, that of all files that it may be of; or empty."""
        if named.unit >= 0:
            return subsystem(self.paths.get(named.unit, ""))
        before, after = (self.places.get(unit, -1) for unit in named.between)
        listed = _listed()
        if (named.between[0] >= 0 and before < 0) or before > after:
            return ""
        possible = {subsystem(path) for path in listed[max(before, 0) : after + 1]}
        return possible.pop() if len(possible) == 1 else ""


def sources_of(units: Sequence[str]) -> KernelSources:
    """What is known of a kernel's FILE symbols. units: their names in the table's order."""
    listed = _listed()
    ours, theirs = [_stem(name) for name in units], [_stem(path) for path in listed]
    blocks = difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks()
    found = {a + n: b + n for a, b, size in blocks for n in range(size)}
    by_stem: dict[str, list[int]] = {}
    for number, stem in enumerate(theirs):
        by_stem.setdefault(stem, []).append(number)
    for number, stem in enumerate(ours):
        candidates = by_stem.get(stem, [])
        if number not in found and len(candidates) == 1:
            found[number] = candidates[0]
    paths = {n: f"{_directory(listed[at])}{_source(units[n])}" for n, at in found.items()}
    return KernelSources(paths, found)


def subsystem(path: str) -> str:
    """`fs/proc/base.c` -> `fs`, `drivers/acpi/acpica/x.c` -> `drivers/acpi`; empty for no path."""
    parts = path.split("/")[:-1]
    if not parts:
        return ""
    return "/".join(parts[: 3 if parts[0] == "arch" else 2 if parts[0] in _DEEP else 1])


def _stem(name: str) -> str:
    return name.rpartition("/")[2].rpartition(".")[0]


def _directory(path: str) -> str:
    head, slash, _ = path.rpartition("/")
    return head + slash


def _source(unit: str) -> str:
    """An object without a FILE symbol is named by the linker: it is of an assembler file."""
    return f"{unit[:-2]}.S" if unit.endswith(".o") else unit
