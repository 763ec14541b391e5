"""What an instruction does to a place that is followed backwards: a register, or a stack's word.

Values are unsigned 64-bit numbers. A step says what the place holds behind the instruction, in
terms of what another place held before it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import capstone
from capstone import x86
from capstone.x86 import X86Op

from ukcc.needs.program import Program
from ukcc.needs.registers import RBP, REGISTERS, RSP, written

_ALL = (1 << 64) - 1


@dataclass(frozen=True)
class Register:
    """A general register by its number in x86's encoding (0 rax … 15 r15)."""

    number: int


@dataclass(frozen=True)
class Slot:
    """`size` bytes on the stack, `offset` bytes from what rsp or rbp (`base`) holds."""

    base: int
    offset: int
    size: int = 8


Place = Register | Slot

# (operation, number): what is done to a value on its way; see `applied`.
Change = tuple[str, int]
_LOWER_HALF: Change = ("and", 0xFFFFFFFF)


@dataclass(frozen=True)
class Constant:
    """The place holds one of these."""

    values: tuple[int, ...]


@dataclass(frozen=True)
class Moved:
    """The place holds what one of `places` held before, changed."""

    places: tuple[Place, ...]
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class Lost:
    """Nothing is known of it: why."""

    why: str


@dataclass(frozen=True)
class Either:
    """One of these."""

    steps: "tuple[Step, ...]"


Step = Constant | Moved | Lost | Either

_CHANGES: dict[str, Callable[[int, int], int]] = {
    "add": lambda value, n: value + n,
    "and": lambda value, n: value & n,
    "or": lambda value, n: value | n,
    "xor": lambda value, n: value ^ n,
    "mul": lambda value, n: value * n,
    "shl": lambda value, n: value << (n & 63),
    "neg": lambda value, n: -value,
    "not": lambda value, n: ~value,
    "signed": lambda value, n: (value & 0xFFFFFFFF) - ((value & 0x80000000) << 1),
}


def applied(values: "frozenset[int]", changes: "tuple[Change, ...]") -> "frozenset[int]":
    """The values after all changes, the first of them first."""
    for name, number in changes:
        values = frozenset(_CHANGES[name](value, number) & _ALL for value in values)
    return values


# Instructions that only read their first operand.
_ONLY_READ = frozenset(
    ("cmp", "test", "bt", "push", "call", "jmp", "nop", "mul", "div", "imul", "idiv", "fld", "fild",
     "prefetcht0", "prefetcht1", "prefetcht2", "prefetchnta", "prefetchw", "comiss", "comisd",
     "ucomiss", "ucomisd", "ptest", "clflush", "clflushopt")
)  # fmt: skip


def step(program: Program, insn: capstone.CsInsn, mnemonic: str, place: Place) -> Step:
    """What a place holds behind an instruction; mnemonic: without prefixes.

    Calls and system calls are not known here.
    """
    if isinstance(place, Slot):
        return _slot(insn, mnemonic, place)
    return _register(program, insn, mnemonic, place)


def _same(place: Place) -> Moved:
    return Moved((place,))


def _operand(op: "X86Op") -> "Register | Slot | None":
    """A whole register (of 4 bytes or 8), or a word of the stack."""
    if op.type == x86.X86_OP_REG and op.reg in REGISTERS:
        number, size = REGISTERS[op.reg]
        return Register(number) if size >= 4 else None
    if op.type == x86.X86_OP_MEM and not op.mem.index and not op.mem.segment and op.size >= 4:
        base = REGISTERS.get(op.mem.base)
        if base and base[1] == 8 and base[0] in (RSP, RBP):
            return Slot(base[0], op.mem.disp, op.size)
    return None


def _register(program: Program, insn: capstone.CsInsn, mnemonic: str, place: Register) -> Step:
    if place.number not in written(insn):
        return _same(place)
    ops = insn.operands
    lost = Lost(f"{insn.mnemonic} {insn.op_str}".strip())
    if mnemonic == "pop" and ops[0].type == x86.X86_OP_REG:
        if _operand(ops[0]) == place and place.number != RSP:
            return Moved((Slot(RSP, 0),))
        return lost
    if mnemonic == "cdqe":
        return Moved((place,), (("signed", 0),))
    if not ops or ops[0].type != x86.X86_OP_REG or ops[0].reg not in REGISTERS:
        return lost
    number, size = REGISTERS[ops[0].reg]
    if number != place.number or (insn.mnemonic.startswith("lock")):
        return _exchanged(ops, place) if mnemonic == "xchg" else lost
    if size < 4:
        return _partial(mnemonic, ops, size, place) or lost
    found = _whole(program, insn, mnemonic, ops, place) or lost
    return _cut(found) if size == 4 else found


