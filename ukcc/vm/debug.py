"""The line that debugs a machine, and the files that gdb wants for it."""

import os
import shlex
import tempfile
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError, UkccError
from ukcc.image import cpio
from ukcc.image.content_key import content_key
from ukcc.image.elf import elf_in_memory, open_elf
from ukcc.image.facts import ImageMetadata
from ukcc.sysroot.store import default_store, discard
from ukcc.vm.options import LOOPBACK

_COMMANDS = Path(__file__).with_name("in_gdb.py")

# Unpacked libraries are kept for a later run of the same image: of this many images.
_KEPT = 8


def gdb_line(image: str, whole: str, port: int, facts: ImageMetadata) -> str:
    """The command that stops a machine that waits at the application's `main`.

    image: has the symbols; whole: has the archive (the same file, but for a thin image). Raises
    MachineError where the kernel's symbols are not in the store.
    """
    if facts.vmlinux is None:
        raise MachineError(
            f"--gdb: the kernel's symbols ({facts.origin}) are not here",
            facts.kernel_mend if facts.made else "link the image again",
        )
    try:
        members = _members(whole)
        entry = _entry(members, facts.program)
        libraries = _unpacked(members, facts.program)
    except OSError as error:
        raise MachineError(f"{paths.store()}: {error.strerror}", "set UKCC_HOME") from None
    except UkccError as error:
        raise MachineError(error.message, error.hint) from None
    start = ["ukcc-start", f"{LOOPBACK}:{port}", f"{entry:#x}", str(facts.vmlinux), libraries]
    words = ["gdb", "-x", str(_COMMANDS), "-ex", shlex.join(start), image]
    return "waiting for: " + shlex.join(words)


def _members(image: str) -> list[cpio.Entry]:
    """The programs and libraries in an image's archive."""
    with open_elf(Path(image)) as elf:
        archive = elf.archive()
        return [
            cpio.Entry(m.path, m.mode, archive.data(m), m.uid, m.gid)
            for m in archive.members()
            if archive.is_elf(m)
        ]


def _entry(members: list[cpio.Entry], program: str) -> int:
    """Where the program is entered, as it was linked: the image's own may be another place."""
    for member in members:
        if f"/{member.path}" == program:
            with elf_in_memory(member.data, Path(program)) as elf:
                return elf.entry
    raise MachineError(f"--gdb: {program or 'the program'} is not in the image's archive")


def _unpacked(members: list[cpio.Entry], program: str) -> str:
    """A directory with the shared libraries of the archive, at their paths; empty for none."""
    libraries = [member for member in members if f"/{member.path}" not in (program, "/init")]
    if not libraries:
        return ""
    cache = Path(paths.store()) / "cache" / "debug"
    place = cache / content_key(entries=libraries)
    if place.is_dir():
        os.utime(place)
        return str(place)
    cache.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".new-", dir=cache))
    for library in libraries:
        file = made / library.path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(library.data)
    default_store().publish(made, place)
    _forget_old(cache)
    return str(place)


def _forget_old(cache: Path) -> None:
    newest_first = sorted(cache.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
    for path in newest_first[_KEPT:]:
        discard(path)
