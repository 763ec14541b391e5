"""Standard streams that are full, or that nobody reads any more: as a program of the system does.

What is done about closed ones is in ukcc/light/tool.py, as a compilation needs that too.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STDIN, STDOUT, STDERR = 0, 1, 2


class NotWritten(Exception):
    """Standard output took no more; the reader has gone, or `reason` says why.

    Not an OSError, which click would take for something of its own.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def make_honest() -> None:
    """Has Python's standard output raise NotWritten, and its standard error never complain.

    Whoever has put another stream in their place keeps it.
    """
    import io
    import sys

    class Output(io.FileIO):
        def write(self, data: "Any") -> int:
            try:
                return super().write(data)
            except BrokenPipeError:
                raise NotWritten("") from None
            except OSError as error:
                raise NotWritten(error.strerror or str(error)) from None

    class Errors(io.FileIO):
        def write(self, data: "Any") -> int:
            try:
                return super().write(data)
            except OSError:
                return len(memoryview(data).cast("B"))  # nobody to tell

    def stream(raw: io.FileIO, before: "Any", errors: str) -> "Any":
        encoding = before.encoding if before is not None else "utf-8"
        return io.TextIOWrapper(
            io.BufferedWriter(raw), encoding, errors, line_buffering=raw.isatty() or raw is err
        )

    err = Errors(STDERR, "w", closefd=False)
    if sys.stdin is None:
        sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(STDIN, closefd=False)))
    if sys.stdout is sys.__stdout__:
        handler = sys.stdout.errors if sys.stdout is not None else "surrogateescape"
        sys.stdout = stream(Output(STDOUT, "w", closefd=False), sys.stdout, handler or "strict")
    if sys.stderr is sys.__stderr__:
        sys.stderr = stream(err, sys.stderr, "backslashreplace")


def discard_output() -> None:
    """What is left in the buffers goes nowhere, so that the interpreter's end says nothing."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, STDOUT)
    os.close(null)
