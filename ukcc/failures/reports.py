"""Reports of the guest, taken from the bytes of their port (docs/architecture.md).

The bytes are the guest's, and the application has the guest: a report has a limit of its kind, and
what breaks the rules is passed over.
"""

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = re.compile(rb"UKCC1 ([a-z]{1,16}) (\d{1,10})\n")
_LONGEST_HEADER = 64

CRASH, STACKS, MEMORY, DONE = "crash", "stacks", "memory", "done"
# At the end: the bytes sent to each output. The guest waits for our word that they have arrived.
SENT = "sent"
# The guest stands still for a snapshot; the bytes sent, as above. It goes on after one.
HELD, RESUMED = "held", "resumed"
# Asked by init before the application starts: what time it is.
CLOCK = "clock"
# The application was stopped at a terminal; it waits for our word to go on.
STOPPED = "stopped"
# Made on the host: what QEMU's monitor said; the same with the console of a panic before it, and
# a NUL between them.
CPUS, PANIC = "cpus", "panic"
# Made on the host: a line on reports that were passed over.
NOTICE = "notice"

# The most that a report of each kind may have, in bytes. A core: notes of 16 MiB, a stack of 9 MiB
# and 32 KiB of each other one (sysroot/init/crash.c), or 128 KiB of each (stacks.c), 256 in all.
_LIMITS = {
    CRASH: 40 << 20,
    STACKS: 40 << 20,
    MEMORY: 4096,  # a line of the kernel's log has less than 1 KiB
    DONE: 0,
    SENT: 64,
    HELD: 64,
    RESUMED: 0,
    CLOCK: 0,
    STOPPED: 64,
}

# What may wait until it is shown. An explanation takes a second, so guests can be faster.
_WAITING, _WAITING_BYTES = 256, 64 << 20
_SMALL = 4096  # bytes; these count in number only, so that cores keep no line of text out

_COUNTS = re.compile(rb"(\d{1,19}) (\d{1,19})\s*")


@dataclass(frozen=True)
class Report:
    """kind: one of the words above; data: a trimmed core, text, or JSON."""

    kind: str
    data: bytes


class Parser:
    """Bytes in, reports out; what is no report is passed over.

    What is longer than its kind allows, or of no known kind, is passed over as well, with a NOTICE
    the first time; the next header that comes is looked for right behind it.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._wanted = 0  # bytes of a report that has begun, its header included
        self._warned: set[str] = set()

    @property
    def is_waiting(self) -> bool:
        """Whether a report has begun and has not ended."""
        return self._wanted > 0

    def feed(self, data: bytes) -> Iterator[Report]:
        """The reports that these bytes complete."""
        self._rest += data
        while len(self._rest) >= self._wanted:
            header = _HEADER.search(self._rest)
            if header is None:
                # a header may be cut in two anywhere
                del self._rest[:-_LONGEST_HEADER]
                return
            kind, size = header[1].decode(), int(header[2])
            problem = _problem(kind, size)
            if problem:
                yield from self._notice(problem)
                del self._rest[: header.end()]
                continue
            end = header.end() + size
            if len(self._rest) < end:
                del self._rest[: header.start()]
                self._wanted = end - header.start()
                return
            body = bytes(self._rest[header.end() : end])
            del self._rest[:end]
            self._wanted = 0
            yield Report(kind, body)

    def give_up(self) -> Iterator[Report]:
        """The rest of a report that has begun will not come: those that are in its bytes."""
        if not self._wanted:
            return
        header = _HEADER.match(self._rest)
        assert header is not None  # it is what has begun
        self._wanted = 0
        yield from self._notice(f"a report of {header[1].decode()} was cut short")
        del self._rest[: header.end()]
        yield from self.feed(b"")

    def _notice(self, text: str) -> Iterator[Report]:
        # one of each kind of problem, however many numbers there are
        kind = re.sub(r"\d+", "", text)
        if kind not in self._warned and len(self._warned) < len(_LIMITS) * 3:
            self._warned.add(kind)
            yield Report(NOTICE, f"passed over: {text}".encode())


def _problem(kind: str, size: int) -> str:
    """Why a report with such a header is none; empty if it is one."""
    limit = _LIMITS.get(kind)
    if limit is None:
        return "a report of a kind that this ukcc does not know"
    return f"a report of {kind} with {size} bytes, more than {limit}" if size > limit else ""


def parse_counts(data: bytes) -> "list[int] | None":
    """The two numbers of `sent` and `held`; None for anything else."""
    found = _COUNTS.fullmatch(data)
    return [int(word) for word in found.groups()] if found else None


class Backlog:
    """Reports that wait to be shown: so many, with so many bytes, and no more.

    Not safe for threads by itself.
    """

    def __init__(self, most: int = _WAITING, most_bytes: int = _WAITING_BYTES) -> None:
        self._most, self._most_bytes = most, most_bytes
        self._reports: deque[Report] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._reports)

    def put(self, report: Report) -> bool:
        """False where there is no room."""
        size = _counted(report)
        if len(self._reports) >= self._most or self._bytes + size > self._most_bytes:
            return False
        self._reports.append(report)
        self._bytes += size
        return True

    def take(self) -> Report:
        """The oldest. Raises IndexError when there is none."""
        report = self._reports.popleft()
        self._bytes -= _counted(report)
        return report


def _counted(report: Report) -> int:
    return len(report.data) if len(report.data) > _SMALL else 0
