"""What is in an image, each part with its digest and, where it can be proved, its origin.

Proved is: the bytes are those that a package of this machine, or a sysroot of the store, has. The
image may be a stranger's: no name of its is opened, nothing of it is run.
"""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ukcc import hashing, paths
from ukcc.errors import NotAnImage, UkccError
from ukcc.image.archive_file import Archive
from ukcc.image.debug import without_debug
from ukcc.image.elf import Elf, open_elf
from ukcc.image.headers import open_headers
from ukcc.image.inspect import is_changed, read_image_metadata
from ukcc.image.provenance import SYSROOT
from ukcc.sbom.dpkg import Database, FileOwner, FileQuery, InstalledPackage, Shipped

# A component takes 20 KB of memory and a millisecond while the document is made.
MOST_FILES = 65536
_MOST_LIBRARIES = 4096  # of a link
_MOST_TOOLS = 64

# Compilers write a line for each of their versions; a large C++ program has a dozen.
_LARGEST_COMMENT = 1 << 20
_MOST_COMMENTS = 256

_CHUNK = 1 << 20

# Where a part of an image comes from.
PROGRAM, INIT, GLIBC, UKCC, PACKAGE, UNKNOWN = (
    "program", "init", "glibc", "ukcc", "package", "unknown"
)  # fmt: skip


@dataclass(frozen=True)
class ImageMember:
    """A file or symbolic link of the archive; `path` is absolute, in the image.

    size in bytes; sha256 and md5 in hex, empty of a link; target: a link's. origin: one of the
    words above; package: of which it is, with `origin` PACKAGE; same_as: packages that deliver the
    same bytes without being its origin for sure.
    """

    path: str
    size: int
    sha256: str
    md5: str
    target: str
    is_code: bool
    origin: str = UNKNOWN
    package: "InstalledPackage | None" = None
    same_as: tuple[InstalledPackage, ...] = ()


@dataclass(frozen=True)
class LinkedLibrary:
    """A static library of the link. owner: whose that path is on this machine today, if anyone's.

    The image has no digest of it, so that nothing more can be said.
    """

    path: str
    owner: "InstalledPackage | None"


@dataclass(frozen=True)
class ImageContents:
    """An image as a document about it needs it. metadata: see docs/image.md.

    sha256: of the file; archive_sha256: of the archive; comments: what the compilers wrote into
    the program; is_changed: whether the program is not the one of the archive any more.
    """

    path: str
    sha256: str
    metadata: Mapping[str, Any]
    archive_sha256: str
    members: tuple[ImageMember, ...]
    linked: tuple[LinkedLibrary, ...]
    comments: tuple[str, ...]
    is_changed: bool

    @property
    def packages(self) -> tuple[InstalledPackage, ...]:
        """Those that members come from, each once, sorted."""
        return tuple(sorted({m.package for m in self.members if m.package}))


def read_contents(path: Path, database: Database, *, thin: bool = False) -> ImageContents:
    """Reads an image. Raises NotAnImage for what is none, UkccError for what cannot be read.

    thin: take a thin image too, which has no members yet.
    """
    with open_elf(path) as elf:
        metadata = read_image_metadata(elf, path)
        if "thin" in metadata and not thin:
            raise UkccError(
                f"{path}: a thin image: what it will contain is decided when it is completed",
                f"complete it first: ukcc pack {path} -o IMAGE",
            )
        if len(metadata.get("versions", {})) > _MOST_TOOLS:
            raise NotAnImage(f"{path}: damaged metadata: 'versions' names too many tools")
        sysroot = _find_sysroot(metadata.get("sysroot", ""))
        archive = elf.archive()
        members = list(_read_members(archive, path))
        linked = _linked(metadata, path)
        found = database.find(FileQuery({m.md5 for m in members if m.md5}, linked))
        ours = _sysroot_digests(sysroot, members) if sysroot else {}
        program = metadata.get("program", "")
        return ImageContents(
            path=str(path),
            sha256=hashing.sha256(path),
            metadata=metadata,
            archive_sha256=_digest(archive, 0, archive.size, hashlib.sha256()),
            members=tuple(_with_origin(m, program, ours, found, database) for m in members),
            linked=tuple(LinkedLibrary(library, found.by_path.get(library)) for library in linked),
            comments=_comments(elf),
            is_changed=is_changed(path, metadata),
        )


def _linked(metadata: Mapping[str, Any], image: Path) -> list[str]:
    """The static libraries of the link, but for the sysroot's."""
    found = dict.fromkeys(metadata.get("libraries", ()))
    if len(found) > _MOST_LIBRARIES:
        raise UkccError(f"{image}: linked from more than {_MOST_LIBRARIES} libraries")
    return [path for path in found if path.endswith(".a") and not path.startswith(f"{SYSROOT}/")]


