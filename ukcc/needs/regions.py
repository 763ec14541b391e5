"""Functions: where they begin and end, and their instructions.

Bounds are those of symbols and of the unwinding information. What lies between two functions is a
gap: code without either, padding, or data; of that only what something leads to is code.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass, field
from typing import NamedTuple

import capstone

from ukcc.needs.program import Program
from ukcc.needs.references import References

# A function that is larger is not looked into (the largest of PostgreSQL has 60 KiB, of libc 20).
_LARGEST = 1 << 20
# All that is decoded of one file, in bytes: about a minute's work.
_MOST_DECODED = 16 << 20

_TERMINATORS = frozenset(
    ("jmp", "ljmp", "ret", "retf", "retfq", "iret", "iretd", "iretq", "ud0", "ud1", "ud2", "int3",
     "sysret", "sysretq", "(bad)")
)  # fmt: skip

_BRANCHES = frozenset(("call", "loop", "loope", "loopne", "xbegin"))

# toolchain-shims/prelude.s: what jumps to the gate comes back behind the literal `syscall`.
_GATE_JUMP = b"\x41\xff\xe3\x0f\x05"
_LONGEST = 15
_RIP = re.compile(r"\[rip ([+-]) (0x[0-9a-f]+|[0-9]+)\]")


class Insn(NamedTuple):
    """One instruction: `mnemonic` without prefixes; target: of a direct branch, else None.

    is_locked: it has a `lock` prefix; ends_flow: the one behind it is not the next.
    """

    addr: int
    size: int
    mnemonic: str
    operands: str
    target: "int | None"
    is_locked: bool
    ends_flow: bool

    @property
    def end(self) -> int:
        """The address behind it."""
        return self.addr + self.size


@dataclass
class Region:
    """A function, or what lies between two of them (`is_gap`): its instructions in order.

    jumps: who jumps where inside, by the target; opaque: why nothing is known of it, or empty.
    shares_stack: see backward.py; None: not looked at yet.
    """

    start: int
    end: int
    is_gap: bool
    insns: list[Insn] = field(default_factory=list)
    index: dict[int, int] = field(default_factory=dict)
    jumps: dict[int, list[int]] = field(default_factory=dict)
    opaque: str = ""
    shares_stack: "bool | None" = None

    def insn(self, addr: int) -> "Insn | None":
        """The instruction that begins at an address."""
        index = self.index.get(addr)
        return None if index is None else self.insns[index]

    def holding(self, addr: int) -> "Insn | None":
        """The instruction that has the byte at an address."""
        index = bisect_right(self.insns, addr, key=lambda insn: insn.addr) - 1
        found = self.insns[index] if index >= 0 else None
        return found if found is not None and addr < found.end else None

    def reached_at(self, target: int) -> "Insn | None":
        """The instruction that a jump to `target` arrives at.

        glibc jumps over the `lock` prefix of one where a program has a single thread.
        """
        found = self.insn(target)
        if found is None:
            before = self.insn(target - 1)
            return before if before is not None and before.is_locked else None
        return found


class Regions:
    """The functions of one program, decoded as they are asked for."""

    def __init__(self, program: Program, references: References) -> None:
        self._program = program
        self._references = references
        self._intervals = _merged(program)
        self._interval_starts = [start for start, _ in self._intervals]
        self._known: dict[int, Region] = {}
        self._decoded = 0
        self._decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._decoder.skipdata = True

    def at(self, addr: int) -> "Region | None":
        """The region that holds an address, decoded; None outside all code."""
        bounds = self.bounds(addr)
        if bounds is None:
            return None
        found = self._known.get(bounds[0])
        if found is None:
            found = self._known[bounds[0]] = Region(*bounds)
            self._decode(found)
        return found

    def bounds(self, addr: int) -> "tuple[int, int, bool] | None":
        """Start, end, and whether it is a gap, of the region that holds an address."""
        piece = self._program.piece_at(addr)
        if piece is None or not piece.executable:
            return None
        index = bisect_right(self._interval_starts, addr) - 1
        if index >= 0 and addr < self._intervals[index][1]:
            start, end = self._intervals[index]
            return start, min(end, piece.end), False
        start = max(self._intervals[index][1], piece.addr) if index >= 0 else piece.addr
        end = self._intervals[index + 1][0] if index + 1 < len(self._intervals) else piece.end
        return start, min(end, piece.end), True

    # -- decoding

    def _decode(self, region: Region) -> None:
        size = region.end - region.start
        self._decoded += size
        if size > _LARGEST:
            what = "code without the bounds of functions" if region.is_gap else "one function"
            region.opaque = f"{size:,} bytes of {what}: too many to be looked at"
        elif self._decoded > _MOST_DECODED:
            region.opaque = "too much code to be looked at"
        elif region.is_gap:
            self._follow(region)
        else:
            code = self._program.read(region.start, size)
            for addr, length, mnemonic, operands in self._decoder.disasm_lite(code, region.start):
                insn = self._insn(addr, length, mnemonic, operands)
                region.index[addr] = len(region.insns)
                region.insns.append(insn)
                if insn.mnemonic == "(bad)":
                    region.opaque = "data, or code that is not known, is in the function"
        self._link(region)

    def _link(self, region: Region) -> None:
        for insn in region.insns:
            inside = insn.target is not None and region.start <= insn.target < region.end
            if insn.target is None or not inside or insn.mnemonic == "call":
                continue
            reached = region.reached_at(insn.target)
            if reached is None:
                region.opaque = "a jump goes into the middle of an instruction"
            else:
                region.jumps.setdefault(reached.addr, []).append(insn.addr)

    def _insn(self, addr: int, size: int, mnemonic: str, operands: str) -> Insn:
        prefixes, _, name = mnemonic.rpartition(" ")
        target = None
        if name[0] == "j" or name in _BRANCHES:
            target = int(operands, 16) if operands.startswith("0x") else None
        elif name == ".byte":
            name = "(bad)"
        ends = name in _TERMINATORS
        if ends and operands == "r11" and self._program.read(addr, 5) == _GATE_JUMP:
            ends = False
        return Insn(addr, size, name, operands, target, "lock" in prefixes, ends)

    def _follow(self, gap: Region) -> None:
        """The instructions of a gap that something leads to."""
        found: dict[int, Insn] = {}
        left = sorted(self._entries(gap))
        while left:
            addr = left.pop()
            if addr in found or not gap.start <= addr < gap.end:
                continue
            code = self._program.read(addr, min(_LONGEST, gap.end - addr))
            insn = self._insn(*next(self._decoder.disasm_lite(code, addr, 1)))
            found[addr] = insn
            if insn.target is not None:
                left.append(insn.target)
            elif insn.mnemonic == "jmp" and insn.ends_flow and "rip" not in insn.operands:
                gap.opaque = "code without a function's bounds jumps anywhere"
            elif insn.mnemonic == "lea":
                left += named_by_lea(insn)
            if not insn.ends_flow:
                left.append(insn.end)
        gap.insns = [found[addr] for addr in sorted(found)]
        gap.index = {insn.addr: number for number, insn in enumerate(gap.insns)}

    def _entries(self, gap: Region) -> set[int]:
        """The addresses in a gap that something outside it may lead to."""
        start, end = gap.start, gap.end
        references = self._references
        found = references.marked_between(start, end)
        for addr, places in references.named_between(start, end):
            if any(self._is_code(place, gap) for place in places):
                found.add(addr)
        for addr, places in references.short_branches(start, end).items():
            if any(self._may_jump(place, addr, gap) for place in places):
                found.add(addr)
        above = self.at(start - 1)
        if above is not None and (above.opaque or (above.insns and not above.insns[-1].ends_flow)):
            found.add(start)
        return found

    def _is_code(self, place: int, gap: Region) -> bool:
        """Whether an opcode outside a gap may be at `place`."""
        if gap.start <= place < gap.end:
            return False  # is found where it is reached
        region = self.at(place)
        if region is None or region.is_gap or region.opaque:
            return True
        holding = region.holding(place)
        return holding is not None and place - holding.addr < 4

    def _may_jump(self, place: int, target: int, gap: Region) -> bool:
        """Whether a short branch to `target` may be at `place`, not bytes that look like it."""
        if not self._is_code(place, gap):
            return False
        region = self.at(place)
        if region is None or region.is_gap or region.opaque:
            return True
        holding = region.holding(place)
        return holding is not None and holding.target == target


def named_by_lea(insn: Insn) -> list[int]:
    """The address that a `lea` makes from rip; of another one, none."""
    match = _RIP.search(insn.operands)
    if match is None:
        return []
    distance = int(match[2], 0)
    return [insn.end - distance if match[1] == "-" else insn.end + distance]


def _merged(program: Program) -> list[tuple[int, int]]:
    """Disjoint ranges of functions: those of symbols and of unwinding information that overlap
    are one; a symbol without a size reaches to what is next."""
    ranges = [(s.addr, s.addr + s.size) for s in program.symbols if s.size]
    ranges += program.frames
    merged: list[tuple[int, int]] = []
    for start, end in sorted(ranges):
        if not program.is_code(start):
            continue
        if merged and start < merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
