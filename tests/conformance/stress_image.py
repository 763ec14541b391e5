"""The image of a stress run: a runner built by uk-gcc, and the programs that it is to run.

stress-ng is the distribution's binary, with the sysroot's glibc: what it calls in libc enters the
kernel by the gate, an inline `syscall` of its own is a trap. It is installed on the host, where the
same file is the Linux process of the other column.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ukcc import paths, proc
from ukcc.errors import SysrootMissing
from ukcc.image import cpio
from ukcc.image.closure import find_closure
from ukcc.image.debug import without_debug
from ukcc.image.pack import pack_program

SOURCES = Path(__file__).with_name("guest")
PLACE = "/app"  # where the programs lie in the image
_FLAGS = ("-O2", "-g", "-Wall", "-Wextra", "-Werror", "-static")


@dataclass(frozen=True)
class Image:
    """A bootable file, and the id of the sysroot that it was made from."""

    path: Path
    sysroot: str


def stress_ng() -> str:
    """The program on this host. Raises ToolFailed, with the package that has it."""
    return proc.find("stress-ng")


def build(runner: str, programs: Iterable[str], work: Path) -> Image:
    """Builds `<runner>.c` with what both runners share, and packs it with the programs.

    programs: paths on the host, static or dynamic; each becomes `/app/<its name>`, with the
    libraries that it loads. Raises UkccError.
    """
    sysroot = paths.current_sysroot()
    if sysroot is None:
        raise SysrootMissing("there is no sysroot", "build one with: ukcc sysroot build")
    work.mkdir(parents=True, exist_ok=True)
    built = work / runner
    sources = [str(SOURCES / f"{name}.c") for name in (runner, "watch")]
    command = [str(proc.own_tool("uk-gcc")), *_FLAGS, *sources, "-o", str(built)]
    # plain: the image is made below, with the programs in it
    proc.run(command, env={"UKCC_PLAIN": "1"}, log=work / "build.log")
    image = work / f"{runner}.image"
    pack_program(
        str(built),
        str(image),
        sysroot=sysroot,
        link_command=command,
        name=runner,
        files=members(programs, sysroot),
    )
    return Image(image, Path(sysroot).name)


def members(programs: Iterable[str], sysroot: str) -> list[cpio.Entry]:
    """The archive's members for these programs, each file once."""
    found: dict[str, cpio.Entry] = {}
    for program in programs:
        path = f"{PLACE}/{Path(program).name}"
        entries = [cpio.regular(path, without_debug(program), 0o755)]
        entries += find_closure(program, sysroot, (), os.environ).entries()
        for entry in entries:
            found.setdefault(entry.path, entry)
    return list(found.values())
