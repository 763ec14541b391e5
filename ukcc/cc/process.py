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


def become(command: "Sequence[str]", environ: "Mapping[str, str]") -> "NoReturn":
    """Replaces this process by the command."""
    # Python starts with these ignored, and a child would inherit that.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.stdout.flush()
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
