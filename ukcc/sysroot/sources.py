"""The distribution's sources: `linux-source-6.12`, `glibc-source`, and musl's source package.

Installed packages are used where they lie. Otherwise they are fetched by `apt-get download` and
unpacked into the store, which needs no root. The signature on the archive's index, checked by
apt, is what vouches for them. A newer kernel's source is in a suite that the host does not have;
it is fetched from there, by the host's own mirror.

Both tarballs hold the source with the distribution's patches applied. (For glibc that is easy
to miss, since `debian/patches` lies beside the tarball; but its whole series applies in reverse.)
There is no such package of musl, so its source package itself is fetched, into the store.
"""

import functools
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ukcc import debsource, proc
from ukcc.errors import ToolFailed, UkccError
from ukcc.sysroot.store import Store


@dataclass(frozen=True)
class SourcePackage:
    """A package of sources, and where it has its tarball: a pattern relative to the root.

    is_source: a source package; for a tarball it has its .dsc, which has the digests of the rest.
    suite: of Debian, where the package is, if it may be none that the host is configured for.
    """

    name: str
    tarball: str
    is_source: bool = False
    suite: str = ""


LINUX = SourcePackage("linux-source-6.12", "usr/src/linux-source-6.12.tar.xz")
LINUX_NEWEST = SourcePackage(
    "linux-source-7.2", "usr/src/linux-source-7.2.tar.xz", suite="unstable"
)
GLIBC = SourcePackage("glibc-source", "usr/src/glibc/glibc-*.tar.xz")
MUSL = SourcePackage("musl", "musl_*.dsc", is_source=True)


@dataclass(frozen=True)
class SourceTarball:
    """A source tarball, or a .dsc, and the version of its package, as dpkg has it."""

    package: str
    version: str
    tarball: Path


def locate(package: SourcePackage, store: Store) -> SourceTarball:
    """The package's source: installed, in the store, or fetched now. Raises UkccError."""
    root = _place(package, store) or _download(package, store)
    found = sorted(root.glob(package.tarball))
    if len(found) != 1:
        mend = f"as root: apt-get install --reinstall {package.name}"
        raise UkccError(
            f"{package.name} should have one {root / package.tarball}, and has {len(found)}",
            mend if root == Path("/") else f"remove {root}; it is fetched again",
        )
    return SourceTarball(package.name, _version(package, root), found[0])


def present(package: SourcePackage, store: Store) -> str | None:
    """The version that is installed or in the store, or None. Fetches nothing."""
    root = _place(package, store)
    return _version(package, root) if root else None


def _place(package: SourcePackage, store: Store) -> Path | None:
    """The directory that the package's files lie under: `/`, or one in the store."""
    if (
        not package.is_source
        and any(Path("/").glob(package.tarball))
        and _installed_version(package)
    ):
        return Path("/")
    return max(store.sources.glob(f"{package.name}_*"), default=None)


def _version(package: SourcePackage, root: Path) -> str:
    if root == Path("/"):
        return _installed_version(package)
    return root.name.partition("_")[2]


@functools.cache
def _installed_version(package: SourcePackage) -> str:
    """The version of an installed package, or "" (also where there is no dpkg)."""
    asked = ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package.name]
    try:
        said = proc.output(asked)
    except ToolFailed:
        return ""
    return said[3:] if said.startswith("ii ") else ""


def _download(package: SourcePackage, store: Store) -> Path:
    """Fetches a package with apt, into `sources/<package>_<version>` in the store."""
    store.sources.mkdir(parents=True, exist_ok=True)
    work = Path(tempfile.mkdtemp(prefix=".download-", dir=store.sources))
    download = _download_source if package.is_source else _download_binary
    try:
        made, version = download(package, work)
        place = store.sources / f"{package.name}_{version}"
        store.publish(made, place)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return place


def _download_source(package: SourcePackage, work: Path) -> tuple[Path, str]:
    """(the files of the source package, its version)"""
    delivered = debsource.download(package.name)
    return shutil.copytree(delivered.files, work / "files"), delivered.version


def _download_binary(package: SourcePackage, work: Path) -> tuple[Path, str]:
    """(what the package has below `/`, its version)"""
    download = _deb_of_suite if package.suite else _deb
    try:
        deb, version = download(package, work)
        proc.run(["dpkg-deb", "-x", str(deb), str(work / "tree")])
    except ToolFailed as error:
        mend = f"as root: apt-get update && apt-get install {package.name}"
        if package.suite:
            mend = f"it is in Debian's suite {package.suite}; the last lines of apt say more"
        raise UkccError(
            f"the source package {package.name} is not installed and cannot be downloaded", mend
        ) from error
    return work / "tree", version


def _deb(package: SourcePackage, work: Path) -> tuple[Path, str]:
    """(the package in `work`, from what the host's apt is configured for; its version)"""
    proc.run(["apt-get", "download", "-q", package.name], cwd=work)
    (deb,) = work.glob("*.deb")
    return deb, proc.output(["dpkg-deb", "-f", str(deb), "Version"]).strip()


def _deb_of_suite(package: SourcePackage, work: Path) -> tuple[Path, str]:
    """(the package in `work`, from its suite; its version)"""
    delivered = debsource.download_binary(package.name, suite=package.suite)
    files = delivered.files.rename(work / "files")  # once unpacked, it is not needed again
    (deb,) = files.glob("*.deb")
    return deb, delivered.version
