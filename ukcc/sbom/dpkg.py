"""dpkg's database, asked which package a file's bytes come from.

Formats: deb-md5sums(5), dpkg-query(1), deb-control(5). A file is known by its content, not by
where it lies: what was changed since it was unpacked is nobody's.
"""

import contextlib
import os
import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from debian.deb822 import Deb822

_ADMINDIR = "/var/lib/dpkg"

_SUMS = ".md5sums"
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
# The first line of each stanza that dpkg writes.
_STANZA = re.compile(r"Package: (\S+)\n")
_ARCHITECTURE = re.compile(r"^Architecture: (\S+)$", re.MULTILINE)
_CONFFILE = re.compile(r"^ (/.*) ([0-9a-f]{32})(?: .*)?$", re.MULTILINE)
_SOURCE = re.compile(r"(\S+)(?: \((\S+)\))?")


@dataclass(frozen=True, order=True)
class InstalledPackage:
    """An installed binary package. vendor: of the distribution (`debian`), empty if not known."""

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    vendor: str = ""
    release: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.version}"


@dataclass(frozen=True)
class Shipped:
    """A file as a package delivers it, by its absolute path."""

    package: InstalledPackage
    path: str


@dataclass(frozen=True)
class FileQuery:
    """What to look for: MD5 digests in hex, and absolute paths."""

    digests: Collection[str] = ()
    paths: Collection[str] = ()


@dataclass(frozen=True)
class FileOwner:
    """Who ships a file of that content, and who owns the path on this machine."""

    by_digest: Mapping[str, tuple[Shipped, ...]] = field(default_factory=dict)
    by_path: Mapping[str, InstalledPackage] = field(default_factory=dict)


class Database:
    """The packages that are installed on this machine; empty where there is no dpkg.

    root: of another system. As with dpkg, DPKG_ADMINDIR names another database.
    """

    def __init__(self, root: "Path | None" = None) -> None:
        named = os.environ.get("DPKG_ADMINDIR", _ADMINDIR)
        admindir = root / _ADMINDIR[1:] if root else Path(named)
        has_root = str(admindir).endswith(_ADMINDIR)
        self._root = Path(str(admindir).removesuffix(_ADMINDIR) or "/") if has_root else None
        self._info = admindir / "info"
        self._stanzas = _read_stanzas(admindir / "status")
        self._vendor, self._release = _distribution(self._root) if self._root else ("", "")
        self._names: dict[InstalledPackage, frozenset[str]] = {}

    def find(self, wanted: FileQuery) -> FileOwner:
        """One pass over all that packages say of their files."""
        digests = frozenset(wanted.digests)
        paths = frozenset(_merged(path) for path in wanted.paths)
        by_digest: dict[str, set[tuple[str, str]]] = defaultdict(set)
        by_path: dict[str, str] = {}
        for key, digest, path in self._files():
            if digest in digests:
                by_digest[digest].add((key, path))
            if paths and _merged(path) in paths:
                by_path[_merged(path)] = key
        packages = {key: self._package(key) for key in self._keys(by_digest, by_path)}
        return FileOwner(
            {
                digest: tuple(Shipped(packages[key], path) for key, path in sorted(places))
                for digest, places in by_digest.items()
            },
            {
                path: packages[by_path[_merged(path)]]
                for path in wanted.paths
                if _merged(path) in by_path
            },
        )

    def names(self, package: InstalledPackage) -> frozenset[str]:
        """The base names of all that a package delivers, its symbolic links too."""
        if package not in self._names:
            self._names[package] = self._read_names(package)
        return self._names[package]

    def copyright_file(self, package: InstalledPackage) -> "Path | None":
        """Where a package has its licences; None for a database apart from its system."""
        if self._root is None:
            return None
        return self._root / "usr" / "share" / "doc" / package.name / "copyright"

    def _read_names(self, package: InstalledPackage) -> frozenset[str]:
        for key in (package.name, f"{package.name}:{package.architecture}"):
            with contextlib.suppress(OSError):
                listed = (self._info / f"{key}.list").read_text("utf-8", "surrogateescape")
                return frozenset(os.path.basename(line) for line in listed.splitlines())  # noqa: PTH119
        return frozenset()

    def _files(self) -> Iterator[tuple[str, str, str]]:
        """(package's key, MD5, absolute path) of each file that dpkg has a digest of."""
        for file in sorted(self._info.glob(f"*{_SUMS}")):
            key = file.name.removesuffix(_SUMS)
            if key not in self._stanzas:
                continue
            with contextlib.suppress(OSError):
                for line in file.read_text("utf-8", "surrogateescape").splitlines():
                    yield key, line[:32], "/" + line[34:]
        for key, stanza in self._stanzas.items():
            for path, digest in _CONFFILE.findall(stanza):
                yield key, digest, path

    @staticmethod
    def _keys(
        by_digest: Mapping[str, Iterable[tuple[str, str]]], by_path: Mapping[str, str]
    ) -> set[str]:
        return {key for places in by_digest.values() for key, _ in places} | set(by_path.values())

    def _package(self, key: str) -> InstalledPackage:
        fields = Deb822(self._stanzas[key])
        name, version = fields["Package"], fields.get("Version", "")
        source = _SOURCE.fullmatch(fields.get("Source", name))
        return InstalledPackage(
            name,
            version,
            fields.get("Architecture", ""),
            source[1] if source else name,
            (source[2] if source else "") or version,
            self._vendor,
            self._release,
        )


def _read_stanzas(status: Path) -> dict[str, str]:
    """The stanzas of installed packages by the names that their files in `info` have."""
    try:
        text = status.read_text("utf-8", "surrogateescape")
    except OSError:
        return {}
    found = {}
    for stanza in text.split("\n\n"):
        name = _STANZA.match(stanza)
        architecture = _ARCHITECTURE.search(stanza)
        if not name or not _NAME.fullmatch(name[1]) or " installed\n" not in stanza:
            continue
        found[name[1]] = stanza
        if architecture and "\nMulti-Arch: same\n" in stanza:
            del found[name[1]]
            found[f"{name[1]}:{architecture[1]}"] = stanza
    return found


def _merged(path: str) -> str:
    """The path on a system whose /bin, /lib and /sbin are links into /usr."""
    return path if not path.startswith(("/bin/", "/lib", "/sbin/")) else f"/usr{path}"


def _distribution(root: Path) -> tuple[str, str]:
    """(`debian`, `12`) by os-release(5); empty where the system does not tell."""
    for place in ("etc/os-release", "usr/lib/os-release"):
        with contextlib.suppress(OSError):
            text = (root / place).read_text("utf-8", "replace")
            fields = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
            return fields.get("ID", "").strip("\"'"), fields.get("VERSION_ID", "").strip("\"'")
    return "", ""
