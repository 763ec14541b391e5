"""The general registers, and which of them an instruction reads and writes.

Registers are numbers in x86's encoding: 0 rax … 15 r15.
"""

import capstone
from capstone import x86
from capstone.x86 import X86Op

RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI = range(8)
# Of the psABI: what a called function gives back as it found it.
CALLEE_SAVED = frozenset((RBX, RBP, RSP, 12, 13, 14, 15))


def _registers() -> dict[int, tuple[int, int]]:
    """capstone's number of a register -> (number in x86's encoding, size in bytes)."""
    found = {}
    for number, names in enumerate(
        (
            "rax eax ax al", "rcx ecx cx cl", "rdx edx dx dl", "rbx ebx bx bl",
            "rsp esp sp spl", "rbp ebp bp bpl", "rsi esi si sil", "rdi edi di dil",
            *(f"r{n} r{n}d r{n}w r{n}b" for n in range(8, 16)),
        )
    ):  # fmt: skip
        for name, size in zip(names.split(), (8, 4, 2, 1), strict=True):
            found[getattr(x86, f"X86_REG_{name.upper()}")] = (number, size)
    for number, name in enumerate(("AH", "CH", "DH", "BH")):
        found[getattr(x86, f"X86_REG_{name}")] = (number, 0)  # 0: the second byte
    return found


REGISTERS = _registers()

# Registers that instructions write without naming them: the SDM's list, as capstone's has gaps
# (5.0.9: cmpxchg on memory). tests/unit/needs/test_effects.py has the encodings.
_IMPLICIT = {
    **dict.fromkeys(
        ("cmpxchg", "xlatb", "lahf", "cbw", "cwde", "cdqe", "xbegin", "in", "encls", "enclu",
         "enclv", "vmcall", "vmmcall"), (RAX,)
    ),
    **dict.fromkeys(
        ("cmpxchg8b", "cmpxchg16b", "mul", "div", "idiv", "rdtsc", "rdpmc", "rdmsr", "xgetbv",
         "rdpkru", "rdpru"), (RAX, RDX)
    ),
    **dict.fromkeys(("cwd", "cdq", "cqo"), (RDX,)),
    "cpuid": (RAX, RBX, RCX, RDX),
    "rdtscp": (RAX, RCX, RDX),
    **dict.fromkeys(
        ("pcmpestri", "pcmpistri", "vpcmpestri", "vpcmpistri", "loop", "loope", "loopne"), (RCX,)
    ),
    **dict.fromkeys(("lodsb", "lodsw", "lodsd", "lodsq"), (RAX, RCX, RSI)),
    **dict.fromkeys(("stosb", "stosw", "stosd", "stosq", "scasb", "scasw", "scasd", "scasq", "insb",
                     "insw", "insd"), (RCX, RDI)),
    **dict.fromkeys(("movsb", "movsw", "movsd", "movsq", "cmpsb", "cmpsw", "cmpsd", "cmpsq"),
                    (RCX, RSI, RDI)),
    **dict.fromkeys(("outsb", "outsw", "outsd"), (RCX, RSI)),
    **dict.fromkeys(("enter", "leave"), (RSP, RBP)),
    "imul": (RAX, RDX),  # with one operand; with more, see `written`
}  # fmt: skip

_READ = capstone.CS_AC_READ


def written(insn: capstone.CsInsn) -> "frozenset[int]":
    """The general registers that an instruction writes, wholly or in part."""
    name = insn.mnemonic.rpartition(" ")[2]
    operands = insn.operands
    found = {REGISTERS[reg][0] for reg in insn.regs_access()[1] if reg in REGISTERS}
    for op in operands:
        if op.type == x86.X86_OP_REG and op.reg in REGISTERS and op.access != _READ:
            found.add(REGISTERS[op.reg][0])
    if name != "imul" or len(operands) == 1:
        found.update(_IMPLICIT.get(name, ()))
    return frozenset(found)


def read(insn: capstone.CsInsn) -> "frozenset[int]":
    """The general registers that an instruction may read, in a memory operand's address, too."""
    found = {REGISTERS[reg][0] for reg in insn.regs_access()[0] if reg in REGISTERS}
    for op in insn.operands:
        if op.type == x86.X86_OP_MEM:
            found.update(REGISTERS[r][0] for r in (op.mem.base, op.mem.index) if r in REGISTERS)
        elif op.type == x86.X86_OP_REG and op.reg in REGISTERS:
            # a half or a byte that is written leaves, or is said to leave, the rest as it was
            number, size = REGISTERS[op.reg]
            if op.access != capstone.CS_AC_WRITE or size < 4:
                found.add(number)
    return frozenset(found)


def register_of(op: X86Op) -> "int | None":
    """The number of a whole register of 8 bytes; None for another operand."""
    number, size = REGISTERS.get(op.reg, (0, 0)) if op.type == x86.X86_OP_REG else (0, 0)
    return number if size == 8 else None
