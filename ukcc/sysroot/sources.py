"""The distribution's source packages: `linux-source-6.12` and `glibc-source`.

Installed ones are used where they lie. Otherwise they are fetched by `apt-get download` and
unpacked into the store, which needs no root. The signature on the archive's index, checked by
apt, is what vouches for them.

Both tarballs hold the source with the distribution's patches applied. (For glibc that is easy
to miss, since `debian/patches` lies beside the tarball; but its whole series applies in reverse.)
"""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.errors import ToolFailed, UkccError
from ukcc.sysroot.store import Store


@dataclass(frozen=True)
class Source:
    """A source tarball and the version of the package it came in, as dpkg has it."""

    package: str
    version: str
    tarball: Path


def linux(store: Store) -> Source:
    """The kernel's source. Raises UkccError when it can neither be found nor fetched."""
    return _source("linux-source-6.12", "usr/src/linux-source-6.12.tar.xz", store)


def glibc(store: Store) -> Source:
    """glibc's source. Raises UkccError when it can neither be found nor fetched."""
    return _source("glibc-source", "usr/src/glibc/glibc-*.tar.xz", store)


def installed_version(package: str) -> str | None:
    """The version of an installed package, or None (also where there is no dpkg)."""
    try:
        said = proc.output(["dpkg-query", "-W", "-f", "${db:Status-Abbrev}${Version}", package])
    except ToolFailed:
        return None
    return said[3:] if said.startswith("ii ") else None


def _source(package: str, pattern: str, store: Store) -> Source:
    version = installed_version(package)
    if version is not None and any(Path("/").glob(pattern)):
        return Source(package, version, _only(Path("/"), pattern, package))
    fetched = sorted(store.sources.glob(f"{package}_*"))
    root = fetched[-1] if fetched else _download(package, store)
    return Source(package, root.name.partition("_")[2], _only(root, pattern, package))


def _download(package: str, store: Store) -> Path:
    """Fetches a package with apt, unpacks it as `sources/<package>_<version>` in the store."""
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
    return store.sources / f"{package}_{version}"


def _only(root: Path, pattern: str, package: str) -> Path:
    found = sorted(root.glob(pattern))
    if len(found) != 1:
        raise UkccError(
            f"{package} should have one {root / pattern}, and has {len(found)}",
            f"as root: apt-get install --reinstall {package}",
        )
    return found[0]
