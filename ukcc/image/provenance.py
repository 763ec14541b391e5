"""What an image says of its own making: the command and the libraries, the same in any directory.

The same inputs have to give the same bytes wherever a build lies, so nothing recorded names the
place: paths below the working directory become relative ones, those of the sysroot begin with
`<sysroot>`, those of the system stay, and of other absolute paths the last part is kept.
"""

from __future__ import annotations

import os

from ukcc import paths
from ukcc.light.sonames import is_shared

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


def opened_files(listing: bytes) -> list[str]:
    """What a link opened, but for object files: each once, in that order.

    listing: what `ld --dependency-file` wrote, a rule of make: BFD and gold write a path a line,
    indented by two spaces, as it is; lld the same by one, and quoted; mold all on the first line.
    """
    first, *lines = os.fsdecode(listing).partition("\n\n")[0].split(" \\\n")
    if not lines:
        paths = first.partition(": ")[2].split()
    elif lines[0].startswith("  "):
        paths = [line[2:] for line in lines]
    else:
        quoted = (("\\ ", " "), ("\\#", "#"), ("$$", "$"))
        paths = [line.strip() for line in lines]
        for quote, plain in quoted:
            paths = [path.replace(quote, plain) for path in paths]
    paths = [path.rstrip("\n") for path in paths]
    return list(dict.fromkeys(path for path in paths if not path.endswith(".o")))


def used_libraries(opened: Iterable[str]) -> list[str]:
    """The archives and shared libraries among the files that a link opened, in the same order."""
    found = (path for path in opened if path.endswith(".a") or is_shared(path))
    return list(dict.fromkeys(map(os.path.normpath, found)))


def own_files(opened: Iterable[str], sysroot: str) -> list[str]:
    """The shared libraries of a link that are neither the system's nor the sysroot's, absolute."""
    shared = (paths.absolute(path) for path in opened if is_shared(path))
    return [path for path in shared if not path.startswith((*_SYSTEM, f"{sysroot}/"))]


def own_directories(opened: Iterable[str], sysroot: str) -> list[str]:
    """Where those libraries lie."""
    return list(dict.fromkeys(map(os.path.dirname, own_files(opened, sysroot))))


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
