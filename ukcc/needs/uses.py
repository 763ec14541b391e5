"""Where a function's address goes that was loaded into a register, by a walk forwards.

Compilers load it once for several calls (`-fno-plt`, Rust). As long as it is only called, all calls
are known; in any other use it is lost.
"""

from ukcc.needs.code import Code
from ukcc.needs.regions import Insn, Region
from ukcc.needs.registers import CALLEE_SAVED, RAX, RDX, RSP, read, register_of, written

_MOST = 4000


def calls_by_register(code: Code, load: Insn) -> "list[Insn] | None":
    """The calls and jumps by the register that `load` (a `mov` from memory) fills; None if the
    register is used otherwise, or in a way that cannot be followed."""
    region = code.region_at(load.addr)
    number = register_of(code.detail(load).operands[0])
    if region is None or region.opaque or number in (None, RSP):
        return None
    assert number is not None
    found: dict[int, Insn] = {}
    left, seen = [load.end], {load.end}
    while left:
        insn = region.insn(left.pop())
        if insn is None or len(seen) > _MOST:
            return None
        onward = _onward(code, region, insn, number, found)
        if onward is None:
            return None
        for addr in onward:
            if addr not in seen:
                seen.add(addr)
                left.append(addr)
    return list(found.values())


def _onward(
    code: Code, region: Region, insn: Insn, number: int, found: "dict[int, Insn]"
) -> "list[int] | None":
    """The instructions behind one at which the register still holds the address; None: it is lost.

    Adds the instruction to `found` if it calls by the register.
    """
    detail = code.detail(insn)
    if insn.mnemonic in ("call", "jmp") and insn.target is None and insn.operands != "r11":
        if register_of(detail.operands[0]) == number:
            found[insn.addr] = insn
        elif number in read(detail):
            return None
        if insn.mnemonic == "jmp":  # out of the function, or by a table: then it may be used there
            return [] if insn.addr in found else None
    elif insn.mnemonic.startswith("ret"):
        return None if number in (RAX, RDX) else []
    elif insn.mnemonic not in ("cmp", "test") and number in read(detail):
        return None
    if insn.mnemonic in ("call", "syscall"):
        if number in CALLEE_SAVED:
            return [insn.end] if code.follows_abi(region) else None
        # else it may be an argument; rax is none where it is what is called
        return [] if insn.addr in found and number == RAX else None
    if number in written(detail):
        return []
    onward = [] if insn.ends_flow else [insn.end]
    if insn.target is not None:
        reached = region.reached_at(insn.target)
        if reached is None or not region.start <= insn.target < region.end:
            return None
        onward.append(reached.addr)
    return onward
