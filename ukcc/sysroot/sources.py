"""The distribution's source packages: `linux-source-6.12` and `glibc-source`.

Installed ones are used where they lie. Otherwise they are fetched by `apt-get download` and
unpacked into the store, which needs no root. The signature on the archive's index, checked by
apt, is what vouches for them.

Both tarballs hold the source with the distribution's patches applied. (For glibc that is easy
to miss, since `debian/patches` lies beside the tarball; but its whole series applies in reverse.)
"""

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.errors import ToolFailed, UkccError
from ukcc.sysroot.store import Store


@dataclass(frozen=True)
class Package:
    """A source package, and where it has its tarball: a pattern relative to the root."""

    name: str
    tarball: str


LINUX = Package("linux-source-6.12", "usr/src/linux-source-6.12.tar.xz")
GLIBC = Package("glibc-source", "usr/src/glibc/glibc-*.tar.xz")


@dataclass(frozen=True)
class Source:
    """A source tarball and the version of the package it came in, as dpkg has it."""

    package: str
    version: str
    tarball: Path


def locate(package: Package, store: Store) -> Source:
    """The package's source: installed, in the store, or fetched now. Raises UkccError."""
    root = _place(package, store) or _download(package, store)
    found = sorted(root.glob(package.tarball))
    if len(found) != 1:
        raise UkccError(
            f"{package.name} should have one {root / package.tarball}, and has {len(found)}",
            f"as root: apt-get install --reinstall {package.name}",
        )
    return Source(package.name, _version(package, root), found[0])


def present(package: Package, store: Store) -> str | None:
    """The version that is installed or in the store, or None. Fetches nothing."""
    root = _place(package, store)
    return _version(package, root) if root else None


def _place(package: Package, store: Store) -> Path | None:
    """The directory that the package's files lie under: `/`, or one in the store."""
    if any(Path("/").glob(package.tarball)) and _installed_version(package):
        return Path("/")
    return max(store.sources.glob(f"{package.name}_*"), default=None)


def _version(package: Package, root: Path) -> str:
    if root == Path("/"):
        return _installed_version(package)
    return root.name.partition("_")[2]


@functools.cache
def _installed_version(package: Package) -> str:
    """The version of an installed package, or "" (also where there is no dpkg)."""
    asked = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package.name]
    try:
        said = proc.output(asked)
    except ToolFailed:
        return ""
    return said[3:] if said.startswith("ii ") else ""


def _download(package: Package, store: Store) -> Path:
    """Fetches a package with apt, unpacks it as `sources/<package>_<version>` in the store."""
    store.sources.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".download-", dir=store.sources))
    try:
        proc.run(["apt-get", "download", "-q", package.name], cwd=work)
        (deb,) = work.glob("*.deb")
        version = proc.output(["dpkg-deb", "-f", str(deb), "Version"]).strip()
        proc.run(["dpkg-deb", "-x", str(deb), str(work / "tree")])
        store.publish(work / "tree", store.sources / f"{package.name}_{version}")
    except ToolFailed as error:
        raise UkccError(
            f"the source package {package.name} is not installed and cannot be downloaded",
            f"as root: apt-get update && apt-get install {package.name}",
        ) from error
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return store.sources / f"{package.name}_{version}"
