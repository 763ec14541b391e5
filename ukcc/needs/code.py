"""A program's code as a graph: from which instructions each instruction is reached.

What cannot be followed is said to be unknown, never left out; docs/needs.md lists what is assumed.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import capstone
from capstone import x86

from ukcc.needs.program import Program
from ukcc.needs.references import References
from ukcc.needs.regions import Insn, Region, Regions, named_by_lea
from ukcc.needs.returns import Returns

_PADDING = frozenset(("nop", "int3", "fnop", "data16"))

# Each takes 4 to 8 kB; a walk comes back soon to what it has seen (libc.so.6: 16 would do).
_MOST_DETAILS = 64


@dataclass(frozen=True)
class Before:
    """How an instruction is reached: from the instructions `sources`; in a way that the code does
    not show if `unknown` (why) is not empty; from other files, by the names of `exported`."""

    sources: tuple[int, ...]
    unknown: str = ""
    exported: tuple[str, ...] = ()


# Why nothing can be told of a place that no code and no address leads to.
NOT_REACHED = "nothing shows how it is reached"


class Code:
    """The code of one program, decoded as far as it was asked for.

    table_edges: what jump tables add: target -> the jumps; table_places: the words of the tables.
    `switches.py` fills them.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.table_edges: dict[int, set[int]] = {}
        self.table_places: set[int] = set()
        self._references = References(program)
        self._regions = Regions(program, self._references)
        self._named = {s.addr for s in program.symbols} | {start for start, _ in program.frames}
        self._named.add(program.entry)
        self._detailed = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._detailed.detail = True
        self._detail = lru_cache(_MOST_DETAILS)(self._disassemble)
        self._before: dict[int, Before] = {}
        self._returns = Returns(self)

    def region_at(self, addr: int) -> "Region | None":
        """The region that holds an address, decoded; None outside all code."""
        return self._regions.at(addr)

    def is_start(self, addr: int) -> bool:
        """Whether a symbol or the unwinding information says that a function begins there."""
        return addr in self._named

    def follows_abi(self, region: Region) -> bool:
        """Whether a compiler for the psABI made it: unwinding information tells how its frame
        saves registers. (Go's code, which saves none, has its own kind.)"""
        index = bisect_right(self.program.frames, (region.start, 1 << 64)) - 1
        around = self.program.frames[max(index, 0) : index + 2]
        return any(start < region.end and region.start < end for start, end in around)

    def detail(self, insn: Insn) -> capstone.CsInsn:
        """The instruction with its operands."""
        return self._detail(insn.addr, insn.size)

    def _disassemble(self, addr: int, size: int) -> capstone.CsInsn:
        return next(self._detailed.disasm(self.program.read(addr, size), addr, 1))

    def before(self, addr: int) -> Before:
        """From where the instruction at an address is reached."""
        found = self._before.get(addr)
        if found is None:
            found = self._before[addr] = self._find_before(addr)
        return found

    def forget_edges(self) -> None:
        """To be called when jump tables were added."""
        self._before.clear()

    def callers(self, addr: int) -> list[Insn]:
        """The direct calls and jumps to an address, from wherever code can be followed."""
        return [insn for _, insn in self._branches_to(addr) if insn is not None]

    def used_by(self, region: Region) -> set[int]:
        """The addresses of code in other regions that a region's instructions name."""
        if region.opaque:
            return self._references.used_between(region.start, region.end)
        found = {insn.target for insn in region.insns if insn.target is not None}
        for insn in region.insns:
            if insn.mnemonic == "lea":
                found.update(named_by_lea(insn))
        last = region.insns[-1] if region.insns else None
        # a function that ends with a call does not go on in the padding behind it
        if last is not None and not last.ends_flow:
            is_end = last.mnemonic == "call" and self.is_padding(last.end)
            found.update(() if is_end else (last.end,))
        inside = range(region.start, region.end)
        return {addr for addr in found if addr not in inside and self.program.is_code(addr)}

    def is_padding(self, addr: int) -> bool:
        """Whether an address is in what only fills up to the next function."""
        region = self.region_at(addr)
        return (
            region is not None
            and region.is_gap
            and all(insn.mnemonic in _PADDING for insn in region.insns)
        )

    def named_by_numbers(self) -> Iterator[int]:
        """Addresses of code that instructions have as numbers, of a program at a fixed place."""
        for addr, places in self._references.immediates.items():
            if any(self._is_number(place, addr) for place in places):
                yield addr

    @property
    def overflow(self) -> str:
        """Why not all references are known, or empty."""
        return self._references.overflow

    def taken(self, addr: int) -> str:
        """By what an address may be reached indirectly; empty if its address is used nowhere."""
        places = self.program.pointers.get(addr, ())
        if any(place not in self.table_places for place in places):
            return "its address is in data"
        for place in self._references.leas.get(addr, ()):
            region = self.region_at(place)
            if region is None or region.opaque or _opcode_at(region, place) is not None:
                return "its address is used"
        for place in self._references.immediates.get(addr, ()):
            if self._is_number(place, addr):
                return "its address is used"
        if addr in self.program.pads:
            return "an exception goes on there"
        if addr in self.program.hooks:
            return "the loader calls it"
        return "the program begins there" if addr == self.program.entry else ""

    def _is_number(self, place: int, number: int) -> bool:
        """Whether the bytes at a place are a number in an instruction, or may be one."""
        region = self.region_at(place)
        if region is None or region.opaque or region.is_gap:
            return True
        insn = region.holding(place)
        if insn is None:
            return False
        return any(
            (op.type == x86.X86_OP_IMM and op.imm & 0xFFFFFFFF == number)
            or (op.type == x86.X86_OP_MEM and op.mem.disp & 0xFFFFFFFF == number)
            for op in self.detail(insn).operands
        )

    def _find_before(self, addr: int) -> Before:
        region = self.region_at(addr)
        if region is None or region.insn(addr) is None:
            return Before((), region.opaque if region and region.opaque else "it is not code")
        if region.opaque:
            return Before((), region.opaque)
        sources = set(region.jumps.get(addr, ()))
        sources |= self.table_edges.get(addr, set())
        previous = self._falls_into(region, addr)
        if previous is not None:
            sources.add(previous.addr)
        outside, unknown = self._from_outside(region, addr)
        sources |= outside
        unknown = unknown or self._references.overflow or self.taken(addr)
        exported = self._references.exported.get(addr, ())
        if not (sources or unknown or exported or self._is_dead(region, addr)):
            unknown = NOT_REACHED
        return Before(tuple(sorted(sources)), unknown, exported)

    def _falls_into(self, region: Region, addr: int) -> "Insn | None":
        """The instruction before, if it goes on here."""
        index = region.index[addr]
        if index:
            previous = region.insns[index - 1]
            goes_on = previous.end == addr and not previous.ends_flow
            return previous if goes_on and not self._never_returns(previous) else None
        above = self.region_at(region.start - 1)
        if above is None or not above.insns or above.opaque:
            return None
        previous = above.insns[-1]
        if previous.ends_flow or previous.end != addr:
            return None
        # behind a function there is padding, or it has ended by a call that does not return
        known = self.is_start(addr)
        if known and (previous.mnemonic == "call" or self._is_dead(above, previous.addr)):
            return None
        return previous

    def _never_returns(self, insn: Insn) -> bool:
        return (
            insn.mnemonic == "call"
            and insn.target is not None
            and not self._returns.may_return(insn.target)
        )

    def _is_dead(self, region: Region, addr: int) -> bool:
        """Whether it is padding that nothing goes to."""
        for index in range(region.index[addr], -1, -1):
            insn = region.insns[index]
            if insn.addr != addr and (insn.ends_flow or self._never_returns(insn)):
                return True
            if insn.mnemonic not in _PADDING and not _is_filler(insn):
                return False
            if region.jumps.get(insn.addr) or self._references.branches.get(insn.addr):
                return False
        return region.is_gap

    def _from_outside(self, region: Region, addr: int) -> tuple[set[int], str]:
        """Branches of other regions to an address: (those, why they are not all known)."""
        found: set[int] = set()
        for source, insn in self._branches_to(addr):
            if region.start <= source < region.end and (insn is None or insn.mnemonic != "call"):
                continue  # is in `jumps`
            if insn is None:
                return found, "code that cannot be followed may go there"
            found.add(source)
        return found, ""

    def _branches_to(self, addr: int) -> Iterator[tuple[int, "Insn | None"]]:
        """(address, branch) of what goes to an address; None for it where bytes look like one in
        code that is not decoded."""
        bounds = self._regions.bounds(addr)
        if bounds is None:
            return
        # a jump over a `lock` prefix names the byte behind it
        near = self._references.short_branches(bounds[0], bounds[1])
        for target in (addr, addr + 1):
            for source in (*self._references.branches.get(target, ()), *near.get(target, ())):
                region = self.region_at(source)
                if region is None or region.opaque:
                    if target == addr:
                        yield source, None
                    continue
                insn = _opcode_at(region, source)
                if insn is None or insn.target != target:
                    continue
                if target == addr or self._is_locked(addr):
                    yield insn.addr, insn

    def _is_locked(self, addr: int) -> bool:
        region = self.region_at(addr)
        insn = region.insn(addr) if region else None
        return insn is not None and insn.is_locked


def _opcode_at(region: Region, place: int) -> "Insn | None":
    """The instruction whose opcode is at `place`, possibly behind prefixes."""
    insn = region.holding(place)
    return insn if insn is not None and place - insn.addr < 4 else None


def _is_filler(insn: Insn) -> bool:
    """What assemblers fill with beside `nop`: `xchg ax, ax`."""
    if insn.mnemonic != "xchg":
        return False
    left, _, right = insn.operands.partition(", ")
    return left == right
