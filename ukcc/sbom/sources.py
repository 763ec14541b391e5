"""The sources of an image, which the GPL and the LGPL have one pass on with it."""

import json
import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ukcc import debsource, hashing, paths
from ukcc.errors import NotAnImage
from ukcc.image.facts import ImageMetadata, facts_of
from ukcc.sbom.contents import PROGRAM, UNKNOWN, ImageContents
from ukcc.sysroot import kernels

KERNEL_LICENCE = "GPL-2.0-only WITH Linux-syscall-note"
GLIBC_LICENCE = "LGPL-2.1-or-later"
MUSL_LICENCE = "MIT"
INIT_LICENCE = "GPL-2.0-only"

# What `inputs` of a sysroot.json may have in one table; init has 40 files.
_MOST_FILES = 4096

_DIGEST = re.compile(r"[0-9a-f]{64}")
# Debian Policy 5.6.1 and 5.6.12.
_PACKAGE = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_VERSION = re.compile(r"[0-9][A-Za-z0-9.+~:-]*")


@dataclass(frozen=True)
class SourceFile:
    """A file that went into a part. place: of the same, to the byte, in this ukcc, from the root of
    its sources; empty if it has none."""

    name: str
    sha256: str
    place: str


@dataclass(frozen=True)
class SourceComponent:
    """Kernel, glibc, musl or init. package, version: of the source tarball's package (empty: ours);
    sha256: the tarball's; is_source: it is a source package, and sha256 its .dsc's. patches in the
    order in which they are applied; files: configuration and build scripts, or the source itself.
    config_sha256: of the kernel's final .config; config_place: where that file is in the store,
    empty if it is not. made: the id of a kernel that was made for the image, whose .config no
    fragments of the sysroot have become."""

    name: str
    licence: str
    package: str = ""
    version: str = ""
    sha256: str = ""
    is_source: bool = False
    patches: tuple[SourceFile, ...] = ()
    files: tuple[SourceFile, ...] = ()
    config_sha256: str = ""
    config_place: str = ""
    made: str = ""
    fetch: tuple[str, ...] = ()


@dataclass(frozen=True)
class PackageSource:
    """A distribution's package in the archive, with its members there, and its source.

    sha256: digests of the source package's files by name; empty where apt has no list of them.
    """

    name: str
    version: str
    architecture: str
    source: str
    source_version: str
    members: tuple[str, ...]
    sha256: Mapping[str, str]
    fetch: tuple[str, ...]


@dataclass(frozen=True)
class ImageSources:
    """All of an image's. unknown: members whose origin cannot be told; program: the member that the
    user linked, and the static libraries of that link, whose sources are his own matter."""

    image: str
    sysroot: str
    ukcc: str
    thin: bool
    tools: Mapping[str, str]
    parts: tuple[SourceComponent, ...]
    packages: tuple[PackageSource, ...]
    program: tuple[str, ...]
    linked: tuple[str, ...]
    unknown: tuple[str, ...]
    rebuild: tuple[str, ...]

    def as_json(self) -> str:
        """One JSON object."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)


def read_sources(contents: ImageContents) -> ImageSources:
    """What the image's metadata and its archive tell. Raises NotAnImage for damaged metadata."""
    metadata = contents.metadata
    members = contents.members
    parts = read_parts(metadata, contents.path)
    return ImageSources(
        image=contents.path,
        sysroot=metadata.get("sysroot", ""),
        ukcc=metadata.get("ukcc", ""),
        thin="thin" in metadata,
        tools={
            name: text
            for name, text in sorted(metadata.get("versions", {}).items())
            if name not in ("linux", "glibc")
        },
        parts=parts,
        packages=tuple(_package_sources(contents)),
        program=tuple(m.path for m in members if m.origin == PROGRAM),
        linked=tuple(library.path for library in contents.linked),
        unknown=tuple(m.path for m in members if m.origin == UNKNOWN and not m.target),
        rebuild=(
            kernels.of_record(metadata).build,
            *(["ukcc specialise IMAGE"] if parts[0].made else []),
        ),
    )


