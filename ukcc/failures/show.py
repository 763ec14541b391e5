"""Prints reports while a run goes on, each as soon as it has come.

Their bytes are read by another process only (__main__.py), within its limits.
"""

import os
import re
import signal
import sys
from collections.abc import Iterable
from dataclasses import dataclass

from ukcc import proc
from ukcc.errors import ToolFailed
from ukcc.failures.reports import CPUS, CRASH, DONE, MEMORY, NOTICE, PANIC, STACKS, Report
from ukcc.line_ends import with_line_ends
from ukcc.terminal import shown

# So many crashes of one run are explained; more are a storm, of which one line each is enough, and
# at last none: each costs the host a process.
_MOST, _MOST_BRIEF = 8, 256
_PATIENCE = 30.0  # seconds for one explanation
_MOST_TEXT = 1 << 20  # bytes of one

_KILLED = re.compile(
    r"Killed process (?P<pid>\d+) \((?P<name>.*)\) total-vm:(?P<asked>\d+)kB,"
    r" anon-rss:(?P<held>\d+)kB"
)
_STDERR = 2

# Nothing is fetched from the network to explain a crash, and no module taken from the directory
# where the user happens to be (Python 3.11 and later).
_ENVIRONMENT = {"DEBUGINFOD_URLS": "", "PYTHONSAFEPATH": "1"}


@dataclass
class FailurePrinter:
    """Turns reports into lines on standard error.

    image: the whole image; shares: (host's directory, guest's); memory_mib: the machine's.
    """

    image: str
    memory_mib: int
    shares: "tuple[tuple[str, str], ...]" = ()
    crashes: int = 0
    stacks: int = 0
    damaged: bool = False

    def __call__(self, report: Report) -> None:
        lines = self._lines(report)
        if lines:
            first, *more = map(shown, lines)
            text = "\n".join([f"ukcc run: {first}", *more, ""])
            sys.stderr.flush()
            os.write(_STDERR, with_line_ends(_STDERR, text.encode(errors="replace")))

    def _lines(self, report: Report) -> "list[str]":
        if report.kind == MEMORY:
            return [killed_line(report.data.decode(errors="replace"), self.memory_mib)]
        if report.kind == NOTICE:
            return [report.data.decode(errors="replace")]
        if report.kind == DONE:
            seen, self.stacks = self.stacks, 0
            return [] if seen else ["no process of the application is there, perhaps not yet"]
        self.stacks += report.kind == STACKS
        if report.kind in (CPUS, PANIC):
            return self._machine(report)
        if report.kind == CRASH:
            self.crashes += 1
            if self.crashes > _MOST + _MOST_BRIEF:
                last = self.crashes == _MOST + _MOST_BRIEF + 1
                return ["further crashes are not shown"] if last else []
            if self.crashes > _MOST:
                return self._brief(report.data)[:1]
        return self._explained(report.data) if report.kind in (CRASH, STACKS) else []

    def _machine(self, report: Report) -> "list[str]":
        try:
            return resolve(report.kind, report.data, self.image)
        except ToolFailed as error:
            return [f"no names for the kernel's addresses: {_reason(error)}"]

    def _explained(self, data: bytes) -> "list[str]":
        try:
            return resolve("core", data, self.image, self.shares)
        except ToolFailed as error:
            if _is_verdict(error):
                return self._once_damaged(error)
            # it did not survive the C library that reads stacks, or took too long
            return [*self._brief(data), f"  its stacks cannot be read: {error.message}"]

    def _brief(self, data: bytes) -> "list[str]":
        """Signal and registers, without any file."""
        try:
            return resolve("brief", data, self.image)
        except ToolFailed as error:
            return self._once_damaged(error)

    def _once_damaged(self, error: ToolFailed) -> "list[str]":
        """A report that cannot be understood is passed over, and said the first time."""
        seen, self.damaged = self.damaged, True
        return [] if seen else [_reason(error)]


def _is_verdict(error: ToolFailed) -> bool:
    """Whether the process has understood that there is nothing to be said, and has said why."""
    return isinstance(error, proc.ProgramFailed) and error.returncode == 1 and len(error.tail) == 1


def _reason(error: ToolFailed) -> str:
    if isinstance(error, proc.ProgramFailed) and _is_verdict(error):
        return error.tail[0]
    return f"a report of a failure cannot be read: {error.message}"


def resolve(
    kind: str, data: bytes, image: str, shares: Iterable["tuple[str, str]"] = ()
) -> "list[str]":
    """The lines of `python -m ukcc.failures`, a process of its own. Raises ToolFailed."""
    from ukcc.failures.view import memory_file  # loads what reads ELF: for failures only

    fd, _ = memory_file(data, "report")
    argv = [sys.executable, "-m", "ukcc.failures", kind, f"/proc/{os.getpid()}/fd/{fd}", image]
    argv += [path for pair in shares for path in pair]
    try:
        text = proc.output(argv, env=_ENVIRONMENT, timeout=_PATIENCE, most=_MOST_TEXT)
        return text.splitlines()
    finally:
        os.close(fd)


def killed_line(message: str, memory_mib: int) -> str:
    """The kernel's `Killed process 45 (app) total-vm:…kB, anon-rss:…kB, …` for a reader."""
    found = _KILLED.search(message)
    if found is None:
        return f"out of memory (-m {memory_mib} is in use): {message}"
    asked, held = (-(-int(found[key]) // 1024) for key in ("asked", "held"))
    return (
        f"out of memory: the kernel killed {found['name']} (process {found['pid']}) by"
        f" {signal.SIGKILL.name}: it had mapped {asked} MiB and used {held} MiB;"
        f" -m {memory_mib} is in use, a higher one gives more"
    )
