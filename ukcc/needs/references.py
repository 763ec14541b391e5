"""What in a program's code may mean an address in it, found by its bytes alone.

Bytes that only look like it are among them: who uses them checks that an instruction is there.
"""

import re
from bisect import bisect_left
from collections.abc import Iterator, Mapping
from functools import cached_property

from ukcc.needs.program import Program, immediates

_MOST = 4 << 20

# rel32 branches, and `lea` of an address relative to rip: ModRM 00 reg 101
_BRANCHES = re.compile(rb"[\xe8\xe9]|\x0f[\x80-\x8f]")
# (the one of a redirected site is not meant as an address to be used)
_LEAS = re.compile(
    rb"\x8d(?!\x0d\x05\x00\x00\x00\x41\xff\xe3\x0f\x05)[\x05\x0d\x15\x1d\x25\x2d\x35\x3d]"
)
_SHORT = frozenset((*range(0x70, 0x80), 0xE0, 0xE1, 0xE2, 0xE3, 0xEB))
_SHORT_REACH = 130


class References:
    """The references to code of one program. overflow: why they are not all known, or empty."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._short: dict[int, dict[int, list[int]]] = {}
        self.overflow = ""

    @cached_property
    def branches(self) -> Mapping[int, list[int]]:
        """Bytes that look like a branch with a 32-bit distance: target -> places of opcodes."""
        return self._relative(_BRANCHES)

    @cached_property
    def leas(self) -> Mapping[int, list[int]]:
        """Bytes that look like a `lea` of an address in the code: address -> places of opcodes."""
        return self._relative(_LEAS)

    @cached_property
    def immediates(self) -> Mapping[int, list[int]]:
        """Bytes that look like an address of code in an instruction, in a program that is not
        moved: address -> places."""
        code = self._program.code
        found: dict[int, list[int]] = {}
        if not self._program.is_fixed or not code or code[-1].end >= 1 << 31:
            return found
        for piece in code:
            for place in immediates(piece, code[0].addr, code[-1].end):
                addr = int.from_bytes(self._program.read(place, 4), "little")
                found.setdefault(addr, []).append(place)
        return found

    @cached_property
    def exported(self) -> Mapping[int, tuple[str, ...]]:
        """Addresses by which other files find functions -> the names."""
        found: dict[int, tuple[str, ...]] = {}
        for name, addrs in self._program.exports.items():
            for addr in addrs:
                found[addr] = (*found.get(addr, ()), name)
        return found

    def marked_between(self, start: int, end: int) -> set[int]:
        """Addresses in a range that a symbol, data or an instruction's number names for certain."""
        marks = self._marks
        return set(marks[bisect_left(marks, start) : bisect_left(marks, end)])

    def named_between(self, start: int, end: int) -> Iterator[tuple[int, list[int]]]:
        """Addresses in a range that branches or `lea` may name, with the places of the opcodes."""
        targets = self._targets
        for index in range(bisect_left(targets, start), bisect_left(targets, end)):
            addr = targets[index]
            yield addr, [*self.branches.get(addr, ()), *self.leas.get(addr, ())]

    @cached_property
    def _marks(self) -> list[int]:
        program = self._program
        found = {symbol.addr for symbol in program.symbols} | set(program.pointers)
        return sorted(found | set(self.immediates) | program.hooks | {program.entry})

    @cached_property
    def _targets(self) -> list[int]:
        return sorted({*self.branches, *self.leas})

    def used_between(self, start: int, end: int) -> set[int]:
        """All addresses of code that bytes in a range may name."""
        table = self._by_place
        low, high = bisect_left(table, (start, 0)), bisect_left(table, (end, 0))
        return {target for _, target in table[low:high]} | {start - 1, end}

    @cached_property
    def _by_place(self) -> list[tuple[int, int]]:
        tables = (self.branches, self.leas)
        return sorted((at, to) for table in tables for to, places in table.items() for at in places)

    def short_branches(self, start: int, end: int) -> Mapping[int, list[int]]:
        """Bytes like a short branch into a region from near it: target -> places of opcodes."""
        found = self._short.get(start)
        if found is None:
            found = self._short[start] = {}
            piece = self._program.piece_at(start)
            if piece is None:
                return found
            for low, high in ((start - _SHORT_REACH, start), (end, end + _SHORT_REACH)):
                for addr in range(max(low, piece.addr), min(high, piece.end - 1)):
                    opcode, distance = piece.data[addr - piece.addr : addr - piece.addr + 2]
                    target = addr + 2 + (distance ^ 0x80) - 0x80
                    if opcode in _SHORT and start <= target < end:
                        found.setdefault(target, []).append(addr)
        return found

    def _relative(self, pattern: "re.Pattern[bytes]") -> dict[int, list[int]]:
        found: dict[int, list[int]] = {}
        count = 0
        is_code = self._program.is_code
        low = min((piece.addr for piece in self._program.code), default=0)
        high = max((piece.end for piece in self._program.code), default=0)
        for piece in self._program.code:
            data, addr = piece.data, piece.addr
            for match in pattern.finditer(data):
                end = match.end() + 4
                distance = int.from_bytes(data[end - 4 : end], "little")
                target = addr + end + distance - ((distance & 0x80000000) << 1)
                if low <= target < high and is_code(target):
                    found.setdefault(target, []).append(addr + match.start())
                    count += 1
                    if count > _MOST:
                        self.overflow = "too many branches to be looked at"
                        return found
        return found
