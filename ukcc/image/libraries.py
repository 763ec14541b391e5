"""What lies beside a dynamic program, for each of the two loaders that are known, and where.

Loaded only for a dynamic program: see `closure`, whose records these are.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH100, PTH119, PTH120
import os

from ukcc.errors import SysrootMissing
from ukcc.image.closure import LOADER, Closure
from ukcc.image.search import Glibc, Loaded, Missing, Musl, expand_in_image, load
from ukcc.image.shared_object import SharedObject, open_shared
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from ukcc.image.loader_tags import LoaderTags

# Where each always looks: the sysroot's glibc (sysroot/glibc/configure.args: libdir), and musl.
_HOME = "/usr/lib"
_MUSL_HOME = "/lib"

# glibc opens it by itself, for pthread_cancel and backtrace.
_UNWINDER = "libgcc_s.so.1"

# The program's directory in the image.
_PROGRAMS = "/app"

# Ours, without which no program would start.
_TAKEN = (".uk", "init")


class Library(Record):
    """A shared library: the name it is asked for by, the file that answers to it, that file's bytes
    without debug information, and its paths in the image, all but the first as links."""

    soname: str
    path: str
    data: bytes
    places: tuple[str, ...]


def glibc_closure(
    program: str,
    dynamic: LoaderTags,
    interpreter: str,
    sysroot: str,
    directories: Sequence[str],
    library_path: str,
    linked: Sequence[str] = (),
    missing: list[Missing] | None = None,
) -> Closure:
    """With the sysroot's glibc. Raises UkccError.

    linked: files that a linker opened, which count before `directories`, and these before
    library_path. missing: see `search.load`.
    """
    _check_place(interpreter, f"{program}: its dynamic loader")
    home = os.path.abspath(f"{sysroot}{_HOME}")
    path = f"{home}/{os.path.basename(LOADER)}"
    loader = open_shared(path)
    if loader is None:
        raise SysrootMissing(f"{path}: no such file", "build the sysroot with: ukcc sysroot build")
    started = Loaded(program, _with_unwinder(dynamic), _origin(program))
    rules = Glibc(home, directories, library_path, linked=linked)
    found = load(started, rules, _loaded(interpreter, loader), missing)
    return _closure(interpreter, loader, found, _HOME, missing)


def musl_closure(
    program: str,
    dynamic: LoaderTags,
    interpreter: str,
    library_path: str,
    missing: list[Missing] | None = None,
) -> Closure:
    """With this machine's musl, whose loader is its C library. Raises UkccError."""
    _check_place(interpreter, f"{program}: its dynamic loader")
    loader = open_shared(interpreter)
    if loader is None:
        raise Missing(
            f"{program}: its dynamic loader {interpreter} is not on this machine",
            "link it statically, or pack it where it was built",
        )
    started = Loaded(program, dynamic, _origin(program))
    rules = Musl(interpreter, library_path)
    found = load(started, rules, _loaded(interpreter, loader), missing)
    return _closure(interpreter, loader, found, _MUSL_HOME, missing)


def _origin(program: str) -> str:
    """The directory that Linux tells the loader, symbolic links resolved."""
    return os.path.dirname(os.path.realpath(program))


def _loaded(interpreter: str, loader: SharedObject) -> Loaded:
    """The loader among what is loaded: it answers to its name and path, and needs nothing."""
    return Loaded(os.path.basename(interpreter), loader.dynamic, _HOME, None, loader)


def _with_unwinder(dynamic: LoaderTags) -> LoaderTags:
    """As if the program needed the unwinder first; where it does not, it need not be there."""
    unasked = () if _UNWINDER in dynamic.needed else (_UNWINDER,)
    return dynamic._replace(
        needed=(_UNWINDER, *dynamic.needed), optional=(*unasked, *dynamic.optional)
    )


def _closure(
    interpreter: str,
    loader: SharedObject,
    found: Sequence[Loaded],
    home: str,
    missing: list[Missing] | None,
) -> Closure:
    origins: dict[int, str] = {}  # in the image, of what is placed already

    def place(name: str, by: Loaded | None) -> str:
        wanted = expand_in_image(name, origins.get(id(by), _PROGRAMS))
        path = os.path.normpath(f"/{wanted}" if "/" in wanted else f"{home}/{wanted}")
        path = f"/{path.lstrip('/')}"
        _check_place(path, f"{by.path if by else name}: the library {name}")
        return path

    libraries = []
    for loaded in found:
        file = loaded.file
        if file is None:
            continue
        try:
            first = place(loaded.name, loaded.needed_by)
            others = [place(name, by) for name, by in loaded.aliases]
        except Missing as error:
            if missing is None:
                raise
            missing.append(error)
            continue
        origins[id(loaded)] = os.path.dirname(first)
        places = tuple(dict.fromkeys((first, *others)))
        libraries.append(Library(loaded.name, file.path, file.data, places))
    return Closure(interpreter, loader.data, tuple(libraries), tuple(missing or ()))


def _check_place(path: str, what: str) -> None:
    """Raises Missing for a path that a file of the image cannot have."""
    parts = path.split("/")
    if not path.startswith("/") or not all(parts[1:]) or {".", ".."} & set(parts):
        raise Missing(f"{what} is '{path}', not an absolute path in its short form")
    if parts[1] in _TAKEN:
        raise Missing(f"{what} is '{path}', a place that the image needs for itself")