def _read_members(archive: Archive, image: Path) -> Iterator[ImageMember]:
    count = 0
    for member in archive.members():
        is_link = stat.S_ISLNK(member.mode)
        if not is_link and not stat.S_ISREG(member.mode):
            continue
        count += 1
        if count > MOST_FILES:
            raise UkccError(f"{image}: more than {MOST_FILES} files: too many for an SBOM")
        path = f"/{member.path}"
        if is_link:
            target = archive.read(member.offset, min(member.size, _CHUNK))
            text = target.decode("utf-8", "surrogateescape")
            yield ImageMember(path, member.size, "", "", text, False)
            continue
        md5 = hashlib.md5(usedforsecurity=False)
        sha256 = _digest(archive, member.offset, member.size, hashlib.sha256(), md5)
        yield ImageMember(path, member.size, sha256, md5.hexdigest(), "", archive.is_elf(member))


def _digest(archive: Archive, offset: int, size: int, *states: Any) -> str:
    """Of a part of the archive by each of these hashes; the first one's result, in hex."""
    end = offset + size
    while offset < end:
        data = archive.read(offset, min(_CHUNK, end - offset))
        if not data:
            break
        for state in states:
            state.update(data)
        offset += len(data)
    return str(states[0].hexdigest())


def _with_origin(
    member: ImageMember,
    program: str,
    ours: Mapping[tuple[str, str], str],
    found: FileOwner,
    database: Database,
) -> ImageMember:
    """By content alone: a file that differs by a bit from the one of its name is unknown."""
    if not member.sha256:
        return member
    origin = ours.get((os.path.basename(member.path), member.sha256))  # noqa: PTH119
    if origin:
        return replace(member, origin=origin)
    shipped = found.by_digest.get(member.md5, ())
    package = _owner(member, shipped, database)
    if package:
        return replace(member, origin=PACKAGE, package=package)
    same_as = tuple(sorted({one.package for one in shipped})) if member.size else ()
    if member.path == program:
        return replace(member, origin=PROGRAM, same_as=same_as)
    if member.path == "/.uk/program":
        return replace(member, origin=UKCC)
    return replace(member, same_as=same_as)


def _owner(
    member: ImageMember, shipped: Iterable[Shipped], database: Database
) -> "InstalledPackage | None":
    """The one package whose file this is: at its path, or moved if it tells by itself whose it is.

    A library lies elsewhere in an image, under its soname. Code is the same by no accident; of
    other files the name has to be one of the package's, too: many contain just a newline.
    """
    shipped = list(shipped)
    at_path = {one.package for one in shipped if _usr(one.path) == _usr(member.path)}
    if len(at_path) == 1:
        return at_path.pop()
    packages = {one.package for one in shipped}
    if not member.is_code:
        name = os.path.basename(member.path)  # noqa: PTH119
        packages = {p for p in packages if member.size and name in database.names(p)}
    return packages.pop() if len(packages) == 1 else None


def _usr(path: str) -> str:
    return path.removeprefix("/usr")


def _find_sysroot(wanted: str) -> "Path | None":
    """The sysroot of that id (16 hexadecimal digits, as read): in the store, or the one in use."""
    if not wanted:
        return None
    place = Path(paths.sysroot_in_store(wanted))
    if place.is_dir():
        return place
    current = Path(paths.current_sysroot() or "/nonexistent")
    return current if current.name == wanted and current.is_dir() else None


def _sysroot_digests(sysroot: Path, members: Iterable[ImageMember]) -> dict[tuple[str, str], str]:
    """(base name, SHA-256) of init and of glibc's files -> where they come from.

    Only files of the sysroot are opened, by the names that they have there.
    """
    names = {os.path.basename(member.path) for member in members}  # noqa: PTH119
    found = {}
    init = sysroot / "boot" / "init"
    if init.is_file():
        found[init.name, hashing.sha256(init)] = INIT
    for path in sorted((sysroot / "usr" / "lib").glob("*.so*")):
        if path.name in names and path.is_file() and _is_elf(path):
            found[path.name, hashlib.sha256(without_debug(str(path))).hexdigest()] = GLIBC
    return found


def _is_elf(path: Path) -> bool:
    try:
        os.close(open_headers(str(path))[0])
    except UkccError:
        return False
    return True


def _comments(elf: Elf) -> tuple[str, ...]:
    offset, size = elf.section_range(".comment")
    data = elf.bytes_at(offset, min(size, _LARGEST_COMMENT))
    texts = [line.decode("utf-8", "replace").strip() for line in data.split(b"\0")]
    return tuple(sorted({text for text in texts if text})[:_MOST_COMMENTS])
