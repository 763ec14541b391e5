"""The files a dynamic program needs beside itself: its interpreter and the libraries it loads."""

import re
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.errors import ToolFailed, UkccError
from ukcc.image import cpio
from ukcc.image.elf import open_elf

# `libc.so.6 => /lib/x86_64-linux-gnu/libc.so.6 (0x00007f…)`, as glibc's and musl's loaders say it.
_FOUND = re.compile(r"^\s*(\S+) => (/.*?)(?: \(0x[0-9a-f]+\))?$")
_MISSING = re.compile(r"^\s*(\S+) => not found$")


@dataclass(frozen=True)
class Library:
    """A shared library: the name it is asked for by, and the file that answers to it."""

    soname: str
    path: Path


@dataclass(frozen=True)
class Closure:
    """What must lie beside the program. Both are empty for a static program."""

    interpreter: str
    libraries: tuple[Library, ...]

    def entries(self) -> list[cpio.Entry]:
        """Archive members. Libraries lie in libc's directory, which the loader always searches:

        a library that was found by RPATH, by $ORIGIN or by ld.so.cache would not be found again.
        """
        if not self.interpreter:
            return []
        home = next((e.path.parent for e in self.libraries if e.soname.startswith("libc.")), None)
        home = home or Path(self.interpreter).parent
        members = [cpio.regular(self.interpreter, _read(Path(self.interpreter)), 0o755)]
        for library in self.libraries:
            by_path = "/" in library.soname
            where = library.soname if by_path else str(home / library.soname)
            if where != self.interpreter:
                members.append(cpio.regular(where, _read(library.path), 0o755))
        return members


def find_closure(program: Path) -> Closure:
    """Asks the program's own loader, which then loads the libraries but runs nothing of them.

    Raises UkccError if a library, or the loader, is not on this machine.
    """
    with open_elf(program) as elf:
        interpreter = elf.interpreter()
        needed = elf.dynamic_strings("DT_NEEDED")
    if interpreter is None:
        return Closure("", ())
    if not Path(interpreter).is_file():
        raise UkccError(
            f"{program}: its dynamic loader {interpreter} is not on this machine",
            "link it statically, or pack it where it was built",
        )
    if not needed:
        return Closure(interpreter, ())
    try:
        answer = proc.output([interpreter, "--list", str(program.absolute())])
    except ToolFailed as error:
        tail = "; ".join(getattr(error, "tail", ()))
        raise UkccError(f"{program}: its libraries cannot be found: {tail}") from None
    return Closure(interpreter, parse_list(answer, program))


def parse_list(answer: str, program: Path) -> tuple[Library, ...]:
    """The loader's `--list`, parsed. Raises UkccError for a library that was not found."""
    found = []
    for line in answer.splitlines():
        missing = _MISSING.match(line)
        if missing:
            raise UkccError(f"{program}: needs {missing[1]}, which is not on this machine")
        match = _FOUND.match(line)
        if match:
            found.append(Library(match[1], Path(match[2])))
    return tuple(found)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
