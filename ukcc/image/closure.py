"""The files a dynamic program needs beside itself: its interpreter and the libraries it loads.

They are found as the program's loader would find them, and read; nothing of them is run. Part of
the link of a dynamic program, so: the standard library only.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH119, PTH120
import os

from ukcc.errors import SysrootMissing, UkccError
from ukcc.image import cpio
from ukcc.image.dynamic import Dynamic, read_dynamic, read_interpreter
from ukcc.image.headers import open_headers, reader
from ukcc.image.search import Glibc, Loaded, Musl, expand_in_image, load
from ukcc.image.shared_object import SharedObject, open_shared
from ukcc.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ukcc.image.headers import Headers

# The path of glibc's loader is part of the x86-64 ABI (psABI, "Program Interpreter").
LOADER = "/lib64/ld-linux-x86-64.so.2"
_MUSL_LOADER = "ld-musl-x86_64.so.1"

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


class Closure(Record):
    """What must lie beside the program. All is empty for a static program.

    interpreter: its path in the image; loader: that file's bytes; libraries lie where the loader
    always searches: one that was found by a run path or by ld.so.cache would not be found again.
    """

    interpreter: str
    loader: bytes
    libraries: tuple[Library, ...]

    def entries(self) -> list[cpio.Entry]:
        """Archive members."""
        if not self.interpreter:
            return []
        members = [cpio.regular(self.interpreter, self.loader, 0o755)]
        taken = {self.interpreter}
        for library in self.libraries:
            first, *others = library.places
            if first not in taken:
                members.append(cpio.regular(first, library.data, 0o755))
            for other in others:
                if other not in taken:
                    members.append(cpio.symlink(other, first))
            taken.update(library.places)
        return members


STATIC = Closure("", b"", ())


def find_closure(
    program: str,
    sysroot: str,
    directories: Sequence[str],
    environ: Mapping[str, str],
    opened: int = -1,
) -> Closure:
    """What the program needs, of glibc the sysroot's, whose calls enter the kernel by the gate.

    The rest is searched by the loader's own rules (ld.so(8)): `directories` and LD_LIBRARY_PATH of
    `environ` come before what lies in run paths and in the system's directories. A program for musl
    takes musl along. opened: a descriptor of the program, which `program` then only names. Raises
    UkccError if a library, or the loader, is not on this machine.
    """
    dynamic, interpreter = _asked(program, opened)
    if not interpreter:
        return STATIC
    _check_place(interpreter, f"{program}: its dynamic loader")
    library_path = environ.get("LD_LIBRARY_PATH", "")
    origin = os.path.dirname(os.path.realpath(program))
    if os.path.basename(interpreter) == _MUSL_LOADER:
        loader = _loader(interpreter, program, "link it statically, or pack it where it was built")
        musl = Musl(interpreter, library_path)
        found = load(Loaded(program, dynamic, origin), musl, _loaded(interpreter, loader))
        return _closure(interpreter, loader, found, _MUSL_HOME)
    if os.path.basename(interpreter) != os.path.basename(LOADER):
        raise UkccError(
            f"{program}: its dynamic loader is {interpreter}; only glibc's and musl's are known",
            "link it statically",
        )
    home = os.path.abspath(f"{sysroot}{_HOME}")  # noqa: PTH100
    loader = _loader(f"{home}/{os.path.basename(LOADER)}", "", "")
    glibc = Glibc(home, directories, library_path)
    started = Loaded(program, _with_unwinder(dynamic), origin)
    found = load(started, glibc, _loaded(interpreter, loader))
    return _closure(interpreter, loader, found, _HOME)


def interpreter_of(program: str) -> str:
    """PT_INTERP's path, or "" for a static program."""
    return _asked(program)[1]


def check_complete(headers: Headers, fd: int, program: str, members: Iterable[cpio.Entry]) -> None:
    """Raises UkccError for a dynamic program whose loader or libraries are not among the members.

    It would boot, and fail before its first instruction.
    """
    read = reader(fd)
    interpreter = read_interpreter(read, headers, program)
    if not interpreter:
        return
    paths = {f"/{member.path}" for member in members}
    names = {os.path.basename(path) for path in paths}
    dynamic = read_dynamic(read, headers, program)
    lacking = [name for name in dynamic.needed if os.path.basename(name) not in names]
    lacking = [name for name in lacking if name not in dynamic.optional]
    if interpreter not in paths:
        lacking.insert(0, interpreter)
    # musl's loader is its libc, under all its names
    own = Musl(interpreter).is_own if os.path.basename(interpreter) == _MUSL_LOADER else None
    for name in lacking:
        if own is None or not own(name):
            raise UkccError(f"{program}: a dynamic program, and {name} is not in the image")


def _asked(program: str, opened: int = -1) -> tuple[Dynamic, str]:
    """The program's dynamic section, and PT_INTERP's path, empty for a static program."""
    fd, headers = open_headers(program, opened)
    try:
        read = reader(fd)
        interpreter = read_interpreter(read, headers, program)
        return (read_dynamic(read, headers, program) if interpreter else Dynamic()), interpreter
    finally:
        if fd != opened:
            os.close(fd)


def _loader(path: str, program: str, hint: str) -> SharedObject:
    """The loader's file. program: whose it is, if it is not the sysroot's."""
    found = open_shared(path)
    if found is not None:
        return found
    if program:
        raise UkccError(f"{program}: its dynamic loader {path} is not on this machine", hint)
    raise SysrootMissing(f"{path}: no such file", "build the sysroot with: ukcc sysroot build")


def _loaded(interpreter: str, loader: SharedObject) -> Loaded:
    """The loader among what is loaded: it answers to its name and path, and needs nothing."""
    return Loaded(os.path.basename(interpreter), loader.dynamic, _HOME, None, loader)


def _with_unwinder(dynamic: Dynamic) -> Dynamic:
    """As if the program needed the unwinder first; where it does not, it need not be there."""
    unasked = () if _UNWINDER in dynamic.needed else (_UNWINDER,)
    return dynamic._replace(
        needed=(_UNWINDER, *dynamic.needed), optional=(*unasked, *dynamic.optional)
    )


def _closure(interpreter: str, loader: SharedObject, found: Sequence[Loaded], home: str) -> Closure:
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
        first = place(loaded.name, loaded.needed_by)
        origins[id(loaded)] = os.path.dirname(first)
        others = [place(name, by) for name, by in loaded.aliases]
        places = tuple(dict.fromkeys((first, *others)))
        libraries.append(Library(loaded.name, file.path, file.data, places))
    return Closure(interpreter, loader.data, tuple(libraries))


def _check_place(path: str, what: str) -> None:
    """Raises UkccError for a path that a file of the image cannot have."""
    parts = path.split("/")
    if not path.startswith("/") or not all(parts[1:]) or {".", ".."} & set(parts):
        raise UkccError(f"{what} is '{path}', not an absolute path in its short form")
    if parts[1] in _TAKEN:
        raise UkccError(f"{what} is '{path}', a place that the image needs for itself")
