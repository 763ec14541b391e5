"""A program's code as a graph: from which instructions each instruction is reached.

Only functions that are asked for are decoded. What cannot be followed is said to be unknown, never
left out; docs/needs.md lists what is assumed.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property

import capstone

from ukcc.needs.program import Program, immediates
from ukcc.needs.returns import Returns

# A function that is larger is not looked into (the largest of PostgreSQL has 60 KiB, of libc 20).
_LARGEST_REGION = 1 << 20
# All that is decoded of one file, in bytes: about a minute's work.
_MOST_DECODED = 16 << 20
_MOST_BRANCHES = 4 << 20

_TERMINATORS = frozenset(
    ("jmp", "ljmp", "ret", "retf", "retfq", "iret", "iretd", "iretq", "ud0", "ud1", "ud2", "int3",
     "sysret", "sysretq", "(bad)")
)  # fmt: skip
_PADDING = frozenset(("nop", "int3", "fnop"))
# rel32 branches, and `lea` of an address relative to rip: ModRM 00 reg 101
_BRANCHES = re.compile(rb"[\xe8\xe9]|\x0f[\x80-\x8f]")
# (the one of a redirected site is not meant as an address to be used)
_LEAS = re.compile(
    rb"\x8d(?!\x0d\x05\x00\x00\x00\x41\xff\xe3\x0f\x05)[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]"
)
_SHORT = frozenset((*range(0x70, 0x80), 0xE0, 0xE1, 0xE2, 0xE3, 0xEB))
_SHORT_REACH = 130

# toolchain-shims/prelude.s: what jumps to the gate comes back behind the literal `syscall`.
_GATE_JUMP = b"\x41\xff\xe3\x0f\x05"


@dataclass(frozen=True)
class Insn:
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


@dataclass
class Region:
    """A function, or what lies between two known ones (`is_gap`): its instructions in order.

    jumps: who jumps where inside, by the target; opaque: why nothing is known of it, or empty.
    """

    start: int
    end: int
    is_gap: bool
    insns: list[Insn] = field(default_factory=list)
    index: dict[int, int] = field(default_factory=dict)
    jumps: dict[int, list[int]] = field(default_factory=dict)
    opaque: str = ""
    shares_stack: "bool | None" = None  # see backward.py; None: not looked at

    def insn(self, addr: int) -> "Insn | None":
        """The instruction that begins at an address."""
        index = self.index.get(addr)
        return None if index is None else self.insns[index]

    def reached_at(self, target: int) -> "Insn | None":
        """The instruction that a jump to `target` arrives at.

        glibc jumps over the `lock` prefix of one where a program has a single thread.
        """
        found = self.insn(target)
        if found is None:
            before = self.insn(target - 1)
            return before if before is not None and before.is_locked else None
        return found


@dataclass(frozen=True)
class Before:
    """How an instruction is reached: from the instructions `sources`; in a way that the code does
    not show if `unknown` (why) is not empty; from other files, by the names of `exported`."""

    sources: tuple[int, ...]
    unknown: str = ""
    exported: tuple[str, ...] = ()


class Code:
    """The code of one program, decoded as far as it was asked for.

    table_edges: what jump tables add: target -> the jumps; table_places: the words of the tables.
    `switches.py` fills them.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.table_edges: dict[int, set[int]] = {}
        self.table_places: set[int] = set()
        self._intervals = _merged(program)
        self._interval_starts = [start for start, _ in self._intervals]
        self._named = {s.addr for s in program.symbols} | {start for start, _ in program.frames}
        self._named.add(program.entry)
        self._regions: dict[int, Region] = {}
        self._decoded = 0
        self._overflow = ""
        self._decoder = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._detailed = capstone.Cs(capstone.CS_ARCH_X86, capstone.CS_MODE_64)
        self._detailed.detail = True
        self._details: dict[int, capstone.CsInsn] = {}
        self._before: dict[int, Before] = {}
        self._returns = Returns(self)

    def region_at(self, addr: int) -> "Region | None":
        """The region that holds an address, decoded; None outside all code."""
        bounds = self._bounds(addr)
        if bounds is None:
            return None
        if bounds[0] not in self._regions:
            self._regions[bounds[0]] = self._decode(*bounds)
        return self._regions[bounds[0]]

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
        found = self._details.get(insn.addr)
        if found is None:
            code = self.program.read(insn.addr, insn.size)
            found = next(self._detailed.disasm(code, insn.addr, 1))
            self._details[insn.addr] = found
        return found

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

    def taken(self, addr: int) -> str:
        """By what an address may be reached indirectly; empty if its address is used nowhere."""
        places = self.program.pointers.get(addr, ())
        if any(place not in self.table_places for place in places):
            return "its address is in data"
        for place in self._leas.get(addr, ()):
            region = self.region_at(place)
            if region is None or region.opaque or self._covers(region, place):
                return "its address is used"
        if addr in self._immediates:
            return "its address is used"
        if addr == self.program.entry:
            return "the program begins there"
        return ""

    # -- bounds and decoding

    def _bounds(self, addr: int) -> "tuple[int, int, bool] | None":
        piece = self.program.piece_at(addr)
        if piece is None or not piece.executable:
            return None
        index = bisect_right(self._interval_starts, addr) - 1
        if index >= 0 and addr < self._intervals[index][1]:
            start, end = self._intervals[index]
            return start, min(end, piece.end), False
        start = max(self._intervals[index][1], piece.addr) if index >= 0 else piece.addr
        end = self._intervals[index + 1][0] if index + 1 < len(self._intervals) else piece.end
        at = bisect_right(self._bare_starts, addr)
        if at and self._bare_starts[at - 1] > start:
            start = self._bare_starts[at - 1]
        if at < len(self._bare_starts):
            end = min(end, self._bare_starts[at])
        return start, min(end, piece.end), True

    @cached_property
    def _bare_starts(self) -> list[int]:
        """What symbols without a size begin."""
        return sorted({s.addr for s in self.program.symbols if not s.size} | {self.program.entry})

    def _decode(self, start: int, end: int, is_gap: bool) -> Region:
        region = Region(start, end, is_gap)
        self._decoded += end - start
        if end - start > _LARGEST_REGION:
            region.opaque = f"{end - start:,} bytes of code without a function's bounds"
            return region
        if self._decoded > _MOST_DECODED:
            region.opaque = "too much code to be looked at"
            return region
        code, at = self.program.read(start, end - start), start
        while at < end:
            for addr, size, mnemonic, operands in self._decoder.disasm_lite(code[at - start :], at):
                self._add(region, addr, size, mnemonic, operands)
                at = addr + size
            if at < end:  # no instruction: nothing goes on behind it
                self._add(region, at, 1, "(bad)", "")
                at += 1
                region.opaque = "data, or code that is not known, is in the function"
        for insn in region.insns:
            if insn.target is None or insn.mnemonic == "call" or not start <= insn.target < end:
                continue
            held = region.reached_at(insn.target)
            if held is None:
                region.opaque = "a jump goes into the middle of an instruction"
            else:
                region.jumps.setdefault(held.addr, []).append(insn.addr)
        return region

    def _add(self, region: Region, addr: int, size: int, mnemonic: str, operands: str) -> None:
        *prefixes, name = mnemonic.split()
        is_branch = name[0] == "j" or name in ("call", "loop", "loope", "loopne", "xbegin")
        target = int(operands, 16) if is_branch and operands.startswith("0x") else None
        ends = name in _TERMINATORS
        if name == "jmp" and operands == "r11" and self.program.read(addr, 5) == _GATE_JUMP:
            ends = False
        region.index[addr] = len(region.insns)
        region.insns.append(Insn(addr, size, name, operands, target, "lock" in prefixes, ends))

    # -- edges

    def _find_before(self, addr: int) -> Before:
        region = self.region_at(addr)
        if region is None:
            return Before((), "it is outside the code")
        if region.opaque:
            return Before((), region.opaque)
        sources = set(region.jumps.get(addr, ()))
        sources |= self.table_edges.get(addr, set())
        previous = self._falls_into(region, addr)
        if previous is not None:
            sources.add(previous.addr)
        outside, unknown = self._from_outside(region, addr)
        sources |= outside
        unknown = unknown or self._overflow or self.taken(addr)
        exported = self._exported.get(addr, ())
        if not (sources or unknown or exported or self._is_dead(region, addr)):
            unknown = "nothing shows how it is reached"
        return Before(tuple(sorted(sources)), unknown, exported)

    def _falls_into(self, region: Region, addr: int) -> "Insn | None":
        """The instruction before, if it goes on here."""
        index = region.index[addr]
        if index:
            previous = region.insns[index - 1]
            return None if previous.ends_flow or self._never_returns(previous) else previous
        above = self.region_at(region.start - 1)
        if above is None or not above.insns or above.end != region.start:
            return None
        previous = above.insns[-1]
        if previous.ends_flow or previous.addr + previous.size != addr:
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
            if region.jumps.get(insn.addr) or self._branches.get(insn.addr):
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
        # a jump over a `lock` prefix names the byte behind it
        for target in (addr, addr + 1):
            for source in (*self._branches.get(target, ()), *self._short_branches(target)):
                region = self.region_at(source)
                if region is None or region.opaque:
                    if target == addr:
                        yield source, None
                    continue
                insn = region.insn(source) or self._prefixed(region, source)
                if insn is None or insn.target != target:
                    continue
                if target == addr or self._is_locked(addr):
                    yield insn.addr, insn

    def _prefixed(self, region: Region, source: int) -> "Insn | None":
        """The branch whose opcode is at `source`, behind prefixes."""
        for back in range(1, 4):
            insn = region.insn(source - back)
            if insn is not None:
                return insn if insn.addr + insn.size > source else None
        return None

    def _is_locked(self, addr: int) -> bool:
        region = self.region_at(addr)
        insn = region.insn(addr) if region else None
        return insn is not None and insn.is_locked

    def _covers(self, region: Region, place: int) -> bool:
        """Whether an instruction has its opcode at `place`, possibly behind prefixes."""
        return region.insn(place) is not None or self._prefixed(region, place) is not None

    def _short_branches(self, target: int) -> Iterator[int]:
        """Places of bytes like a short branch to `target` in other regions nearby."""
        bounds = self._bounds(target)
        if bounds is None:
            return
        start, end, _ = bounds
        for low, high in ((target - _SHORT_REACH, start), (end, target + _SHORT_REACH)):
            if low >= high:
                continue
            piece = self.program.piece_at(target)
            assert piece is not None
            low, high = max(low, piece.addr), min(high, piece.end - 1)
            for addr in range(low, high):
                code = piece.data[addr - piece.addr : addr - piece.addr + 2]
                if code[0] in _SHORT and addr + 2 + (code[1] ^ 0x80) - 0x80 == target:
                    yield addr

    # -- what is looked for in all of the code, once

    @cached_property
    def _branches(self) -> dict[int, list[int]]:
        """Bytes that look like a branch with a 32-bit distance: target -> their places."""
        return self._relative(_BRANCHES)

    @cached_property
    def _leas(self) -> dict[int, list[int]]:
        """Bytes that look like a `lea` of an address in the code: address -> their places."""
        return self._relative(_LEAS)

    def _relative(self, pattern: "re.Pattern[bytes]") -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        count = 0
        is_code = self.program.is_code
        low = min((piece.addr for piece in self.program.code), default=0)
        high = max((piece.end for piece in self.program.code), default=0)
        for piece in self.program.code:
            data, addr = piece.data, piece.addr
            for match in pattern.finditer(data):
                end = match.end() + 4
                distance = int.from_bytes(data[end - 4 : end], "little")
                target = addr + end + distance - ((distance & 0x80000000) << 1)
                if low <= target < high and is_code(target):
                    found.setdefault(target, []).append(addr + match.start())
                    count += 1
                    if count > _MOST_BRANCHES:
                        self._overflow = "too many branches to be looked at"
                        return found
        return found

    @cached_property
    def _immediates(self) -> frozenset[int]:
        """Addresses of code that are in instructions of a program that is not moved."""
        if not self.program.is_fixed or not self.program.code:
            return frozenset()
        low, high = self.program.code[0].addr, self.program.code[-1].end
        if high >= 1 << 31:
            return frozenset()
        return frozenset(
            int.from_bytes(self.program.read(place, 4), "little")
            for piece in self.program.code
            for place in immediates(piece, low, high)
        )

    @cached_property
    def _exported(self) -> dict[int, tuple[str, ...]]:
        found: dict[int, tuple[str, ...]] = {}
        for name, addrs in self.program.exports.items():
            for addr in addrs:
                found[addr] = (*found.get(addr, ()), name)
        return found


def _is_filler(insn: Insn) -> bool:
    """What assemblers fill with beside `nop`: `xchg ax, ax`, `lea rsi, [rsi]`."""
    if insn.mnemonic == "xchg":
        left, _, right = insn.operands.partition(", ")
        return left == right
    return insn.mnemonic == "data16"


def _merged(program: Program) -> list[tuple[int, int]]:
    """Disjoint ranges of functions: those of symbols and of unwinding information that overlap
    are one."""
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