def read_parts(metadata: Mapping[str, Any], what: str) -> tuple[SourceComponent, ...]:
    """Kernel, glibc, musl and init, as the sysroot's record in the image names their sources.

    An image of an earlier ukcc has no musl in its init.
    """
    inputs = metadata.get("inputs", {})
    own = metadata.get("kernel", {})
    made = own.get("made", "")
    config = _config_digest(own)
    release = kernels.of_record(metadata)
    kernel = _package(inputs, "linux", what)
    glibc = _package(inputs, "glibc", what)
    musl = _package(inputs, "musl", what)
    within_init = SourceComponent(
        "musl",
        MUSL_LICENCE,
        *musl,
        is_source=True,
        files=_files(inputs, "musl_script", "sysroot/musl", what),
        fetch=_fetch(*musl[:2], commands=("source",)),
    )
    return (
        SourceComponent(
            "linux",
            KERNEL_LICENCE,
            *kernel,
            patches=_files(inputs, "kernel_patches", f"sysroot/{release.patches}", what),
            files=(() if made else _files(inputs, "kernel_fragments", "sysroot/linux", what))
            + _files(inputs, "makers", "ukcc", what),
            config_sha256=config,
            config_place=_config_place(config, facts_of(metadata)),
            made=made,
            fetch=_fetch(*kernel[:2]),
        ),
        SourceComponent(
            "glibc",
            GLIBC_LICENCE,
            *glibc,
            files=_files(inputs, "glibc_script", "sysroot/glibc", what)
            + _files(inputs, "shims", "toolchain-shims", what)
            + _files(inputs, "room", "sysroot/link", what),
            fetch=_fetch(*glibc[:2]),
        ),
        *([within_init] if within_init.package else []),
        SourceComponent("init", INIT_LICENCE, files=_files(inputs, "init", "sysroot/init", what)),
    )


def _package(inputs: Mapping[str, Any], key: str, what: str) -> tuple[str, str, str]:
    """(package, version, SHA-256 of its tarball), each empty where it is not recorded.

    They become words of a command that somebody may run, so nothing else passes for them.
    """
    record = inputs.get(key, {})
    if not isinstance(record, dict):
        raise NotAnImage(f"{what}: damaged metadata: 'inputs.{key}' is not a table")
    values = [record.get(name, "") for name in ("package", "version", "sha256")]
    for value, form in zip(values, (_PACKAGE, _VERSION, _DIGEST), strict=True):
        if not isinstance(value, str) or (value and not form.fullmatch(value)):
            raise NotAnImage(f"{what}: damaged metadata: 'inputs.{key}' is not a package's record")
    package, version, digest = values
    return package, version, digest


def _config_place(digest: str, facts: ImageMetadata) -> str:
    """Where the store has the .config of an image's kernel, if it has the very same."""
    place = facts.kernel_file("config")
    return str(place) if digest and place and hashing.sha256(place) == digest else ""


def _config_digest(kernel: Mapping[str, str]) -> str:
    digest = kernel.get("config_sha256", "")
    return digest if _is_digest(digest) else ""


def _files(inputs: Mapping[str, Any], key: str, place: str, what: str) -> tuple[SourceFile, ...]:
    """A table of names and digests, each compared with what this ukcc has in `place` or below."""
    table = inputs.get(key, {})
    is_right = isinstance(table, dict) and all(_is_digest(digest) for digest in table.values())
    if not is_right or len(table) > _MOST_FILES:
        raise NotAnImage(f"{what}: damaged metadata: 'inputs.{key}' is not a table of digests")
    top, _, below = place.partition("/")
    root = Path(paths.data_dir(top))
    ours = {
        (path.name, hashing.sha256(path)): f"{top}/{path.relative_to(root)}"
        for path in sorted((root / below).rglob("*"))
        if path.name in table and path.is_file()
    }
    return tuple(SourceFile(n, sha, ours.get((n, sha), "")) for n, sha in sorted(table.items()))


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and bool(_DIGEST.fullmatch(value))


def _fetch(
    package: str, version: str, commands: tuple[str, ...] = ("download", "source")
) -> tuple[str, ...]:
    """The binary package that has the tarball, and the source package that it was made from.

    apt-get source finds the latter by the former's name.
    """
    if not package or not version:
        return ()
    word = shlex.quote(f"{package}={version}")
    return tuple(f"apt-get {command} {word}" for command in commands)


def _package_sources(contents: ImageContents) -> Iterator[PackageSource]:
    packages = contents.packages
    known = debsource.known_digests([(p.source, p.source_version) for p in packages])
    for package in packages:
        word = shlex.quote(f"{package.source}={package.source_version}")
        yield PackageSource(
            package.name,
            package.version,
            package.architecture,
            package.source,
            package.source_version,
            tuple(m.path for m in contents.members if m.package == package),
            known.get((package.source, package.source_version), {}),
            (f"apt-get source {word}",),
        )
