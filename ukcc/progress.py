"""Says what a long job is at: bars on a terminal, a few plain lines elsewhere.

A job is a sequence of steps. A step may know about how many units (objects compiled, files
unpacked) it has; the number is an estimate and never stops a step from going on.
"""

import contextlib
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator

_PLAIN_INTERVAL = 60.0  # seconds between two plain lines of one step: enough for a CI log


class Step(ABC):
    """One running step."""

    @abstractmethod
    def advance(self, units: int = 1) -> None:
        """So many more units are done."""


class Progress(ABC):
    """Where steps are shown."""

    @abstractmethod
    def step(self, title: str, estimate: int = 0) -> "contextlib.AbstractContextManager[Step]":
        """Shows a step while the context lasts. `estimate`: units expected, 0 when unknown."""

    @abstractmethod
    def note(self, text: str) -> None:
        """One line for the reader."""


def duration(seconds: float) -> str:
    """`0.4 s`, `12 s`, `3 min 05 s`."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s"


class _SilentStep(Step):
    def advance(self, units: int = 1) -> None:
        pass


class Silent(Progress):
    """Says nothing: `--quiet`, and tests."""

    @contextlib.contextmanager
    def step(self, title: str, estimate: int = 0) -> Iterator[Step]:
        yield _SilentStep()

    def note(self, text: str) -> None:
        pass


class _PlainStep(Step):
    def __init__(self, title: str, estimate: int) -> None:
        self.title, self.estimate = title, estimate
        self.done = 0
        self._next = time.monotonic() + _PLAIN_INTERVAL

    def advance(self, units: int = 1) -> None:
        self.done += units
        if time.monotonic() >= self._next:
            self._next += _PLAIN_INTERVAL
            of = f" of about {self.estimate}" if self.estimate else ""
            _say(f"  {self.title}: {self.done}{of}")


class Plain(Progress):
    """For logs: a line when a step begins, one a minute, one when it is done."""

    @contextlib.contextmanager
    def step(self, title: str, estimate: int = 0) -> Iterator[Step]:
        began = time.monotonic()
        _say(f"{title} …")
        yield _PlainStep(title, estimate)
        _say(f"{title}: done in {duration(time.monotonic() - began)}")

    def note(self, text: str) -> None:
        _say(text)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def for_stderr(quiet: bool) -> Progress:
    """The right one for this process: silent, bars, or plain lines."""
    if quiet:
        return Silent()
    if sys.stderr.isatty():
        from ukcc.progress_bars import Bars  # rich is slow to load, and only needed here

        return Bars()
    return Plain()
