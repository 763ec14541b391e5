"""What can go wrong, said in one line: what, where, and how to mend it.

Imports nothing, so that the compile path may use it.
"""


def printable(text: str) -> str:
    """The text with its control characters as `\\xNN`, so that it is one line and moves no cursor.

    A file's name, or what a stranger's image says, may have any. Bytes that are not UTF-8 (lone
    surrogates) stay for the stream to write.
    """
    if text.isprintable():
        return text
    return "".join(
        f"\\x{ord(c):02x}" if ord(c) < 0x20 or 0x7F <= ord(c) < 0xA0 else c for c in text
    )


class UkccError(Exception):
    """The user's problem, not ours: printed as one line, never as a traceback.

    message: what and where; hint: how to mend it (may be empty); status: the exit status.
    """

    status = 1

    def __init__(self, message: str, hint: str = "", status: "int | None" = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if status is not None:
            self.status = status

    def line(self, program: str) -> str:
        """`program: error: message; hint`, as a compiler would say it."""
        tail = f"; {self.hint}" if self.hint else ""
        return printable(f"{program}: error: {self.message}{tail}")


class ToolFailed(UkccError):
    """A program that we ran failed; the message names it and the log that has its output."""


class SysrootMissing(UkccError):
    """There is no sysroot to link against."""


class NotAnImage(UkccError):
    """The file given is no two-lived image."""


class MachineError(UkccError):
    """The virtual machine could not start, or ended without an exit record.

    125, as docker and timeout(1) use for their own failures, so that it is told apart
    from what the application returned as far as a byte allows.
    """

    status = 125
