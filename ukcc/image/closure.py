"""The files a dynamic program needs beside itself: its interpreter and the libraries it loads.

They are found as the program's loader would find them, and read; nothing of them is run. Part of
the link of a dynamic program, so: the standard library only.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH119
import os

from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.image.headers import open_headers, parse_headers, reader
from ukcc.image.loader_tags import LoaderTags, read_interpreter, read_loader_tags
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ukcc.image.headers import Headers
    from ukcc.image.libraries import Library

# The path of glibc's loader is part of the x86-64 ABI (psABI, "Program Interpreter").
LOADER = "/lib64/ld-linux-x86-64.so.2"
_MUSL_LOADER = "ld-musl-x86_64.so.1"


class Closure(Record):
    """What must lie beside the program. All is empty for a static program.

    interpreter: its path in the image; loader: that file's bytes; libraries lie where the loader
    always searches: one that was found by a run path or by ld.so.cache would not be found again.
    missing: why one that the program needs is not among them.
    """

    interpreter: str
    loader: bytes
    libraries: tuple[Library, ...]
    missing: tuple[UkccError, ...] = ()

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
    *,
    linked: Sequence[str] = (),
    partial: bool = False,
) -> Closure:
    """What the program needs, of glibc the sysroot's, whose calls enter the kernel by the gate.

    The rest is searched by the loader's own rules (ld.so(8)): `linked`, files that the program's
    linker opened, then `directories` and LD_LIBRARY_PATH of `environ` come before what lies in run
    paths and in the system's directories. A program for musl takes musl along. opened: a descriptor
    of the program, which `program` then only names. Raises UkccError if a library, or the loader,
    is not on this machine; with `partial` the closure says so instead.
    """
    dynamic, interpreter = _asked(program, opened)
    if not interpreter:
        return STATIC
    # Only now: a static program has no use for all that.
    from ukcc.image.libraries import glibc_closure, musl_closure
    from ukcc.image.search import Missing

    library_path = environ.get("LD_LIBRARY_PATH", "")
    missing: list[Missing] | None = [] if partial else None
    name = os.path.basename(interpreter)
    try:
        if name == _MUSL_LOADER:
            return musl_closure(program, dynamic, interpreter, library_path, missing)
        if name == os.path.basename(LOADER):
            return glibc_closure(
                program, dynamic, interpreter, sysroot, directories, library_path, linked, missing
            )
        raise Missing(
            f"{program}: its dynamic loader is {interpreter}; only glibc's and musl's are known",
            "link it statically",
        )
    except Missing as error:
        if partial:
            return STATIC._replace(missing=(error,))
        raise


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
    members = list(members)
    paths = {f"/{member.path}" for member in members}
    lacking = [] if interpreter in paths else [interpreter]
    names = {os.path.basename(path) for path in paths}
    tags = read_loader_tags(read, headers, program)
    needed = [name for name in tags.needed if os.path.basename(name) not in names]
    if needed:
        is_musl = os.path.basename(interpreter) == _MUSL_LOADER
        lacking += _not_answered([n for n in needed if n not in tags.optional], members, is_musl)
    if lacking:
        raise UkccError(f"{program}: a dynamic program, and {lacking[0]} is not in the image")


def _not_answered(names: Sequence[str], members: Iterable[cpio.Entry], is_musl: bool) -> list[str]:
    """The names that no library answers to by its soname, nor musl's loader as the C library."""
    from ukcc.image.search import is_musls_own

    if is_musl:
        return [name for name in names if not is_musls_own(name)]
    sonames = {_soname(m.data, m.path) for m in members if m.data[:4] == b"\x7fELF"}
    return [name for name in names if name not in sonames]


def _soname(data: bytes, path: str) -> str:
    def read(offset: int, count: int) -> bytes:
        return data[offset : offset + count]

    return read_loader_tags(read, parse_headers(read, len(data), path), path).soname


def _asked(program: str, opened: int = -1) -> tuple[LoaderTags, str]:
    """The program's dynamic section, and PT_INTERP's path, empty for a static program."""
    fd, headers = open_headers(program, opened)
    try:
        read = reader(fd)
        interpreter = read_interpreter(read, headers, program)
        tags = read_loader_tags(read, headers, program) if interpreter else LoaderTags()
        return tags, interpreter
    finally:
        if fd != opened:
            os.close(fd)
