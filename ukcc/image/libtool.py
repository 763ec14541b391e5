"""libtool's wrapper scripts, which stand where a program is expected until it is installed."""

from pathlib import Path

# The words that libtool writes into the third line, from its first releases on.
_WORDS = b" - temporary wrapper script for "


def wrapper_mend(path: Path) -> str:
    """Where the program is, if `path` is libtool's wrapper script of one; else ""."""
    try:
        if not path.is_file():  # a pipe would not open until somebody writes
            return ""
        with path.open("rb") as stream:
            start = stream.read(1024)
    except OSError:
        return ""
    for line in start.splitlines():
        if start.startswith(b"#!") and line.startswith(b"# ") and _WORDS in line:
            program = path.parent / line.partition(_WORDS)[2].decode(errors="replace")
            return f"it is libtool's wrapper script, the program is {program}"
    return ""
