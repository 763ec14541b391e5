"""The files a dynamic program needs beside itself: its interpreter and the libraries it loads.

Part of the link of a dynamic program, so: the standard library only.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH100, PTH113, PTH119, PTH120
import os

from ukcc.cc import child
from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.image.debug import without_debug
from ukcc.image.headers import PT_INTERP, open_headers
from ukcc.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# The path of glibc's loader is part of the x86-64 ABI (psABI, "Program Interpreter").
LOADER = "/lib64/ld-linux-x86-64.so.2"

# Where the sysroot's loader always looks (sysroot/glibc/configure.args: libdir).
_HOME = "/usr/lib"

# glibc opens it by itself, for pthread_cancel and backtrace.
_UNWINDER = "libgcc_s.so.1"

_NOT_FOUND = "not found"


class Library(Record):
    """A shared library: the name it is asked for by, and the file that answers to it."""

    soname: str
    path: str


class Closure(Record):
    """What must lie beside the program. All is empty for a static program.

    interpreter: its path in the image; loader: the file that answers to it; home: the directory in
    the image where the loader looks without being told.
    """

    interpreter: str
    loader: str
    home: str
    libraries: tuple[Library, ...]

    def entries(self) -> list[cpio.Entry]:
        """Archive members. Libraries lie where the loader always searches:

        one that was found by RPATH, by $ORIGIN or by ld.so.cache would not be found again.
        """
        if not self.interpreter:
            return []
        members = [cpio.regular(self.interpreter, without_debug(self.loader), 0o755)]
        for library in self.libraries:
            by_path = "/" in library.soname
            where = library.soname if by_path else f"{self.home}/{library.soname}"
            if where != self.interpreter:
                members.append(cpio.regular(where, without_debug(library.path), 0o755))
        return members


STATIC = Closure("", "", "", ())


def find_closure(
    program: str, sysroot: str, directories: Sequence[str], environ: Mapping[str, str]
) -> Closure:
    """The closure with the sysroot's own glibc, whose calls enter the kernel by the gate.

    The sysroot's loader finds the rest by the usual rules (ld.so(8)), after `directories` and the
    LD_LIBRARY_PATH of `environ`. A program for another loader (musl's) takes that one along.
    Raises UkccError if a library, or the loader, is not on this machine.
    """
    interpreter = interpreter_of(program)
    if not interpreter:
        return STATIC
    if os.path.basename(interpreter) != os.path.basename(LOADER):
        return _closure_of_host(program, interpreter, environ)
    loader = f"{sysroot}{_HOME}/{os.path.basename(LOADER)}"
    path = [f"{sysroot}{_HOME}", *directories]
    if environ.get("LD_LIBRARY_PATH"):
        path.append(environ["LD_LIBRARY_PATH"])
    words = ["--library-path", ":".join(path), "--preload", _UNWINDER]
    libraries = _ask([loader, *words], program)
    return Closure(interpreter, loader, _HOME, libraries)


def _closure_of_host(program: str, interpreter: str, environ: Mapping[str, str]) -> Closure:
    """The closure as it is found on this machine."""
    if not os.path.isfile(interpreter):
        raise UkccError(
            f"{program}: its dynamic loader {interpreter} is not on this machine",
            "link it statically, or pack it where it was built",
        )
    given = environ.get("LD_LIBRARY_PATH")
    libraries = _ask([interpreter, *(["--library-path", given] if given else [])], program)
    homes = [os.path.dirname(e.path) for e in libraries if e.soname.startswith("libc.")]
    home = homes[0] if homes else os.path.dirname(interpreter)
    return Closure(interpreter, interpreter, home, libraries)


def interpreter_of(program: str) -> str:
    """PT_INTERP's path, or "" for a static program."""
    fd, headers = open_headers(program)
    try:
        for phdr in headers.phdrs:
            if phdr.type == PT_INTERP:
                return os.fsdecode(os.pread(fd, phdr.filesz, phdr.offset).rstrip(b"\0"))
    finally:
        os.close(fd)
    return ""


def _ask(loader: Sequence[str], program: str) -> tuple[Library, ...]:
    """Has the loader load the libraries, and say which; nothing of them runs."""
    status, out, err = child.capture([*loader, "--list", os.path.abspath(program)], {})
    answer = os.fsdecode(out)
    if status and _NOT_FOUND not in answer:
        said = os.fsdecode(err or out).strip().splitlines()
        reason = said[-1].partition("error while loading shared libraries: ")[2] or said[-1]
        raise UkccError(f"{program}: its libraries cannot be found: {reason}")
    return parse_list(answer, program)


def parse_list(answer: str, program: str) -> tuple[Library, ...]:
    """The loader's `--list`, parsed. Raises UkccError for a library that was not found."""
    found = []
    # `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)`, as glibc and musl say it.
    for line in answer.splitlines():
        name, arrow, rest = line.strip().partition(" => ")
        if not arrow:
            continue
        if rest == _NOT_FOUND:
            raise UkccError(
                f"{program}: needs {name}, which is not found",
                "name its directory in LD_LIBRARY_PATH",
            )
        path = rest.partition(" (0x")[0]
        if path.startswith("/"):
            found.append(Library(name, path))
    return tuple(found)
