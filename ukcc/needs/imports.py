"""What a file passes to functions of other files, which it calls through words that the loader
fills."""

import re
from functools import cached_property

from ukcc.needs.backward import RegisterValues, UnknownValue, Walker, union
from ukcc.needs.code import Code
from ukcc.needs.regions import Insn
from ukcc.needs.uses import calls_by_register

# ModRM 00 reg 101: an operand at a distance from rip, which is the instruction's last part
_OPERANDS = re.compile(rb"(?=[\x05\x0d\x15\x1d\x25\x2d\x35\x3d])")
_ONLY_LOOK = ("cmp", "test", "nop")


class Imports:
    """The calls of one program to others' functions."""

    def __init__(self, code: Code, walker: Walker) -> None:
        self._code = code
        self._walker = walker

    def names(self) -> frozenset[str]:
        """All functions of others that it may call or pass on."""
        return frozenset(self._code.program.imports.values()) | self._code.program.stored

    def passed(self, name: str, register: int) -> RegisterValues:
        """What a register holds at all calls of a function; unknown if its address is used."""
        found = []
        if name in self._code.program.stored:
            found.append(_lost(0, f"the address of {name} is in data"))
        for slot, imported in self._code.program.imports.items():
            if imported == name:
                uses = self._uses.get(slot, [])
                found += [self._passed_at(place, name, register) for place in uses]
                if not uses:
                    found.append(_lost(slot, f"nothing shows how {name} is called"))
        return union(found)

    def _passed_at(self, place: int, name: str, register: int) -> RegisterValues:
        insn, is_told = self._holding(place)
        if not is_told:
            return _lost(place, f"code that cannot be followed uses {name}")
        if insn is None or insn.end != place + 5 or "rip" not in insn.operands:
            return RegisterValues()  # other bytes that look like it
        if insn.mnemonic in _ONLY_LOOK:
            return RegisterValues()
        calls: list[Insn] | None = [insn] if insn.mnemonic in ("call", "jmp") else None
        if insn.mnemonic == "mov":
            calls = calls_by_register(self._code, insn)
        if calls is None:
            return _lost(insn.addr, f"the address of {name} is used")
        return union(self._walker.register(call.addr, register) for call in calls)

    def _holding(self, place: int) -> "tuple[Insn | None, bool]":
        """The instruction that has the byte at an address, and whether that can be told."""
        region = self._code.region_at(place)
        if region is None or region.opaque:
            return None, False
        return region.holding(place), True

    @cached_property
    def _uses(self) -> dict[int, list[int]]:
        """The word that the loader fills -> places of ModRM bytes that may mean it."""
        found: dict[int, list[int]] = {}
        slots = self._code.program.imports
        for piece in self._code.program.code if slots else ():
            data = piece.data
            for match in _OPERANDS.finditer(data):
                at = match.start()
                distance = int.from_bytes(data[at + 1 : at + 5], "little")
                target = piece.addr + at + 5 + distance - ((distance & 0x80000000) << 1)
                if target in slots:
                    found.setdefault(target, []).append(piece.addr + at)
        return found


def _lost(addr: int, why: str) -> RegisterValues:
    return RegisterValues(unknown=(UnknownValue(addr, why),))
