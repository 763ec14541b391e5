"""Whether a machine has ended by a panic of its kernel, and why.

QEMU tells (ukcc/vm/live/events.py), since the console is the application's as well: `pvpanic` of a
kernel that has a driver for it, and a reset of one that panics before that, or has none. A reset is
a panic if a CPU was in panic() then. The console's words only say why.
"""

import re
from collections.abc import Callable
from dataclasses import replace

from ukcc.errors import ToolFailed
from ukcc.failures.reports import PANIC, Report
from ukcc.vm.live.exit_record import parse_record
from ukcc.vm.live.process import Outcome

_WORDS = re.compile(rb"(---\[ end )?Kernel panic - not syncing: ([^\r\n]*)")


def judge(outcome: Outcome, image: str) -> Outcome:
    """The same, with `panicked` for a reset that was one. image: has the name of its kernel."""
    if not outcome.reset or outcome.panicked or parse_record(outcome.record).status is not None:
        return outcome
    return replace(outcome, panicked=_reset_in_panic(outcome, image))


def reason(console: bytes) -> str:
    """`: Fatal exception`: what the kernel said last of a panic; empty if it said nothing."""
    found = [why for end, why in _WORDS.findall(console) if not end]
    return ": " + found[-1].decode(errors="replace") if found else ""


def show(outcome: Outcome, printer: Callable[[Report], None]) -> None:
    """A panic is the one failure that nobody in the guest can report."""
    if outcome.panicked:
        printer(Report(PANIC, outcome.console.replace(b"\0", b"") + b"\0" + outcome.cpus))


def _reset_in_panic(outcome: Outcome, image: str) -> bool:
    from ukcc.failures.show import resolve  # a process of its own, with the kernel's symbols

    if outcome.cpus:
        try:
            (answer,) = resolve("reset", outcome.cpus, image)
            return answer == "panic"
        except (ToolFailed, ValueError):
            pass  # the kernel's symbols are not in the store
    # a machine that was reset and cannot be asked: here the console has the last word
    return bool(_WORDS.search(outcome.console))
