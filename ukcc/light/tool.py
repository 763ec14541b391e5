"""Becoming or running another program, as if Python had not been there."""

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
    from typing import NoReturn
else:
    import _signal as signal  # what is behind `signal`, which would import `enum`


def behave_as_a_tool() -> None:
    """Undoes what the interpreter does that a compiler would not, and holds closed streams.

    SIGINT ends us without a traceback, unless our caller ignores it; and PYTHONPATH, which a build
    of Python sets for its own modules, does not choose ours.
    """
    hold_streams(inheritable=False)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    foreign = os.environ.get("PYTHONPATH", "")
    if foreign:
        outside = {os.path.abspath(entry) for entry in foreign.split(os.pathsep)}  # noqa: PTH100
        sys.path[:] = [entry for entry in sys.path if entry not in outside]


def hold_streams(inheritable: bool) -> None:
    """Opens /dev/null in place of the streams that were closed, lest a file of ours be one of them.

    inheritable: whether our children have it as well; else theirs are closed, as ours were.
    """
    for stream in range(3):
        try:
            os.fstat(stream)
        except OSError:
            try:
                os.open(os.devnull, os.O_RDWR)  # the lowest number that is free
                os.set_inheritable(stream, inheritable)
            except OSError:
                return  # no /dev here


def complain(line: str) -> None:
    """Writes a line to standard error, if it is open; names keep their bytes."""
    if sys.stderr is None:
        return
    try:
        os.write(2, os.fsencode(line + "\n"))
    except OSError:
        return  # nobody to tell


def become(command: "Sequence[str]", environ: "Mapping[str, str]") -> "NoReturn":
    """Replaces this process by the command."""
    # Python starts with these ignored, and a child would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    os.execve(command[0], list(command), original_environment(environ))


def original_environment(environ: "Mapping[str, str]") -> "dict[str, str]":
    """The environment as it came, without the LC_CTYPE that Python sets for itself in the C locale.

    With it a compiler would quote in Unicode where its user asked for none (PEP 538).
    """
    result = dict(environ)
    if result.get("LC_CTYPE") in ("C.UTF-8", "C.utf8", "UTF-8") and not _came_with(b"LC_CTYPE="):
        del result["LC_CTYPE"]
    return result


def _came_with(prefix: bytes) -> bool:
    try:
        with open("/proc/self/environ", "rb") as file:  # noqa: PTH123
            return any(entry.startswith(prefix) for entry in file.read().split(b"\0"))
    except OSError:
        return True
