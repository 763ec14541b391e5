"""`UKCC_LOG`: a file that gets what the wrapper did, so that stderr stays the compiler's."""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_SAFE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789@%+=:,./-_#")


def shell_line(words: "Iterable[str]") -> str:
    """The words as a line to paste into a shell."""
    return " ".join(
        word if word and _SAFE.issuperset(word) else "'" + word.replace("'", "'\\''") + "'"
        for word in words
    )


def record(environ: "Mapping[str, str]", event: str, words: "Iterable[str]") -> None:
    """Appends one line in one write, so that lines of a parallel build stay whole."""
    path = environ.get("UKCC_LOG")
    if not path:
        return
    line = f"{os.getpid()} {event}: {shell_line(words)}\n"
    try:
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError:
        return  # a log that cannot be written must not break a build
    try:
        os.write(file, os.fsencode(line))
    except OSError:
        pass
    finally:
        os.close(file)
