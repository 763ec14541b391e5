"""Functions that never return, so that the code behind a call of one is not reached by it."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ukcc.needs.code import Code

# A larger one, or more of them in each other, is taken to return, which is always right.
_LARGEST = 8192
_DEEPEST = 6


class Returns:
    """Which functions of a program may return to their caller."""

    def __init__(self, code: "Code") -> None:
        self._code = code
        self._known: dict[int, bool] = {}

    def may_return(self, addr: int, depth: int = 0) -> bool:
        """Whether a call to an address may come back."""
        if addr not in self._known:
            self._known[addr] = True  # for those that call themselves
            self._known[addr] = depth > _DEEPEST or self._look(addr, depth)
        return self._known[addr]

    def _look(self, addr: int, depth: int) -> bool:
        region = self._code.region_at(addr)
        if region is None or region.opaque or region.end - region.start > _LARGEST:
            return True
        left, seen = [addr], {addr}
        while left:
            insn = region.insn(left.pop())
            if insn is None or insn.mnemonic.startswith("ret") or insn.mnemonic == "(bad)":
                return True
            onward = []
            if insn.mnemonic == "call":
                if insn.target is None or self.may_return(insn.target, depth + 1):
                    onward.append(insn.addr + insn.size)
            elif insn.target is not None:
                if region.start <= insn.target < region.end:
                    reached = region.reached_at(insn.target)
                    onward.append(reached.addr if reached else insn.target)
                elif self.may_return(insn.target, depth + 1):
                    return True
            elif insn.mnemonic == "jmp" and insn.ends_flow:
                return True
            if not insn.ends_flow and insn.mnemonic != "call":
                onward.append(insn.addr + insn.size)
            for following in onward:
                if following not in seen:
                    seen.add(following)
                    left.append(following)
        return False
