"""Jump tables: where the indirect jumps of a function go.

A compiler's jump table is an array of addresses, or of distances from the table's own address. An
indirect jump that is neither through such a table nor to a function's address that was loaded as it
is makes the function opaque: nothing in it is told.
"""

from capstone import x86
from capstone.x86 import X86Op

from ukcc.needs.code import Code, Insn, Region
from ukcc.needs.effects import CALLEE_SAVED, Constant, Moved, Register, step, written

_MOST_ENTRIES = 1 << 14
# Instructions on the way to what sets a register: for one jump, and for all of a file.
_MOST_LOOKED_AT, _MOST_IN_ALL = 60_000, 2_000_000
_RIP = x86.X86_REG_RIP


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
        for insn in jumps:
            if not self._resolve(insn):
                region.opaque = f"the jump at {insn.addr:#x} may go anywhere"
        # the cold part of a function is reached by jumps of the other part
        parents = {
            insn.addr for insn in self._code.callers(region.start) if insn.mnemonic != "call"
        }
        for addr in parents:
            parent = self._code.region_at(addr)
            if parent is not None:
                self.resolve(parent)
        if jumps:
            self._code.forget_edges()

    def _resolve(self, jump: Insn) -> bool:
        """Whether it is known where an indirect jump goes."""
        (target,) = self._code.detail(jump).operands
        if target.type == x86.X86_OP_MEM:
            if target.mem.index:
                return self._absolute(jump, jump, target)
            return True  # a function's pointer, or the loader's
        number = _number(target.reg)
        if number is None:
            return False
        return all(
            self._by_register(region, jump, setter) for setter in self._setters(jump, number)
        )

    def _by_register(self, jump: Insn, setter: "Insn | None") -> bool:
        """Whether what sets the jump's register is a table's word, or a pointer as it was found."""
        if setter is None or setter.mnemonic in ("call", "pop", "xor", "ror", "rol"):
            return True  # passed or returned, or a pointer that glibc had mangled
        operands = self._code.detail(setter).operands
        if setter.mnemonic == "mov" and operands[1].type == x86.X86_OP_MEM:
            if operands[1].mem.index:
                return self._absolute(jump, setter, operands[1])
            return True
        if setter.mnemonic == "lea" and operands[1].mem.base == _RIP:
            return True  # a function's address; of a label, `Code.taken` knows
        if setter.mnemonic == "add" and operands[1].type == x86.X86_OP_REG:
            left, right = _number(operands[0].reg), _number(operands[1].reg)
            if left is None or right is None:
                return False
            return self._relative(jump, setter, left, right) or self._relative(
                jump, setter, right, left
            )
        return setter.mnemonic.startswith("cmov")

    def _absolute(self, jump: Insn, at: Insn, memory: "X86Op") -> bool:
        """An array of addresses."""
        if memory.mem.scale != 8:
            return False
        base = _number(memory.mem.base) if memory.mem.base else None
        bases = {0} if not memory.mem.base else self._constants(at, base)
        for start in bases:
            first = start + memory.mem.disp
            for place in range(first, first + 8 * _MOST_ENTRIES, 8):
                target = self._address_at(place)
                if target is None:
                    break
                self._code.table_places.add(place)
                self._code.table_edges.setdefault(target, set()).add(jump.addr)
        return bool(bases)

    def _address_at(self, place: int) -> "int | None":
        word = self._code.program.read(place, 8)
        target = int.from_bytes(word, "little")
        if len(word) == 8 and self._code.program.is_code(target):
            return target
        # of a program that is moved, the loader writes it
        return self._code.program.loaded.get(place)

    def _relative(self, jump: Insn, add: Insn, offset: int, base: int) -> bool:
        """An array of 32-bit distances from a base, of which register `offset` holds one."""
        bases = self._constants(add, base)
        tables: set[int] = set()
        for setter in self._setters(add, offset):
            if setter is None or setter.mnemonic not in ("movsxd", "mov"):
                return False
            memory = self._code.detail(setter).operands[1]
            if memory.type != x86.X86_OP_MEM or memory.size != 4 or memory.mem.scale != 4:
                return False
            starts = self._constants(setter, _number(memory.mem.base))
            if not starts:
                return False
            tables |= {start + memory.mem.disp for start in starts}
        if not bases or not tables:
            return False
        for start in tables:
            base_here = start if start in bases else None
            for origin in (base_here,) if base_here is not None else bases:
                self._add_relative(jump, start, origin, tables)
        return True

    def _add_relative(self, jump: Insn, start: int, origin: int, tables: set[int]) -> None:
        for place in range(start, start + 4 * _MOST_ENTRIES, 4):
            word = self._code.program.read(place, 4)
            target = origin + int.from_bytes(word, "little", signed=True)
            if len(word) < 4 or not self._code.program.is_code(target):
                return
            if place != start and place in tables:
                return
            self._code.table_edges.setdefault(target, set()).add(jump.addr)

    def _constants(self, at: Insn, number: "int | None") -> set[int]:
        """The addresses that a register may hold before an instruction; {} if not all are told."""
        found: set[int] = set()
        if number is None:
            return found
        for setter in self._setters(at, number):
            if setter is None:
                return set()
            detail = self._code.detail(setter)
            effect = step(self._code.program, detail, setter.mnemonic, Register(number), None)
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
                    return [None]
                region = self._code.region_at(source)
                insn = region.insn(source) if region else None
                assert insn is not None
                if insn.mnemonic == "call":
                    if insn.target == addr:
                        found.append(None)
                        continue
                    if wanted in CALLEE_SAVED:
                        left.append((source, wanted))
                    else:
                        found.append(insn)
                    continue
                detail = self._code.detail(insn)
                if wanted not in written(detail):
                    left.append((source, wanted))
                    continue
                effect = step(self._code.program, detail, insn.mnemonic, Register(wanted), None)
                copied = effect.places if isinstance(effect, Moved) and not effect.changes else ()
                registers = [place.number for place in copied if isinstance(place, Register)]
                if copied and len(registers) == len(copied):
                    left += [(source, register) for register in registers]
                else:
                    found.append(insn)
        return found


def _is_indirect(insn: Insn) -> bool:
    return insn.mnemonic == "jmp" and insn.target is None and insn.ends_flow


_NUMBERS = {
    getattr(x86, f"X86_REG_{name}"): number
    for number, name in enumerate(
        ("RAX", "RCX", "RDX", "RBX", "RSP", "RBP", "RSI", "RDI", *(f"R{n}" for n in range(8, 16)))
    )
}


def _number(register: int) -> "int | None":
    return _NUMBERS.get(register)