def _cut(found: Step) -> Step:
    """The same for a register's lower half: the upper one becomes 0."""
    if isinstance(found, Constant):
        return Constant(tuple(value & 0xFFFFFFFF for value in found.values))
    if isinstance(found, Moved):
        return Moved(found.places, (*found.changes, _LOWER_HALF))
    if isinstance(found, Either):
        return Either(tuple(_cut(step) for step in found.steps))
    return found


def _partial(mnemonic: str, ops: "list[X86Op]", size: int, place: Register) -> "Step | None":
    """A write of the lowest bytes of a register; others than these stay as they are."""
    if not size:
        return None
    mask = (1 << 8 * size) - 1
    if len(ops) == 2 and ops[1].type == x86.X86_OP_IMM and mnemonic in ("and", "or", "xor"):
        number = ops[1].imm & mask
        return Moved((place,), ((mnemonic, number | ~mask if mnemonic == "and" else number),))
    if mnemonic == "mov" and ops[1].type == x86.X86_OP_IMM:
        return Moved((place,), (("and", ~mask), ("or", ops[1].imm & mask)))
    if mnemonic.startswith("set"):
        return Either(tuple(Moved((place,), (("and", ~mask), ("or", n))) for n in (0, 1)))
    return None


def _exchanged(ops: "list[X86Op]", place: Register) -> Step:
    sides = [_operand(op) for op in ops]
    if len(sides) == 2 and all(isinstance(side, Register) for side in sides) and place in sides:
        other = sides[1] if sides[0] == place else sides[0]
        assert other is not None
        return Moved((other,), (_LOWER_HALF,) if ops[0].size == 4 else ())
    return Lost("xchg")


def _whole(
    program: Program, insn: capstone.CsInsn, mnemonic: str, ops: "list[X86Op]",
    place: Register,
) -> "Step | None":  # fmt: skip
    """A write of a whole register, or of its lower half."""
    if mnemonic in ("inc", "dec"):
        return Moved((place,), (("add", 1 if mnemonic == "inc" else -1),))
    if mnemonic in ("neg", "not"):
        return Moved((place,), ((mnemonic, 0),))
    if len(ops) < 2:
        return None
    source = ops[1]
    if mnemonic in ("mov", "movabs", "movsxd"):
        return _moved(program, insn, mnemonic, source)
    if mnemonic == "lea":
        return _address(insn, source)
    if mnemonic == "movzx" and source.type == x86.X86_OP_REG and source.reg in REGISTERS:
        number, size = REGISTERS[source.reg]
        return Moved((Register(number),), (("and", (1 << 8 * size) - 1),)) if size else None
    if mnemonic.startswith("cmov"):
        other = _operand(source)
        return Moved((place, other)) if other else None
    if source.type == x86.X86_OP_REG and source.reg == ops[0].reg:
        same = {"xor": (0,), "sub": (0,), "sbb": (0, _ALL)}.get(mnemonic)
        return Constant(same) if same else None
    if mnemonic == "imul" and len(ops) == 3 and ops[2].type == x86.X86_OP_IMM:
        other = _operand(source)
        return Moved((other,), (("mul", ops[2].imm),)) if other else None
    if source.type == x86.X86_OP_IMM and len(ops) == 2:
        return _arithmetic(mnemonic, source.imm, place)
    return None


def _arithmetic(mnemonic: str, number: int, place: Register) -> "Step | None":
    if mnemonic == "or" and number == -1:
        return Constant((_ALL,))
    if mnemonic == "and" and number == 0:
        return Constant((0,))
    if mnemonic == "sub":
        return Moved((place,), (("add", -number),))
    if mnemonic in ("add", "and", "or", "xor", "shl"):
        return Moved((place,), ((mnemonic, number),))
    if mnemonic in ("adc", "sbb"):  # with a carry, or without
        sum_of = number if mnemonic == "adc" else -number
        carry = 1 if mnemonic == "adc" else -1
        return Either(tuple(Moved((place,), (("add", sum_of + n),)) for n in (0, carry)))
    if mnemonic == "sal":
        return Moved((place,), (("shl", number),))
    return None


