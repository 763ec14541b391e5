"""Jump tables: where the indirect jumps of a function go.

A compiler's jump table is an array of addresses, or of distances from an address, most often the
table's own. An indirect jump that is neither through such a table nor to a function's address that
was loaded as it is makes the function opaque: nothing in it is told.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from capstone import x86
from capstone.x86 import X86Op

from ukcc.needs.code import Code
from ukcc.needs.effects import Constant, Moved, Register, step
from ukcc.needs.regions import Insn, Region
from ukcc.needs.registers import CALLEE_SAVED, written

_MOST_ENTRIES = 1 << 14
# Tables found by one round may show the way to others' addresses.
_MOST_ROUNDS = 4
# Instructions on the way to what sets a register: for one jump, and for all of a file (of all of
# libc.so.6: 10,000).
_MOST_LOOKED_AT, _MOST_IN_ALL = 60_000, 500_000
_MOST_JUMPS = 2048  # of one function
_RIP = x86.X86_REG_RIP


@dataclass(frozen=True)
class _Table:
    """A table that begins at `start`, for the jump at `jump`: of 32-bit distances from `origin`, or
    (None) of addresses."""

    jump: int
    start: int
    origin: "int | None"


class Switches:
    """The jump tables of one program's functions, resolved as they are asked for."""

    def __init__(self, code: Code) -> None:
        self._code = code
        self._done: set[int] = set()
        self._looked_at = 0

    def resolve(self, region: Region) -> None:
        """Adds the edges of a region's jump tables, and of those that may lead into it."""
        if region.start in self._done:
            return
        self._done.add(region.start)
        if region.opaque:
            return
        jumps = [insn for insn in region.insns if _is_indirect(insn)]
        if jumps:
            self._resolve_own(region, jumps)
            self._code.forget_edges()  # of a function that is opaque now, too
        # the cold part of a function is reached by jumps of the other part
        for insn in self._code.callers(region.start):
            parent = self._code.region_at(insn.addr)
            if insn.mnemonic != "call" and parent is not None:
                self.resolve(parent)

    def _resolve_own(self, region: Region, jumps: "list[Insn]") -> None:
        """In rounds: a table ends where the next one begins, which may have to be found first."""
        known: set[_Table] = set()
        if len(jumps) > _MOST_JUMPS:
            region.opaque = "it has too many jumps to be looked at"
            return
        for _ in range(_MOST_ROUNDS):
            found: set[_Table] = set()
            for jump in jumps:
                tables = self._tables(jump)
                if tables is None:
                    region.opaque = f"the jump at {jump.addr:#x} may go anywhere"
                    return
                found |= tables
            if found <= known:
                return
            known |= found
            self._install(jumps, known)
        region.opaque = f"the jump at {jumps[0].addr:#x} has too many tables"

    def _install(self, jumps: "list[Insn]", tables: "set[_Table]") -> None:
        """Makes these the tables of these jumps."""
        edges = self._code.table_edges
        sources = {jump.addr for jump in jumps}
        for target in [target for target, jumps_there in edges.items() if jumps_there & sources]:
            edges[target] -= sources
        starts = {table.start for table in tables}
        for table in tables:
            for target in self._targets(table, starts):
                edges.setdefault(target, set()).add(table.jump)
        self._code.forget_edges()

    def _targets(self, table: _Table, starts: "set[int]") -> Iterable[int]:
        """Where a table's entries lead; it ends where an entry is none, or another table begins."""
        size = 8 if table.origin is None else 4
        for place in range(table.start, table.start + size * _MOST_ENTRIES, size):
            if place != table.start and place in starts:
                return
            word = self._code.program.read(place, size)
            if table.origin is None:
                target = self._code.program.loaded.get(place, int.from_bytes(word, "little"))
            else:
                target = table.origin + int.from_bytes(word, "little", signed=True)
            if len(word) < size or not self._code.program.is_code(target):
                return
            if table.origin is None:
                self._code.table_places.add(place)
            yield target

    # -- what a jump goes by

    def _tables(self, jump: Insn) -> "set[_Table] | None":
        """The tables of an indirect jump; none if it is to a pointer; None if it is not known."""
        (target,) = self._code.detail(jump).operands
        if target.type == x86.X86_OP_MEM:
            return self._absolute(jump, jump, target) if target.mem.index else set()
        number = _number(target.reg)
        if number is None:
            return None
        found: set[_Table] = set()
        for setter in self._setters(jump, number):
            tables = self._by_register(jump, setter)
            if tables is None:
                return None
            found |= tables
        return found

    def _by_register(self, jump: Insn, setter: "Insn | None") -> "set[_Table] | None":
        """By what sets the jump's register: a table's word, or a pointer as it was found."""
        if setter is None or setter.mnemonic in ("call", "pop", "xor", "ror", "rol"):
            return set()  # passed or returned, or a pointer that glibc had mangled
        operands = self._code.detail(setter).operands
        if setter.mnemonic in ("mov", "movabs") and operands[1].type == x86.X86_OP_IMM:
            return set()  # a function's address; of a label, `Code.taken` knows
        if setter.mnemonic == "mov" and operands[1].type == x86.X86_OP_MEM:
            return self._absolute(jump, setter, operands[1]) if operands[1].mem.index else set()
        if setter.mnemonic == "lea" and operands[1].mem.base == _RIP:
            return set()  # a function's address
        if setter.mnemonic == "add" and operands[1].type == x86.X86_OP_REG:
            left, right = _number(operands[0].reg), _number(operands[1].reg)
            if left is None or right is None:
                return None
            return self._relative(jump, setter, left, right) or self._relative(
                jump, setter, right, left
            )
        return set() if setter.mnemonic.startswith("cmov") else None

    def _absolute(self, jump: Insn, at: Insn, memory: X86Op) -> "set[_Table] | None":
        """An array of addresses."""
        if memory.mem.scale != 8:
            return None
        bases = {0}
        if memory.mem.base:
            bases = self._constants(at, _number(memory.mem.base))
        return {_Table(jump.addr, base + memory.mem.disp, None) for base in bases} or None

    def _relative(self, jump: Insn, add: Insn, offset: int, base: int) -> "set[_Table] | None":
        """An array of 32-bit distances from a base, of which register `offset` holds one."""
        bases = self._constants(add, base)
        starts: set[int] = set()
        for setter in self._setters(add, offset):
            if setter is None or setter.mnemonic not in ("movsxd", "mov"):
                return None
            memory = self._code.detail(setter).operands[1]
            if memory.type != x86.X86_OP_MEM or memory.size != 4 or memory.mem.scale != 4:
                return None
            found = self._constants(setter, _number(memory.mem.base))
            if not found:
                return None
            starts |= {start + memory.mem.disp for start in found}
        return {
            _Table(jump.addr, start, origin)
            for start in starts
            for origin in ({start} if start in bases else bases)
        } or None

    def _constants(self, at: Insn, number: "int | None") -> set[int]:
        """The addresses that a register may hold before an instruction; {} if not all are told."""
        found: set[int] = set()
        if number is None:
            return found
        for setter in self._setters(at, number):
            if setter is None:
                return set()
            detail = self._code.detail(setter)
            effect = step(self._code.program, detail, setter.mnemonic, Register(number))
            if not isinstance(effect, Constant):
                return set()
            found |= set(effect.values)
        return found

    def _setters(self, at: Insn, number: int) -> "list[Insn | None]":
        """The instructions that may have set a register before `at`, through copies of it; None
        among them for what came from outside.

        What nothing shows the way to is reached by the jump in question, or by unwinding, and adds
        nothing: on the way to that jump the register was set before.
        """
        left = [(at.addr, number)]
        seen: set[tuple[int, int]] = set()
        found: list[Insn | None] = []
        while left:
            addr, wanted = left.pop()
            before = self._code.before(addr)
            if before.exported or (not before.sources and self._code.is_start(addr)):
                found.append(None)
            for source in before.sources:
                if (source, wanted) in seen:
                    continue
                seen.add((source, wanted))
                self._looked_at += 1
                if len(seen) > _MOST_LOOKED_AT or self._looked_at > _MOST_IN_ALL:
                    return [at]  # which sets no register: not known
                onward, setter = self._set_by(source, addr, wanted)
                left += onward
                found += setter
        return found

    def _set_by(
        self, source: int, addr: int, wanted: int
    ) -> "tuple[list[tuple[int, int]], list[Insn | None]]":
        """Where to look on behind an instruction, and what was found there."""
        region = self._code.region_at(source)
        insn = region.insn(source) if region else None
        assert region is not None and insn is not None
        if insn.mnemonic == "call":
            if insn.target == addr:
                return [], [None]
            is_kept = wanted in CALLEE_SAVED and self._code.follows_abi(region)
            return ([(source, wanted)], []) if is_kept else ([], [insn])
        detail = self._code.detail(insn)
        if wanted not in written(detail):
            return [(source, wanted)], []
        effect = step(self._code.program, detail, insn.mnemonic, Register(wanted))
        copied = effect.places if isinstance(effect, Moved) and not effect.changes else ()
        registers = [place.number for place in copied if isinstance(place, Register)]
        if copied and len(registers) == len(copied):
            return [(source, register) for register in registers], []
        return [], [insn]


def _is_indirect(insn: Insn) -> bool:
    """Whether it may be by a table: of a word at a fixed place (a PLT's) it is not."""
    is_jump = insn.mnemonic == "jmp" and insn.target is None and insn.ends_flow
    return is_jump and "[rip " not in insn.operands


_NUMBERS = {
    getattr(x86, f"X86_REG_{name}"): number
    for number, name in enumerate(
        ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{n}" for n in range(8, 16)))
    )
}


def _number(register: int) -> "int | None":
    return _NUMBERS.get(register)
