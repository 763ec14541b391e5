"""The kernel: its headers from the pristine source, itself from the patched one.

The plain host compiler builds it. The headers do not depend on our patches, which add nothing
to the interface that programs are compiled against; so a changed patch does not rebuild glibc.
"""

import re
import shutil
import time
from collections.abc import Sequence
from pathlib import Path

from ukcc import proc
from ukcc.errors import UkccError
from ukcc.progress import Step
from ukcc.sysroot import fragments, tree
from ukcc.sysroot.sources import SourceTarball

# Objects compiled by our configuration, until a first build has counted them.
USUAL_OBJECTS = 1300

# Enough of the source for `make headers_install`.
_HEADER_FILES = ("COPYING", "Makefile", "scripts", "include", "arch/x86", "usr", "tools/include")

# Never compiled here, and two thirds of the disk space. Kconfig files must stay, since Kconfig
# reads those of every directory; so only other files are left out.
_UNUSED = (
    "Documentation/*.rst",
    "Documentation/*.yaml",
    "Documentation/[!a]*.txt",  # admin-guide/kernel-parameters.txt is patched
    "arch/[!x]*/*.[chS]",
    "arch/*.dts*",
    "drivers/gpu/*.[ch]",
    "drivers/infiniband/*.[ch]",
    "drivers/media/*.[ch]",
    "drivers/net/ethernet/*.[ch]",
    "drivers/net/wireless/*.[ch]",
    "drivers/scsi/*/*.[ch]",
    "drivers/staging/*.[ch]",
    "sound/*.[ch]",
    "tools/perf/*",
    "tools/testing/*",
)

# A line of kbuild's output that reports one object: "  CC      kernel/fork.o".
_OBJECT = re.compile(r"  (CC|AS)( \[M\])? +\S")


def build_headers(source: SourceTarball, work: Path, out: Path, log: Path, jobs: int) -> None:
    """Installs the kernel's user headers into `out`/usr/include."""
    source_tree = work / "linux"
    tree.unpack(source.tarball, source_tree, log, only=_HEADER_FILES)
    _make(source_tree, log, ["headers_install", f"INSTALL_HDR_PATH={out / 'usr'}"], jobs)


def prepare(source: SourceTarball, patches: Sequence[Path], work: Path, log: Path) -> Path:
    """Unpacks and patches the kernel. Returns the source tree."""
    source_tree = work / "linux"
    tree.unpack(source.tarball, source_tree, log, leave=_UNUSED)
    tree.patch(source_tree, patches, log)
    return source_tree


def configure(
    source_tree: Path, wanted: Sequence[Path], log: Path, objects: "Path | None" = None
) -> None:
    """tinyconfig, then the fragments on top; raises UkccError unless all they ask for came out.

    objects: where the .config and what is built go, which exists; the source tree by default.
    """
    place = objects or source_tree
    _make(source_tree, log, ["tinyconfig"], jobs=1, objects=objects)
    merge = ["sh", "scripts/kconfig/merge_config.sh", "-m", "-Q", "-O", str(place)]
    proc.run(
        proc.isolated([*merge, str(place / ".config"), *(str(path) for path in wanted)]),
        cwd=source_tree,
        log=log,
    )
    complete(source_tree, log, objects)
    fragments.check(wanted, place / ".config")


def complete(source_tree: Path, log: Path, objects: "Path | None" = None) -> None:
    """Has Kconfig drop what the .config cannot have, and fill in what it lacks."""
    _make(source_tree, log, ["olddefconfig"], jobs=1, objects=objects)


def compile_kernel(source_tree: Path, out: Path, log: Path, jobs: int, step: Step) -> None:
    """Builds vmlinux; leaves it, with symbols, and its configuration in `out`/kernel."""
    link(source_tree, None, log, jobs, step)
    (out / "kernel").mkdir(parents=True)
    shutil.copy2(source_tree / "vmlinux", out / "kernel" / "vmlinux")
    shutil.copy2(source_tree / ".config", out / "kernel" / "config")


def link(source_tree: Path, objects: "Path | None", log: Path, jobs: int, step: Step) -> None:
    """Builds vmlinux in `objects`, or in the source tree; compiles what has changed."""

    def count(line: str) -> None:
        if _OBJECT.match(line):
            step.advance()

    command = _command(source_tree, ["vmlinux"], jobs, objects)
    proc.run(command, cwd=source_tree, log=log, on_line=count)


def menu(source_tree: Path, objects: Path, terminal: str) -> None:
    """The kernel's own menu of its options, on our terminal; it writes `objects`/.config."""
    proc.attended(_command(source_tree, ["menuconfig"], 1, objects, TERM=terminal), source_tree)


def check_place(work: Path) -> None:
    """Raises UkccError if kbuild would refuse the directory."""
    if re.search(r"[\s:]", str(work)):
        raise UkccError(
            f"the kernel cannot be built under a path with spaces or colons: {work}",
            "set UKCC_HOME to another place",
        )


def _make(
    source_tree: Path, log: Path, goals: Sequence[str], jobs: int, objects: "Path | None" = None
) -> None:
    proc.run(_command(source_tree, goals, jobs, objects), cwd=source_tree, log=log)


def _command(
    source_tree: Path,
    goals: Sequence[str],
    jobs: int,
    objects: "Path | None" = None,
    **environment: str,
) -> proc.Command:
    """A make command whose result depends on the sources alone: not on who, where or when."""
    # The date of the distribution's source, from a file that no patch touches, is the build's.
    stamp = time.gmtime((source_tree / "COPYING").stat().st_mtime)
    variables = {
        "ARCH": "x86_64",
        # Empty, but set: a store inside a git checkout does not put a `+` behind the release.
        "LOCALVERSION": "",
        "KBUILD_BUILD_TIMESTAMP": time.strftime("%a %b %e %H:%M:%S UTC %Y", stamp),
        "KBUILD_BUILD_USER": "ukcc",
        "KBUILD_BUILD_HOST": "ukcc",
        "KBUILD_BUILD_VERSION": "1",
        "KCFLAGS": f"-fdebug-prefix-map={source_tree}=/usr/src/linux",
        "KAFLAGS": f"-fdebug-prefix-map={source_tree}=/usr/src/linux",
    }
    if objects:
        variables["O"] = str(objects)
    settings = [f"{name}={value}" for name, value in variables.items()]
    return proc.isolated(["make", f"-j{jobs}", *settings, *goals], environment)
