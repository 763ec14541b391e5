"""What the plugin has written of a boot: a tree of calls, with instructions (counting/calls.c)."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ukcc.errors import UkccError

ROOT = 0
CALL, THREAD, BEGIN = "c", "t", "b"
_MOST_NODES = 1 << 22


@dataclass(frozen=True)
class Call:
    """A function as called from its parent.

    kind: CALL; THREAD, a thread's first function; BEGIN, what runs after a program began, whose
    number `address` is. parent: index of another call, lower than this one's; the root's is its
    own. own: instructions of the function itself; first: how many there were before its first.
    """

    parent: int
    kind: str
    address: int
    times: int
    own: int
    first: int


@dataclass(frozen=True)
class CallLog:
    """calls: a parent before its children; begins: number of a program -> (address, instructions
    before it); total: all instructions."""

    calls: tuple[Call, ...]
    begins: dict[int, tuple[int, int]]
    total: int


def parse_calls(lines: Iterable[str]) -> CallLog:
    """The plugin's answer. Raises UkccError for one that is cut short or contradicts itself."""
    calls: list[Call] = []
    begins: dict[int, tuple[int, int]] = {}
    total = -1
    for line in lines:
        words = line.split()
        try:
            if words[0] == "n":
                calls.append(_call(words, len(calls)))
            elif words[0] == "m":
                begins[int(words[1])] = int(words[2], 16), int(words[3])
            elif words[0] == "end":
                total = int(words[1])
        except (IndexError, ValueError):
            raise UkccError(f"what was counted cannot be read: {line[:80]!r}") from None
    if total < 0 or not calls:
        raise UkccError("what was counted has no end: QEMU was ended too early")
    if sum(call.own for call in calls) != total:
        raise UkccError("what was counted does not add up")
    return CallLog(tuple(calls), begins, total)


def _call(words: Sequence[str], number: int) -> Call:
    parent, kind = int(words[2]), words[3]
    address, times, own, first = int(words[4], 16), *map(int, words[5:8])
    is_root = number == ROOT and parent == ROOT
    if int(words[1]) != number or not (is_root or 0 <= parent < number):
        raise ValueError
    if kind not in (CALL, THREAD, BEGIN) or min(times, own, first) < 0 or number >= _MOST_NODES:
        raise ValueError
    return Call(parent, kind, address, times, own, first)
