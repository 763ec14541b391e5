"""The kernels that a sysroot can have: whose source, which patches, which configuration.

Each has a directory of patches of its own, since a patch fits one source. The configuration of
the first is everybody's; what is called otherwise in a newer kernel, its own last fragment says.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.sysroot import sources
from ukcc.sysroot.sources import SourcePackage
from ukcc.sysroot.store import RECORD

# The series of patches: a directory for each, applied in the order in which a kernel names them.
ONE_RING = "one-ring"
ONE_COPY = "one-copy"
BOOT = "boot"  # what it changes is shorter for every guest: no option switches it
DEAD_CODE = "dead-code"
SMALL = "small"

# Merged in this order; of two that disagree about an option the later one counts.
FRAGMENTS = ("base", "net", "blk", "9p", "virtiofs", "smp")


@dataclass(frozen=True)
class KernelRelease:
    """A release of Linux.

    name: as `--linux` takes it. place: the directory with its `patches` and `config`, relative to
    sysroot/linux. classes: whether its series and the fragments of sysroot/linux/classes make
    kernels for one program (`ukcc specialise`).
    """

    name: str
    package: SourcePackage
    place: str
    series: tuple[str, ...]
    own_fragments: tuple[str, ...] = ()
    classes: bool = True

    @property
    def patches(self) -> str:
        """The directory with a directory for each series, relative to `sysroot`."""
        return str(Path("linux") / self.place / "patches")

    @property
    def build(self) -> str:
        """The command that builds a sysroot with it."""
        return "ukcc sysroot build" + ("" if self is LONG_TERM else f" --linux {self.name}")

    def directory(self, series: str) -> Path:
        """Where the patches of a series are."""
        return Path(paths.data_dir("sysroot")) / self.patches / series

    def fragments(self) -> tuple[Path, ...]:
        """The files of its configuration, in the order in which they are merged."""
        shared = tuple(_recipe() / "config" / f"{name}.config" for name in FRAGMENTS)
        own = _recipe() / self.place / "config"
        return shared + tuple(own / f"{name}.config" for name in self.own_fragments)


LONG_TERM = KernelRelease("6.12", sources.LINUX, ".", (ONE_RING, ONE_COPY, BOOT, DEAD_CODE, SMALL))
NEWEST = KernelRelease(
    "7.2",
    sources.LINUX_NEWEST,
    "7.2",
    (ONE_RING, ONE_COPY, BOOT),
    own_fragments=("linux-7.2",),
    classes=False,
)

KERNELS = (LONG_TERM, NEWEST)
NAMES = tuple(kernel.name for kernel in KERNELS)


def find(name: str) -> KernelRelease:
    """The kernel of that name. Raises UkccError, which says the names that there are."""
    for kernel in KERNELS:
        if kernel.name == name:
            return kernel
    raise UkccError(f"no kernel {name!r} is known here", f"it is one of: {', '.join(NAMES)}")


def of_record(record: object) -> KernelRelease:
    """The kernel of a sysroot.json; the first where it names none of ours."""
    try:
        package = record["inputs"]["linux"]["package"]  # type: ignore[index]
    except (KeyError, TypeError):
        package = ""
    return next((kernel for kernel in KERNELS if kernel.package.name == package), LONG_TERM)


def in_use() -> KernelRelease:
    """That of the sysroot that links use now; the first where there is none."""
    sysroot = paths.current_sysroot()
    try:
        record = json.loads((Path(sysroot or "") / RECORD).read_text())
    except (OSError, ValueError):
        record = None
    return of_record(record)


def _recipe() -> Path:
    return Path(paths.data_dir("sysroot")) / "linux"
