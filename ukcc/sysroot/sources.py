"""The distribution's source packages: `linux-source-6.12` and `glibc-source`.

Installed ones are used where they lie. Otherwise they are fetched by `apt-get download` and
unpacked into the store, which needs no root. The signature on the archive's index, checked by
apt, is what vouches for them.
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.errors import ToolFailed, UkccError
from ukcc.sysroot.store import Store

LINUX_PACKAGE = "linux-source-6.12"
GLIBC_PACKAGE = "glibc-source"

_LINUX_TARBALL = "usr/src/linux-source-6.12.tar.xz"
_GLIBC_TARBALL = "usr/src/glibc/glibc-*.tar.xz"
_GLIBC_SERIES = "usr/src/glibc/debian/patches/series"


@dataclass(frozen=True)
class Source:
    """A source tarball, and the patches that the distribution applies to it, in order."""

    package: str
    version: str  # the package's version, as dpkg has it
    tarball: Path
    patches: tuple[Path, ...] = ()


def linux(store: Store) -> Source:
    """The kernel's source. It is patched by the distribution already. Raises UkccError."""
    version, root = _package(LINUX_PACKAGE, _LINUX_TARBALL, store)
    return Source(LINUX_PACKAGE, version, _only(root, _LINUX_TARBALL, LINUX_PACKAGE))


def glibc(store: Store) -> Source:
    """glibc's pristine source and the distribution's series of patches. Raises UkccError."""
    version, root = _package(GLIBC_PACKAGE, _GLIBC_TARBALL, store)
    tarball = _only(root, _GLIBC_TARBALL, GLIBC_PACKAGE)
    series = _only(root, _GLIBC_SERIES, GLIBC_PACKAGE)
    patches = tuple(series.parent / name for name in series_names(series.read_text()))
    return Source(GLIBC_PACKAGE, version, tarball, patches)


def series_names(series: str) -> list[str]:
    """The patches a quilt series names. All must be -p1, as Debian's glibc has them."""
    names = []
    for line in series.splitlines():
        words = line.split("#", 1)[0].split()
        if words[1:] not in ([], ["-p1"]):
            raise UkccError(f"the series of patches has an option that is not known: {line!r}")
        names += words[:1]
    return names


def installed_version(package: str) -> str | None:
    """The version of an installed package, or None (also where there is no dpkg)."""
    try:
        said = proc.output(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package])
    except ToolFailed:
        return None
    return said[3:] if said.startswith("ii ") else None


def _package(package: str, wanted: str, store: Store) -> tuple[str, Path]:
    """The version of a package and the directory its files lie under: `/`, or in the store."""
    version = installed_version(package)
    if version is not None and any(Path("/").glob(wanted)):
        return version, Path("/")
    for unpacked in sorted(store.sources.glob(f"{package}_*"), reverse=True):
        return unpacked.name.partition("_")[2], unpacked
    return _download(package, store)


def _download(package: str, store: Store) -> tuple[str, Path]:
    """Fetches a package with apt and unpacks it into the store."""
    store.sources.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".download-", dir=store.sources))
    try:
        proc.run(["apt-get", "download", "-q", package], cwd=work)
        (deb,) = work.glob("*.deb")
        version = proc.output(["dpkg-deb", "-f", str(deb), "Version"]).strip()
        proc.run(["dpkg-deb", "-x", str(deb), str(work / "tree")])
        store.publish(work / "tree", store.sources / f"{package}_{version}")
    except ToolFailed as error:
        raise UkccError(
            f"the source package {package} is not installed and cannot be downloaded",
            f"as root: apt-get update && apt-get install {package}",
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return version, store.sources / f"{package}_{version}"


def _only(root: Path, pattern: str, package: str) -> Path:
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        raise UkccError(
            f"{package} should have one {root / pattern}, and has {len(found)}",
            f"as root: apt-get install --reinstall {package}",
        )
    return found[0]
