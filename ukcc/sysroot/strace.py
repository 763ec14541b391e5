"""strace for `ukcc run --trace`: the distribution's source, unchanged, built by our own uk-gcc.

An optional part of the store: made on first use, kept as the others are.
"""

import os
import shutil
from pathlib import Path

from ukcc import debsource, proc
from ukcc.errors import SysrootMissing
from ukcc.progress import Progress, Step
from ukcc.sysroot import inputs, parts
from ukcc.sysroot.parts import PartRecipe
from ukcc.sysroot.store import Store, Sysroot

_NAME = "strace"
_RECIPE = 1  # raise it when the commands below change

# Lines of output of a build, until a first one has counted them.
_USUAL_LINES = 900

# No decoding of 32-bit programs, which this kernel does not run; nothing from the host's libraries.
_CONFIGURE = (
    "CC=uk-gcc",
    "CFLAGS=-O2",
    "LDFLAGS=-static -s",
    "--enable-mpers=no",
    "--disable-stacktrace",
    "--disable-gcc-Werror",
    "--disable-dependency-tracking",
    "--without-libselinux",
)


def program(store: Store, progress: Progress) -> Path:
    """The strace that runs in the machine (and, being two-lived, here). Raises UkccError."""
    current = store.current()
    if current is None:
        raise SysrootMissing()
    sysroot = current

    def make(work: Path, result: Path, step: Step) -> None:
        _build(sysroot.path, work, result, step)

    recipe = PartRecipe(_NAME, "strace, built once", _USUAL_LINES, make)
    return parts.ensure(store, recipe, lambda: digest(sysroot), progress) / _NAME


def digest(sysroot: Sysroot) -> str:
    """Over what decides the result; not the source's version.

    It would have to be asked of the repositories at each run, and an older strace is as good.
    """
    record = sysroot.record["inputs"]
    glibc = inputs.part_digests(record)["glibc"]
    return inputs.digest({"glibc": glibc, "configure": _CONFIGURE, "recipe": _RECIPE})


def part(store: Store, sysroot: Sysroot) -> Path:
    """Where the strace for that sysroot is, once it is made."""
    return store.part(_NAME, digest(sysroot))


def _build(sysroot: Path, work: Path, result: Path, step: Step) -> None:
    log = work / "strace.log"
    tree = debsource.fetch(_NAME, work).tree
    # UKCC_PLAIN: a program for the machine, not a machine
    environment = {
        "PATH": proc.path_for_builds(),
        "UKCC_PLAIN": "1",
        "UKCC_SYSROOT": str(sysroot),
    }
    jobs = len(os.sched_getaffinity(0))
    for command in (["sh", "./configure", *_CONFIGURE], ["make", f"-j{jobs}", "-C", "src", "all"]):
        proc.run(
            proc.isolated(command, environment),
            cwd=tree,
            log=log,
            on_line=lambda _: step.advance(),
        )
    shutil.copy(tree / "src" / _NAME, result / _NAME)
