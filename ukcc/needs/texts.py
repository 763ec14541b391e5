"""Paths in /proc, /sys and /dev that are written in a file."""

import re

_PATHS = re.compile(
    rb"(?<![A-Za-z0-9_./~-])/(?:proc|sys|dev)(?![A-Za-z0-9_-])(?:/[\x21\x23-\x26\x28-\x7e]*)?"
)
_LONGEST = 255
_MOST = 4096


def paths_in(data: bytes) -> "frozenset[str]":
    """The paths, as they are written: with `%s` where a program puts something in."""
    found: set[str] = set()
    for match in _PATHS.finditer(data):
        text = match.group().decode("ascii").rstrip("/,.;:)]>")
        if len(text) <= _LONGEST and text:
            found.add(text)
        if len(found) >= _MOST:
            break
    return frozenset(found)
