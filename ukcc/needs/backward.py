"""What a register can hold at a place in the code, by a walk backwards over all ways there."""

from collections.abc import Iterable
from dataclasses import dataclass

from ukcc.needs.code import Code
from ukcc.needs.effects import (
    Change,
    Constant,
    Either,
    Lost,
    Moved,
    Place,
    Register,
    Slot,
    Step,
    applied,
    step,
)
from ukcc.needs.regions import Insn, Region
from ukcc.needs.registers import CALLEE_SAVED, RAX, RCX, RSP
from ukcc.needs.switches import Switches

# Of one walk: places looked at, values found, changes of one value, calls between functions.
# (of all of libc.so.6: 8,000 places)
_MOST_STATES, _MOST_IN_ALL = 4000, 400_000  # of a walk; of all walks in a file
_MOST_VALUES = 256
_MOST_CHANGES = 6
_DEEPEST = 8
_MOST_REASONS = 8

_CLOBBERED = frozenset((RAX, RCX, 11))  # by the instruction `syscall`, and by the gate


@dataclass(frozen=True)
class UnknownValue:
    """Why a value cannot be told, and at which instruction that is seen."""

    addr: int
    why: str


@dataclass(frozen=True)
class PassedRegister:
    """The value is what other files pass in a register to a function that these names lead to."""

    names: tuple[str, ...]
    register: int
    changes: tuple[Change, ...]


@dataclass(frozen=True)
class RegisterValues:
    """All that a register can hold: `values`; what other files pass; and, unless `unknown` is
    empty, anything."""

    values: frozenset[int] = frozenset()
    wanted: frozenset[PassedRegister] = frozenset()
    unknown: tuple[UnknownValue, ...] = ()


def union(parts: Iterable[RegisterValues]) -> RegisterValues:
    """All that any of them says."""
    values: set[int] = set()
    wanted: set[PassedRegister] = set()
    unknown: dict[UnknownValue, None] = {}
    for part in parts:
        values |= part.values
        wanted |= part.wanted
        unknown.update(dict.fromkeys(part.unknown))
    return RegisterValues(frozenset(values), frozenset(wanted), tuple(unknown))


@dataclass(frozen=True)
class _State:
    """What `place` holds before the instruction at `addr`, and what happens to that later."""

    addr: int
    place: Place
    changes: tuple[Change, ...]
    depth: int


class Walker:
    """Walks over the code of one program."""

    def __init__(self, code: Code, switches: Switches) -> None:
        self._code = code
        self._switches = switches
        self._states = 0

    def register(self, addr: int, number: int) -> RegisterValues:
        """What a register can hold before the instruction at `addr`."""
        if self._states > _MOST_IN_ALL:
            return RegisterValues(
                unknown=(UnknownValue(addr, "the file is too large to be looked at"),)
            )
        walk = _Walk(self._code, self._switches)
        found = walk.run(_State(addr, Register(number), (), 0))
        self._states += walk.states
        return found


