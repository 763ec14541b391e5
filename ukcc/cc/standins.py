"""Archives in the place of the shared libraries that gcc takes: when that makes no difference.

A shared library is a world of its own: it has private names, it is loaded whole, its constructors
run, and it has the version that lies there. An archive gives the program single members under names
that all share. The outcome is the same if nothing of that matters, which is looked at here, without
a link. What cannot be known counts as a difference.
"""

import os

from ukcc.cc import needs
from ukcc.image import dynamic
from ukcc.image.ar import Contents, read_archive
from ukcc.image.dynamic import Dynamic
from ukcc.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

# In an archive's bytes, where they stand in its members' string tables: names of sections that run
# or gather things by being there, and the marks of such a section's ends.
_GATHERED = (
    *(b".init_array", b".fini_array", b".preinit_array", b".ctors", b".dtors"),
    *(b".init\0", b".fini\0", b"__start_", b"__stop_"),
)
_NOT_CODE_YET = b".gnu.lto_"

# DF_SYMBOLIC; DF_1_NOW and DF_1_PIE say nothing about the meaning.
_FLAG_SYMBOLIC = 2
_HARMLESS_FLAGS_1 = 0x08000001

# What crti.o and crtn.o make of _init and _fini, with or without endbr64.
_EMPTY_INIT, _EMPTY_FINI = 0x1B, 0x0D
_POINTER = 8  # frame_dummy, or its counterpart at the end

# The linker and the start files define these in every library.
_OF_THE_LINKER = frozenset((b"_init", b"_fini", b"_edata", b"_end", b"__bss_start"))


class StandIn(Record):
    """A shared library, as the linker found it, and the archive that lies beside it."""

    soname: bytes
    library: str
    archive: str
    dynamic: Dynamic
    contents: Contents


class Difference(Exception):
    """Why an archive cannot stand in for a shared library."""


def find(program: Dynamic, used: "Iterable[str]") -> "tuple[StandIn, ...]":
    """The archive of each foreign library of the program. Raises Difference.

    used: the paths of the libraries that the link opened.
    """
    wanted = dict.fromkeys(needs.foreign_libraries(program), "")
    parts: dict[bytes, Dynamic] = {}
    for path in used:
        if path.endswith(".a"):
            continue
        part = _dynamic_part(path)
        # A library without a soname is asked for by the path that the linker was given.
        soname = part.soname or os.fsencode(path) if part else b""
        if part and soname not in wanted:
            soname = soname.rpartition(b"/")[2]
        if part and soname in wanted:
            wanted[soname], parts[soname] = path, part
    return tuple(_stand_in(name, path, parts.get(name)) for name, path in wanted.items())


def check(
    stand_ins: "Iterable[StandIn]",
    others: "Iterable[tuple[str, Collection[bytes]]]",
) -> None:
    """Raises Difference if one of the archives would not do the same as its library.

    others: everything else that defines names in the link, each with what to call it.
    """
    sonames = {entry.soname for entry in stand_ins} | needs.OURS
    seen: list[tuple[str, Collection[bytes]]] = list(others)
    for entry in stand_ins:
        _check_library(entry, sonames)
        _check_archive(entry)
        for what, names in seen:
            both = sorted(entry.contents.names.intersection(names))
            if both:
                raise Difference(f"{entry.archive} and {what} both define {_text(both[0])}")
        seen.append((entry.archive, entry.contents.names))


def weak_names(program: Dynamic, stand_ins: "Iterable[StandIn]") -> "frozenset[bytes]":
    """Weak references of program and libraries that some shared library fills."""
    everyone = [program, *(entry.dynamic for entry in stand_ins)]
    exported = frozenset().union(*(entry.dynamic.own for entry in stand_ins))
    return frozenset().union(*(part.bound | (part.weak & exported) for part in everyone))


def _stand_in(soname: bytes, path: str, part: "Dynamic | None") -> StandIn:
    if not part:
        raise Difference(f"it uses {_text(soname)}")
    directory, slash, name = path.rpartition("/")
    archive = f"{directory}{slash}{name.partition('.so')[0]}.a"
    try:
        age = os.stat(archive).st_mtime_ns - os.stat(path).st_mtime_ns  # noqa: PTH116
    except OSError:
        raise Difference(f"it uses {_text(soname)}, which has no archive beside it") from None
    if age < 0:
        raise Difference(f"it uses {_text(soname)}, and {archive} is older")
    contents = read_archive(archive)
    if contents is None:
        raise Difference(f"it uses {_text(soname)}, and {archive} has no index")
    return StandIn(soname, path, archive, part, contents)


def _check_library(entry: StandIn, sonames: "Collection[bytes]") -> None:
    part, name = entry.dynamic, _text(entry.soname)
    tags = part.tags
    missing = sorted((part.own - _OF_THE_LINKER) - entry.contents.names)
    if missing:
        raise Difference(f"{entry.archive} lacks {_text(missing[0])}, which {name} has")
    if dynamic.DT_VERDEF in tags:
        raise Difference(f"{name} has versions")
    if dynamic.DT_SYMBOLIC in tags or tags.get(dynamic.DT_FLAGS, 0) & _FLAG_SYMBOLIC:
        raise Difference(f"{name} was linked with -Bsymbolic")
    if tags.get(dynamic.DT_FLAGS_1, 0) & ~_HARMLESS_FLAGS_1:
        raise Difference(f"{name} has a word for the loader")
    if dynamic.DT_AUXILIARY in tags or dynamic.DT_FILTER in tags:
        raise Difference(f"{name} is a filter")
    if any(needed not in sonames for needed in part.needed):
        raise Difference(f"{name} needs libraries of its own")
    arrays = (dynamic.DT_INIT_ARRAYSZ, dynamic.DT_FINI_ARRAYSZ, dynamic.DT_PREINIT_ARRAYSZ)
    if any(tags.get(tag, 0) > _POINTER for tag in arrays) or not _has_plain_init(part):
        raise Difference(f"{name} has constructors")


def _has_plain_init(part: Dynamic) -> bool:
    """Whether _init and _fini are the start files' own, and empty."""
    for tag, name, size in (
        (dynamic.DT_INIT, b".init", _EMPTY_INIT),
        (dynamic.DT_FINI, b".fini", _EMPTY_FINI),
    ):
        place = part.sections.get(name)
        if tag in part.tags and (not place or place[0] != part.tags[tag] or place[1] > size):
            return False
    return True


def _check_archive(entry: StandIn) -> None:
    data = entry.contents.data
    if _NOT_CODE_YET in data:
        raise Difference(f"{entry.archive} is for link-time optimisation")
    for mark in _GATHERED:
        if mark in data:
            text = _text(mark.rstrip(b"\0"))
            raise Difference(f"{entry.archive} has members with {text}, which count by being there")
    for call in needs.LOADER_CALLS:
        if call + b"\0" in data:
            raise Difference(f"{entry.archive} refers to {_text(call)}")


def _dynamic_part(path: str) -> "Dynamic | None":
    from ukcc.errors import UkccError

    try:
        return dynamic.read_dynamic(path)
    except UkccError:
        return None  # a linker script


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