def _moved(
    program: Program, insn: capstone.CsInsn, mnemonic: str, source: "X86Op"
) -> "Step | None":
    if source.type == x86.X86_OP_IMM:
        return Constant((source.imm & _ALL,))
    other = _operand(source)
    if other is not None:
        return Moved((other,), (("signed", 0),) if mnemonic == "movsxd" else ())
    if source.type == x86.X86_OP_MEM and source.mem.base == x86.X86_REG_RIP:
        return _constant_word(program, insn.address + insn.size + source.mem.disp, source.size)
    return None


def _constant_word(program: Program, addr: int, size: int) -> "Step | None":
    """A word of memory that is never written, not even by the loader."""
    piece = program.piece_at(addr)
    data = program.read(addr, size)
    if piece is None or piece.writable or len(data) != size or size not in (4, 8):
        return None
    return Constant((int.from_bytes(data, "little"),))


def _address(insn: capstone.CsInsn, source: "X86Op") -> "Step | None":
    """What `lea` computes from at most one register."""
    memory = source.mem
    if memory.base == x86.X86_REG_RIP:
        return Constant(((insn.address + insn.size + memory.disp) & _ALL,))
    base, index = REGISTERS.get(memory.base), REGISTERS.get(memory.index)
    if memory.base and memory.index:
        if base == index and base and base[1] >= 4 and not memory.disp:
            return Moved((Register(base[0]),), (("mul", memory.scale + 1),))
        return None
    if base and base[1] >= 4 and base[0] != RSP:
        return Moved((Register(base[0]),), (("add", memory.disp),))
    if index and index[1] >= 4 and not memory.disp:
        return Moved((Register(index[0]),), (("mul", memory.scale),))
    if not memory.base and not memory.index:
        return Constant((memory.disp & _ALL,))
    return None


def _slot(insn: capstone.CsInsn, mnemonic: str, place: Slot) -> Step:
    ops = insn.operands
    lost = Lost(f"{insn.mnemonic} {insn.op_str}".strip())
    if place.base == RSP:
        moved = _stack_move(insn, mnemonic, ops)
        if moved is None:
            return lost
        if mnemonic == "push" and -place.size < place.offset < 8:
            return lost if place.offset else _stored(ops[0]) or lost
        before = Slot(RSP, place.offset + moved, place.size)
    else:
        if RBP in written(insn):
            if mnemonic == "mov" and _operand(ops[1]) == Register(RSP):
                return Moved((Slot(RSP, place.offset, place.size),))
            return lost
        before = place
    for index, op in enumerate(ops if mnemonic not in ("push", "lea") else ()):
        if op.type != x86.X86_OP_MEM:
            continue
        if mnemonic in _ONLY_READ or (index and mnemonic not in ("xchg", "xadd")):
            continue
        if op.mem.segment:
            continue
        base = REGISTERS.get(op.mem.base, (-1, 8))[0]
        if base not in (RSP, RBP):
            continue  # the stack's address is nowhere else: `Walk` has looked
        if base != place.base or op.mem.index:
            return lost
        if op.mem.disp == place.offset and op.size >= place.size and mnemonic == "mov":
            return _stored(ops[1]) or lost
        if op.mem.disp < place.offset + place.size and place.offset < op.mem.disp + op.size:
            return lost
    return _same(before)


def _stack_move(insn: capstone.CsInsn, mnemonic: str, ops: "list[X86Op]") -> "int | None":
    """By how much rsp is higher before the instruction than behind it, negated; None: unknown."""
    if mnemonic == "push":
        return -8
    if mnemonic == "pop":
        return None if _operand(ops[0]) == Register(RSP) else 8
    if RSP not in written(insn) or mnemonic == "call":
        return 0
    if mnemonic in ("sub", "add") and ops[1].type == x86.X86_OP_IMM:
        return int(-ops[1].imm if mnemonic == "sub" else ops[1].imm)
    if mnemonic == "lea" and _operand(ops[1]) and ops[1].mem.base == x86.X86_REG_RSP:
        return int(ops[1].mem.disp)
    return None


def _stored(source: "X86Op") -> "Step | None":
    if source.type == x86.X86_OP_IMM:
        return Constant((source.imm & _ALL,))
    other = _operand(source)
    return Moved((other,)) if isinstance(other, Register) else None