class _Walk:
    def __init__(self, code: Code, switches: Switches) -> None:
        self._code = code
        self._switches = switches
        self._values: set[int] = set()
        self._wanted: set[PassedRegister] = set()
        self._unknown: dict[UnknownValue, None] = {}
        self.states = 0

    def run(self, start: _State) -> RegisterValues:
        seen = {start}
        left = [start]
        while left:
            state = left.pop()
            if len(seen) > _MOST_STATES or len(self._values) > _MOST_VALUES:
                self._lose(state.addr, "too many ways lead there")
                break
            if len(self._unknown) >= _MOST_REASONS:
                break
            for before in self._step(state):
                if before not in seen:
                    seen.add(before)
                    left.append(before)
        self.states = len(seen)
        return RegisterValues(
            frozenset(self._values), frozenset(self._wanted), tuple(self._unknown)
        )

    def _lose(self, addr: int, why: str) -> None:
        self._unknown[UnknownValue(addr, why)] = None

    def _step(self, state: _State) -> list[_State]:
        """The states from which one is reached."""
        region = self._code.region_at(state.addr)
        if region is not None:
            self._switches.resolve(region)
        before = self._code.before(state.addr)
        if before.unknown:
            self._lose(state.addr, before.unknown)
        if before.exported:
            if isinstance(state.place, Register):
                self._wanted.add(PassedRegister(before.exported, state.place.number, state.changes))
            else:
                self._lose(state.addr, "it is passed in memory by another file")
        found = []
        for source in before.sources:
            above = self._code.region_at(source)
            insn = above.insn(source) if above else None
            assert above is not None and insn is not None
            enters = insn.mnemonic == "call" and insn.target == state.addr
            effect = self._effect(above, insn, state, enters)
            depth = state.depth + enters
            if depth > _DEEPEST:
                effect = Lost("it is passed on through too many functions")
            found += self._continued(insn, effect, state, depth)
        return found

    def _continued(self, insn: Insn, effect: Step, state: _State, depth: int) -> list[_State]:
        if isinstance(effect, Constant):
            self._values |= applied(frozenset(effect.values), state.changes)
            return []
        if isinstance(effect, Either):
            return [s for one in effect.steps for s in self._continued(insn, one, state, depth)]
        if isinstance(effect, Lost):
            self._lose(insn.addr, effect.why)
            return []
        changes = state.changes
        is_cut_already = bool(changes) and changes[0][0] == "and" and effect.changes == changes[:1]
        if effect.changes and not is_cut_already:
            changes = (*effect.changes, *changes)
        if len(changes) > _MOST_CHANGES:
            self._lose(insn.addr, "it is computed in too many steps")
            return []
        return [_State(insn.addr, place, changes, depth) for place in effect.places]

    def _effect(self, region: Region, insn: Insn, state: _State, enters: bool) -> Step:
        place = state.place
        if isinstance(place, Slot):
            if enters:
                return Lost("it is passed on the stack")
            if _shares_stack(region):
                return Lost("it is in memory whose address is used")
        if insn.mnemonic == "call":
            return Moved((place,)) if enters else self._after_call(region, insn, place)
        if insn.mnemonic == "syscall":
            if isinstance(place, Register) and place.number in _CLOBBERED:
                return Lost("it is what a system call returns")
            return Moved((place,))
        return step(self._code.program, self._code.detail(insn), insn.mnemonic, place)

    def _after_call(self, region: Region, insn: Insn, place: Place) -> Step:
        """What is left behind a call: by the psABI, where the code follows it."""
        if isinstance(place, Slot):
            if place.base == RSP and place.offset < 0:
                return Lost("it is below the stack of a call")
        elif place.number not in CALLEE_SAVED:
            what = "is what a call returns" if place.number == RAX else "does not survive a call"
            return Lost(f"it {what}")
        if not self._code.follows_abi(region):
            return Lost("it goes through a call that may change it")
        return Moved((place,))


def _shares_stack(region: Region) -> bool:
    """Whether a pointer into the function's frame may be anywhere else than in rsp and rbp."""
    if region.shares_stack is None:
        region.shares_stack = any(_copies_stack(insn) for insn in region.insns)
    return region.shares_stack


def _copies_stack(insn: Insn) -> bool:
    text = insn.operands
    if insn.mnemonic == "lea":
        to, _, address = text.partition(", ")
        return ("rsp" in address or "rbp" in address) and to not in ("rsp", "rbp")
    if insn.mnemonic in ("push", "pop", "leave", "ret", "call", "cmp", "test", "nop"):
        return text == "rsp" and insn.mnemonic == "push"
    first, _, rest = text.partition(", ")
    bare = [part for part in rest.split(", ") if "[" not in part]
    if any(part in ("rsp", "esp") for part in bare):
        return not (insn.mnemonic == "mov" and first == "rbp")
    return insn.mnemonic in ("mov", "add", "sub", "xchg") and "rbp" in bare and first != "rsp"
