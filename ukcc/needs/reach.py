"""Which functions of glibc anything in an image leads to.

A function counts if a chain of direct calls, jumps, addresses in instructions and jump tables leads
to it from a function that other files ask for by name, from one whose address is in data, from
where the program begins, or from what the loader calls.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ukcc.needs.code import Code
from ukcc.needs.switches import Switches

# toolchain-shims/prelude.s: what a site's gate pointer points to at first. It goes back to the site
# that jumped there, and nothing else has its address.
_STUB = bytes.fromhex("f30f1efa488d49fe3effe1")


@dataclass(frozen=True)
class Graph:
    """Functions by their first address: who leads to whom, who is always reached, and who by which
    name."""

    edges: Mapping[int, tuple[int, ...]]
    always: tuple[int, ...]
    names: Mapping[str, tuple[int, ...]]

    def reached(self, names: Iterable[str]) -> frozenset[int]:
        """The functions that are reached where others ask for these names."""
        left = [*self.always, *(addr for name in names for addr in self.names.get(name, ()))]
        seen = set(left)
        while left:
            for target in self.edges.get(left.pop(), ()):
                if target not in seen:
                    seen.add(target)
                    left.append(target)
        return frozenset(seen)


def graph_of(code: Code, switches: Switches) -> Graph:
    """The graph of all of a program's code."""
    program = code.program

    def start_of(addr: int) -> "int | None":
        region = code.region_at(addr)
        return None if region is None else region.start

    def starts_of(addrs: Iterable[int]) -> tuple[int, ...]:
        found = {start_of(addr) for addr in addrs}
        return tuple(sorted(start for start in found if start is not None))

    # its own names are asked for by itself, through the loader, too
    own = [addr for name in program.imports.values() for addr in program.exports.get(name, ())]
    pointers = [addr for addr in program.pointers if program.read(addr, len(_STUB)) != _STUB]
    numbers = code.named_by_numbers()
    always = starts_of((*pointers, *program.hooks, program.entry, *own, *numbers))
    names = {name: starts_of(addrs) for name, addrs in program.exports.items()}
    edges: dict[int, tuple[int, ...]] = {}
    left = [*always, *(start for starts in names.values() for start in starts)]
    while left:
        start = left.pop()
        region = code.region_at(start)
        if start in edges or region is None:
            continue
        switches.resolve(region)
        used = code.used_by(region)
        if region.opaque:
            # its end is among them; nobody goes on in what fills up to the next function
            used = {addr for addr in used if not code.is_padding(addr)}
        edges[start] = starts_of(used)
        left += edges[start]
    for target, jumps in code.table_edges.items():
        to = start_of(target)
        for start in starts_of(jumps):
            if to is not None and to != start:
                edges[start] = (*edges.get(start, ()), to)
    return Graph(edges, always, names)
