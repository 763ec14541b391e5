"""A failure as lines for a reader."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from ukcc import paths
from ukcc.failures.core import Core, Thread
from ukcc.failures.places import CodeAddress, SourceLocation

# Of the thread in question so many frames are shown, of others so many; and from the end.
FRAMES, OTHER_FRAMES, LAST_FRAMES = 48, 16, 4
_THREADS_SHOWN = 32

_SHOWN_REGISTERS = (
    ("rip", "rsp", "rbp", "eflags"),
    ("rax", "rbx", "rcx", "rdx"),
    ("rsi", "rdi", "r8", "r9"),
    ("r10", "r11", "r12", "r13"),
    ("r14", "r15", "orig_rax"),
)

_STATES = {"R": "running", "S": "blocked", "D": "blocked, not to be interrupted",
           "T": "stopped", "t": "stopped by a debugger", "I": "idle"}  # fmt: skip

Frame = tuple[CodeAddress, "list[SourceLocation]"]


def register_lines(registers: "dict[str, int]") -> "list[str]":
    """Four to a line, 16 hexadecimal digits each."""
    return [
        "  " + "  ".join(f"{name:>3} {registers[name]:016x}" for name in names)
        for names in _SHOWN_REGISTERS
        if all(name in registers for name in names)
    ]


def frame_lines(frames: "list[Frame]", most: int, whole: bool = True) -> "list[str]":
    """Frames, the middle left out where there are more than `most`; repeated ones are counted.

    whole: the outermost frame is among them; if not, more is known to follow.
    """
    entries = list(_folded(frames))
    last = entries[-LAST_FRAMES:] if whole and len(entries) > most else []
    first = entries[: most - len(last)]
    left = sum(entry.count for entry in entries[len(first) : len(entries) - len(last)])
    gap = []
    if not whole:
        gap = [f"      … and more than {left} frames" if left else "      … and more"]
    elif left:
        gap = [f"      … {left} frames"]
    return [line for entry in first for line in entry.lines] + [
        *gap,
        *(line for entry in last for line in entry.lines),
    ]


@dataclass(frozen=True)
class _Entry:
    """What stands for `count` frames."""

    count: int
    lines: "list[str]"


def _folded(frames: "list[Frame]") -> Iterator[_Entry]:
    """A call that repeats itself is shown twice, and counted."""
    for _, group in groupby(enumerate(frames), lambda item: item[1]):
        run = list(group)
        for number, frame in run[:2]:
            yield _Entry(1, list(_one(number, frame)))
        if len(run) > 2:
            yield _Entry(len(run) - 2, [f"      … {len(run) - 2} times the same"])


def _one(number: int, frame: Frame) -> Iterator[str]:
    address, places = frame
    head = f"    #{number:<3} {address.value:#018x}  "
    if not places:
        yield f"{head}(no function is known there)"
    for place in places:
        yield head + place_text(place)
        head = " " * len(head)


def place_text(place: SourceLocation) -> str:
    """`function at file:line`, or `function+0x10 in module` where no line is known."""
    name = place.function or "?"
    if place.line:
        text = f"{name} at {_short(place.file)}:{place.line}"
    else:
        text = f"{name}+{place.offset:#x} in {place.module}" if place.function else place.module
    return f"{text}, inlined in" if place.inlined else text


def _short(path: str) -> str:
    """Relative to the working directory, if below it."""
    absolute = os.path.normpath(path)
    try:
        return str(Path(absolute).relative_to(paths.working_directory()))
    except ValueError:
        return absolute


def thread_state(thread: Thread, call_name: str) -> str:
    """`blocked in futex`, `running`, `running in read`."""
    state = _STATES.get(thread.state, thread.state)
    return f"{state} in {call_name}" if call_name else state


def shown_threads(core: Core) -> "tuple[tuple[Thread, ...], int]":
    """(threads to be shown, number of those left out)."""
    return core.threads[:_THREADS_SHOWN], max(0, len(core.threads) - _THREADS_SHOWN)
