"""The exit record: what init writes to the second serial port (docs/architecture.md)."""

import re
from dataclasses import dataclass

_LINE = re.compile(rb"UKCC1 (exit|signal|note) ([^\r\n]*)")
_MARK = b"UKCC1 "
_HIGHEST_SIGNAL = 64

# The application can write to the port, too. A line is looked for in the last bytes before its end.
_LONGEST_LINE = 1024
_MOST_NOTES = 64


@dataclass(frozen=True)
class Record:
    """status: the exit status as a shell would give it, or None when there is no valid record.

    notes: what init has to say besides, in order.
    """

    status: "int | None"
    notes: tuple[str, ...] = ()


class RecordLines:
    """Bytes in, of any number; what is kept is small: the first notes, and the last ending."""

    def __init__(self) -> None:
        self._rest = b""
        self._notes: list[bytes] = []
        self._ending = b""

    def feed(self, data: bytes) -> None:
        """Takes what comes, in any pieces."""
        *lines, rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._look_at(line[-_LONGEST_LINE:])
        self._rest = rest[-_LONGEST_LINE:]

    @property
    def has_ending(self) -> bool:
        """Whether the application's end has been told."""
        return bool(self._ending)

    def kept(self) -> bytes:
        """The lines that count, for `parse_record`."""
        self._look_at(self._rest)
        self._rest = b""
        return b"".join(line + b"\n" for line in (*self._notes, self._ending) if line)

    def _look_at(self, line: bytes) -> None:
        # the last one: what the application has written may stand before it, without a line's end
        found = _LINE.match(line, max(line.rfind(_MARK), 0))
        if found is None:
            return
        if found[1] != b"note":
            if _status(found[1], found[2]) is not None:
                self._ending = found[0]
        elif len(self._notes) < _MOST_NOTES:
            self._notes.append(found[0])


def parse_record(data: bytes) -> Record:
    """What the port carried -> Record. Of several endings the last counts; garbage does not."""
    status = None
    notes = []
    for what, value in _LINE.findall(data):
        if what == b"note":
            notes.append(value.decode("utf-8", "replace"))
            continue
        ending = _status(what, value)
        status = status if ending is None else ending
    return Record(status, tuple(notes))


def _status(what: bytes, value: bytes) -> "int | None":
    if not value.isdigit() or len(value) > 3:
        return None
    number = int(value)
    if what == b"exit":
        return number if number <= 255 else None
    return 128 + number if 0 < number <= _HIGHEST_SIGNAL else None
