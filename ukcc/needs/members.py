"""The files of an image that have code: the program itself, and what its archive holds."""

import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.errors import MachineError, SysrootMissing, UkccError
from ukcc.image.closure import find_closure, interpreter_of
from ukcc.image.elf import Elf, open_elf
from ukcc.image.headers import EM_X86_64, ET_DYN, ET_EXEC
from ukcc.image.inspect import metadata_if_image
from ukcc.needs.program import code_digest, load

# Of a file that is looked at, in bytes; a file of the archive with data of any size is no matter.
LARGEST = 1 << 30
_MOST_WITH_CODE = 512


@dataclass(frozen=True)
class File:
    """A file of an image: its path there, and its bytes."""

    path: str
    data: bytes

    @property
    def is_elf(self) -> bool:
        """Whether it may be a program or a library."""
        return self.data[:4] == b"\x7fELF"

    @property
    def runs_here(self) -> bool:
        """Whether it is a program or library for this kernel: 64 bits, x86-64, linked."""
        kind = int.from_bytes(self.data[16:18], "little")
        machine = int.from_bytes(self.data[18:20], "little")
        return self.data[4:6] == b"\x02\x01" and machine == EM_X86_64 and kind in (ET_EXEC, ET_DYN)


@dataclass(frozen=True)
class ImageFiles:
    """What is in an image: the program's path there, metadata, and the files.

    is_image: false for a plain program, with the libraries that `ukcc pack` would take. The
    program's own file is first. Its copy in the archive follows only if its code is another, as a
    hypervisor without `ukcc run` boots that. Two files may have one path, of which either can be in
    the machine.
    """

    program: str
    is_image: bool
    metadata: Mapping[str, Any]
    files: tuple[File, ...]


def read_image(path: Path) -> ImageFiles:
    """Raises NotAnImage for what is not an ELF file, UkccError for what cannot be read."""
    with open_elf(path) as elf:
        metadata = metadata_if_image(elf, path) or {}
        if "thin" in metadata:
            return replace(read_image(_completed(path)), metadata=metadata)
        size = path.stat().st_size
        if size > LARGEST:
            raise UkccError(f"{path}: {size >> 20} MiB; files up to {LARGEST >> 20} MiB are read")
        program = metadata.get("program", "") or f"/{path.name}"
        own = File(program, elf.read(0, size))
        members = _members(elf, path)
    copies = [file for file in members if file.path == program]
    others = [file for file in members if file.path != program]
    if not members:
        return ImageFiles(program, False, metadata, (own, *_libraries(path)))
    code = code_digest(load(own.data, path))
    changed = [file for file in copies if code_digest(load(file.data, path)) != code]
    return ImageFiles(program, True, metadata, (own, *changed, *others))


def _completed(thin: Path) -> Path:
    """The whole image of a thin one, as `ukcc run` takes it."""
    from ukcc.image.thin import completed

    try:
        return Path(completed(str(thin)))
    except MachineError as error:  # no machine was to be started
        raise UkccError(error.message, error.hint) from None


def _libraries(program: Path) -> tuple[File, ...]:
    """What `ukcc pack` would put beside a plain program."""
    if not interpreter_of(str(program)):
        return ()
    sysroot = paths.current_sysroot()
    if sysroot is None:
        raise SysrootMissing()
    entries = find_closure(str(program), sysroot, (), os.environ).entries()
    return tuple(File(f"/{e.path}", e.data) for e in entries if stat.S_ISREG(e.mode))


def _members(elf: Elf, image: Path) -> list[File]:
    """The regular files of the archive. Raises UkccError for one that is damaged."""
    archive = elf.archive()
    return [
        File(f"/{member.path}", archive.data(member))
        for member in archive.members()
        if stat.S_ISREG(member.mode)
    ]


def check_count(files: Sequence[File], image: Path) -> None:
    """Raises UkccError for more programs and libraries than are looked at."""
    if sum(file.is_elf for file in files) > _MOST_WITH_CODE:
        raise UkccError(f"{image}: more than {_MOST_WITH_CODE} programs and libraries in it")
