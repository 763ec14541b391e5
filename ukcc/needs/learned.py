"""What a traced run used: calls and paths of strace's lines, as `ukcc run --trace-output` has them.

A run shows what was used once, not that nothing else can be; so it is kept apart from the proof.
"""

import re
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.needs.texts import paths_in

_CALL = re.compile(rb"(?:\[pid +\d+\] |\d+ +)?(?:[\d:.]+ )?([a-z_][a-z0-9_]*)\(")
_LONGEST_LINE = (
    64 << 10
)  # bytes; what is longer is looked at in pieces, and only the first has a call
_MOST_PATHS = 4096


@dataclass(frozen=True)
class Learned:
    """Names, sorted: of system calls, and of paths in /proc, /sys and /dev."""

    calls: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()


NOTHING = Learned()


def read_trace(path: Path, known: Collection[str]) -> Learned:
    """The calls of a trace that are among the known ones, and its paths. Raises UkccError for a
    file that cannot be read, or in which there is no call."""
    try:
        with path.open("rb") as file:
            learned = parse_trace(_lines(iter(lambda: file.readline(_LONGEST_LINE), b"")), known)
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    if not learned.calls:
        raise UkccError(
            f"{path}: no system call in it",
            "--learn takes the file that `ukcc run --trace-output FILE` wrote",
        )
    return learned


def _lines(pieces: Iterable[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Each piece of a line, and whether the line begins there."""
    begins = True
    for piece in pieces:
        yield piece, begins
        begins = piece.endswith(b"\n")


def parse_trace(pieces: Iterable[tuple[bytes, bool]], known: Collection[str]) -> Learned:
    """From pieces of lines, each with whether a line begins there."""
    calls: set[str] = set()
    paths: set[str] = set()
    for piece, begins in pieces:
        match = _CALL.match(piece) if begins else None
        if match and (name := match[1].decode("ascii")) in known:
            calls.add(name)
        if len(paths) < _MOST_PATHS and (b"/proc" in piece or b"/sys" in piece or b"/dev" in piece):
            paths |= paths_in(piece)
    return Learned(tuple(sorted(calls)), tuple(sorted(paths)))
