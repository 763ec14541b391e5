"""Reports of the guest, taken from the bytes of their port (docs/architecture.md)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_HEADER = re.compile(rb"UKCC1 ([a-z]+) (\d{1,10})\n")
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


@dataclass(frozen=True)
class Report:
    """kind: one of the words above; data: a trimmed core, text, or JSON."""

    kind: str
    data: bytes


class Parser:
    """Bytes in, reports out; what is no report is passed over."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> Iterator[Report]:
        """The reports that these bytes complete."""
        self._rest += data
        while True:
            header = _HEADER.search(self._rest)
            if header is None:
                # a header may be cut in two anywhere
                del self._rest[:-_LONGEST_HEADER]
                return
            end = header.end() + int(header[2])
            if len(self._rest) < end:
                del self._rest[: header.start()]
                return
            yield Report(header[1].decode(), bytes(self._rest[header.end() : end]))
            del self._rest[:end]
