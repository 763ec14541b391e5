"""What can go wrong, said in one line: what, where, and how to mend it.

Imports nothing at first, so that the compile path may use it.
"""


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
        """`program: error: message; hint`, as a compiler would say it.

        One line, safe for a terminal, whatever names are in it.
        """
        return _line(f"{program}: error: {self.message}", self.hint)

    def warning(self, program: str, before: str = "") -> str:
        """The same of what is no error here; `before` comes before the message."""
        return _line(f"{program}: warning: {before}{self.message}", self.hint)


def _line(text: str, hint: str) -> str:
    line = f"{text}; {hint}" if hint else text
    if line.isprintable():
        return line
    from ukcc.terminal import shown  # hardly ever needed

    return shown(line)


class ToolFailed(UkccError):
    """A program that we ran failed; the message names it and the log that has its output."""


class SysrootMissing(UkccError):
    """There is no sysroot to link against."""

    def __init__(
        self,
        message: str = "no sysroot has been built",
        hint: str = "run: ukcc sysroot build",
    ) -> None:
        super().__init__(message, hint)


class NotAnImage(UkccError):
    """The file given is no two-lived image."""


class MachineError(UkccError):
    """The virtual machine could not start, or ended without an exit record.

    125, as docker and timeout(1) use for their own failures, so that it is told apart
    from what the application returned as far as a byte allows.
    """

    status = 125
