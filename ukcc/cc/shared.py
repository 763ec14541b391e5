"""Shared libraries as inputs of a program's link: the archive of the same build takes their place.

libtool, and builds that make both kinds, link their programs with `.libs/libfoo.so` where
`.libs/libfoo.a` lies beside it. A static link wants the latter, and what it needs in turn, which a
shared library knew by itself: libtool writes that into `libfoo.la`.
"""

import os

from ukcc.light.sonames import SUFFIX


def has_libc(directory: str) -> bool:
    """Whether a C library lies there that a link could take for the sysroot's."""
    names = ("libc.a", "libc.so")
    return any(os.path.isfile(f"{directory}/{name}") for name in names)  # noqa: PTH113


def has_linker(prefix: str) -> bool:
    """Whether GCC would take its linker from there: the value of -B is a prefix of names."""
    return any(os.access(f"{prefix}{name}", os.X_OK) for name in ("ld", "/ld"))


def is_read_once(path: str) -> bool:
    """Whether something is there that is no plain file: a pipe is empty the second time."""
    return os.path.exists(path) and not os.path.isfile(path)  # noqa: PTH110, PTH113


def stand_in(path: str) -> "tuple[str, ...]":
    """The linker's words for the archive of the shared library `path`; () if it has none."""
    directory, slash, name = path.rpartition("/")
    archive = f"{directory}{slash}{name.partition(SUFFIX)[0]}.a"
    if not os.path.isfile(archive):  # noqa: PTH113
        return ()
    return (archive, *_needed_by(_libtool_file(archive), {archive}))


def _libtool_file(archive: str) -> str:
    """Where libtool describes the archive: beside it, or above the directory of what it built."""
    directory, slash, name = archive.rpartition("/")
    if directory == ".libs":
        directory, slash = "", ""
    elif directory.endswith("/.libs"):
        directory = directory[: -len("/.libs")]
    return f"{directory}{slash}{name[:-2]}.la"


def _needed_by(libtool_file: str, seen: "set[str]") -> "list[str]":
    """What `dependency_libs` names, other libtool files followed, each once."""
    words = []
    for word in _field(libtool_file, "dependency_libs").split():
        if not word.endswith(".la"):
            words.append(word)
            continue
        archive = _archive_of(word)
        if archive and archive not in seen:
            seen.add(archive)
            words += [archive, *_needed_by(word, seen)]
    return words


def _archive_of(libtool_file: str) -> str:
    """The archive that a libtool file describes: in `.libs` before its installation; or ""."""
    name = _field(libtool_file, "old_library")
    directory = libtool_file.rpartition("/")[0] or "."
    for candidate in (f"{directory}/.libs/{name}", f"{directory}/{name}"):
        if name and os.path.isfile(candidate):  # noqa: PTH113
            return candidate
    return ""


def _field(libtool_file: str, name: str) -> str:
    """A line `name='value'` of a libtool file, which is a piece of shell; "" without one."""
    try:
        with open(libtool_file, encoding="utf-8", errors="surrogateescape") as file:  # noqa: PTH123
            for line in file:
                if line.startswith(f"{name}='"):
                    return line[len(name) + 2 :].rstrip().rstrip("'")
    except OSError:
        pass
    return ""
