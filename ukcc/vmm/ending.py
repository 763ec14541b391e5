"""The exit record on a console that is the application's as well.

init writes the same lines as to a port of its own (ukcc/vm/live/exit_record.py). The ending is a
record only if nothing comes after it: init writes it when all output has left the machine, and the
kernel is silent then. What looks like one in the middle was written by the application, and is
shown; and a kernel that panics after it speaks, so that it is none. Notes may come at any time.
"""

import re

from ukcc.vm.live.exit_record import parse_record

_MARK = b"UKCC1 "
_ENDING = re.compile(rb"UKCC1 (?:exit|signal) [0-9]{1,3}\r?\n")
_ENDING_SO_FAR = re.compile(rb"UKCC1 (?:exit|signal) [0-9]{0,3}\r?")
_WORDS = (b"UKCC1 exit ", b"UKCC1 signal ")
_NOTE = b"UKCC1 note "
_LONGEST_NOTE = 1024  # bytes; a longer line is the application's
_MOST_NOTES = 64


class RecordFilter:
    """Bytes of the console in, of any number; what is to be shown out."""

    def __init__(self) -> None:
        self._held = b""  # what may become a line of init's
        self._notes: list[bytes] = []
        self.lines = b""  # for `parse_record`, when the console has ended

    @property
    def has_come(self) -> bool:
        """Whether the last that has come is an ending."""
        return bool(_ENDING.fullmatch(self._held)) and self._is_valid()

    def feed(self, data: bytes) -> bytes:
        """Takes what comes; gives what is not init's."""
        rest, self._held = self._held + data, b""
        shown = bytearray()
        while rest:
            at = self._find(rest)
            shown += rest[:at]
            rest = rest[at:]
            if not rest:
                break
            length = self._length(rest)
            if length is None:
                self._held = rest
                break
            if length == 0:  # no line of init's: one byte of it is the application's
                shown += rest[:1]
                rest = rest[1:]
                continue
            self._notes.append(rest[:length].rstrip(b"\r\n"))
            rest = rest[length:]
        return bytes(shown)

    def finish(self) -> bytes:
        """The console has ended: what is left to be shown."""
        ending = self._held if self.has_come else b""
        shown, self._held = b"" if ending else self._held, b""
        found = [*self._notes, ending.rstrip(b"\r\n")]
        self.lines = b"".join(line + b"\n" for line in found if line)
        return shown

    def _is_valid(self) -> bool:
        return parse_record(self._held.replace(b"\r", b"")).status is not None

    @staticmethod
    def _find(text: bytes) -> int:
        """Where a line of init's may begin; the length if nowhere."""
        at = text.find(_MARK)
        if at >= 0:
            return at
        for size in range(min(len(_MARK), len(text)), 0, -1):
            if text.endswith(_MARK[:size]):
                return len(text) - size
        return len(text)

    def _length(self, text: bytes) -> "int | None":
        """Of a note at the beginning; 0 if there is none of init's, None if it is not known yet."""
        if _ENDING.fullmatch(text) or _ENDING_SO_FAR.fullmatch(text):
            return None
        if any(word.startswith(text) for word in (*_WORDS, _NOTE)):
            return None
        if not text.startswith(_NOTE) or len(self._notes) >= _MOST_NOTES:
            return 0
        end = text.find(b"\n", 0, _LONGEST_NOTE)
        if end < 0:
            return None if len(text) < _LONGEST_NOTE else 0
        return end + 1
