"""What an image says of its own making: the command and the libraries, the same in any directory.

The same inputs have to give the same bytes wherever a build lies, so nothing recorded names the
place: paths below the working directory become relative ones, those of the sysroot begin with
`<sysroot>`, those of the system stay, and of other absolute paths the last part is kept.
"""

from __future__ import annotations

# Importing pathlib would cost every link 5 ms:
# ruff: noqa: PTH120
import os

from ukcc import paths
from ukcc.cc.shared import is_shared

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SYSTEM = ("/usr/", "/lib/", "/lib64/", "/opt/", "/bin/", "/etc/")
SYSROOT = "<sysroot>"

# Options whose value is a path joined to them, as far as the path's first character.
_JOINED = ("-L/", "-I/", "-B/", "-T/", "-o/", "-isystem/", "-iquote/", "-idirafter/", "@/")

# What may stand before a path inside of a word: `-Wl,-rpath,/a:/b`, `-DPLACE="/c"`.
_MARKS = (",/", "=/", ":/", '"/', "'/")

# They name the place of a build to keep it out of its results (reproducible-builds.org).
_PREFIX_MAPS = ("-ffile-prefix-map=", "-fdebug-prefix-map=", "-fmacro-prefix-map=")


def used_libraries(listing: bytes) -> list[str]:
    """The archives and shared libraries of a link, each once, in the order they were opened.

    listing: what `ld --dependency-file` wrote: the output's name and a colon, then a path a line,
    indented, all but the last one with a backslash behind it.
    """
    found: dict[str, None] = {}
    for line in os.fsdecode(listing).split("\n"):
        if not line.startswith("  "):
            continue
        path = line[2:].removesuffix(" \\")
        if path.endswith(".a") or is_shared(path):
            found[os.path.normpath(path)] = None
    return list(found)


def own_directories(used: Iterable[str], sysroot: str) -> list[str]:
    """Where the shared libraries of a link lie that are neither the system's nor the sysroot's."""
    found: dict[str, None] = {}
    for path in used:
        absolute = paths.absolute(path)
        if is_shared(path) and not absolute.startswith((*_SYSTEM, f"{sysroot}/")):
            found[os.path.dirname(absolute)] = None
    return list(found)


def here() -> tuple[str, ...]:
    """The working directory, by its real name, and by the one that the shell has for it."""
    real = paths.working_directory()
    logical = os.environ.get("PWD", real)
    return (real, logical) if logical != real and paths.real(logical) == real else (real,)


def recorded_command(words: Sequence[str], directories: Sequence[str]) -> list[str]:
    """The user's words; those that only say where the build lies are left out.

    directories: the build's, by all the names that it has.
    """
    return [
        _recorded_word(word, directories) for word in words if not word.startswith(_PREFIX_MAPS)
    ]


def recorded_paths(paths: Iterable[str], directories: Sequence[str], sysroot: str) -> list[str]:
    """Paths of libraries, as they may be recorded."""
    return [
        SYSROOT + path[len(sysroot) :]
        if path.startswith(f"{sysroot}/")
        else recorded_path(path, directories)
        for path in paths
    ]


def recorded_path(path: str, directories: Sequence[str]) -> str:
    """A path of the build in `directories`, as it may be recorded."""
    for directory in directories:
        if path == directory:
            return "."
        if path.startswith(f"{directory}/"):
            return path[len(directory) + 1 :] or "."
    if not path.startswith("/") or path.startswith((*_SYSTEM, "//")):
        return path
    return f".../{os.path.basename(path)}"  # noqa: PTH119


def _recorded_word(word: str, directories: Sequence[str]) -> str:
    if "/" not in word:
        return word
    if word.startswith(_JOINED):
        at = word.index("/")
        return word[:at] + _recorded_parts(word[at:], directories)
    return _recorded_parts(word, directories)


def _recorded_parts(text: str, directories: Sequence[str]) -> str:
    for mark in _MARKS:
        if mark in text:
            separator = mark[0]
            parts = text.split(separator)
            return separator.join(_recorded_parts(part, directories) for part in parts)
    return recorded_path(text, directories)
