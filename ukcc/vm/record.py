"""The exit record: what init writes to the second serial port (docs/architecture.md)."""

import re
from dataclasses import dataclass

_LINE = re.compile(rb"UKCC1 (exit|signal|note) ([^\r\n]*)")
_HIGHEST_SIGNAL = 64


@dataclass(frozen=True)
class Record:
    """status: the exit status as a shell would give it, or None when there is no valid record.

    notes: what init has to say besides, in order.
    """

    status: "int | None"
    notes: tuple[str, ...] = ()


def parse_record(data: bytes) -> Record:
    """What the port carried -> Record. Of several endings the last counts; garbage does not."""
    status = None
    notes = []
    for what, value in _LINE.findall(data):
        if what == b"note":
            notes.append(value.decode("utf-8", "replace"))
        elif value.isdigit():
            status = _status(what, int(value))
    return Record(status, tuple(notes))


def _status(what: bytes, value: int) -> "int | None":
    if what == b"exit":
        return value if value <= 255 else None
    return 128 + value if 0 < value <= _HIGHEST_SIGNAL else None
