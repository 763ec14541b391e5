"""What is inside an image: read from the file, its notes, and the libraries it was linked from."""

import contextlib
import json
import os
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.errors import NotAnImage, UkccError
from ukcc.image import cpio
from ukcc.image.archive_file import Archive, is_piece
from ukcc.image.archives import StaticLibrary as Library
from ukcc.image.archives import origin
from ukcc.image.elf import Elf, elf_in_memory, open_elf
from ukcc.image.headers import open_headers
from ukcc.image.metadata import parse_metadata
from ukcc.image.notes import UKCC, UKCC_METADATA, XEN, XEN_ELFNOTE_PHYS32_ENTRY, find_note
from ukcc.image.pack import CHECKSUM
from ukcc.image.program_file import checksum
from ukcc.image.provenance import SYSROOT
from ukcc.image.section_names import KERNEL_SECTIONS, METADATA_SECTION, OURS
from ukcc.image.sites import INITIALISER_NAME, Sites, find_sites

# Each is mapped and its index read. A link of hundreds of libraries is a very large one.
_MOST_ARCHIVES = 512


@dataclass(frozen=True)
class RawCall:
    """A raw `syscall`: virtual address, function and library (empty: not known).

    certain: false where data could not be told from code, for want of a symbol.
    """

    addr: int
    function: str
    library: str
    certain: bool


@dataclass(frozen=True)
class LibraryInfo:
    """A shared library or the interpreter of a dynamic program: its path in the image, its size in
    bytes, and how many of its system calls are redirected to the gate, and raw."""

    path: str
    size: int
    sites_redirected: int
    sites_raw: int


@dataclass(frozen=True)
class ImageReport:
    """All that `ukcc inspect` shows. Sizes in bytes, addresses virtual unless named physical.

    changed: the program's part of the file is not what was packed; damaged: of that, what the
    machine's copy is made of. files: paths of the user's own
    in the image; settings: what it carries of a uk.toml. linkage: how uk-gcc linked the program,
    and why.
    """

    path: str
    program: str
    kind: str
    thin: bool
    entry: int
    interpreter: str
    stripped: bool
    changed: bool
    damaged: bool
    kernel: Mapping[str, str]
    kernel_entry_paddr: int
    sysroot: str
    versions: Mapping[str, str]
    inputs: Mapping[str, Any]
    libraries: tuple[str, ...]
    modules: tuple[LibraryInfo, ...]
    files: tuple[str, ...]
    sites_redirected: int
    sites_listed: bool
    sites_raw: tuple[RawCall, ...]
    sizes: Mapping[str, int]
    memory_min_mib: int
    settings: Mapping[str, Any]
    linkage: str
    link_command: tuple[str, ...]

    def as_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)


def inspect_image(path: Path) -> ImageReport:
    """Reads an image. Raises NotAnImage for what is none, UkccError for what cannot be read."""
    with open_elf(path) as elf:
        metadata = read_image_metadata(elf, path)
        sites = find_sites(elf)
        entry = elf.note(XEN, XEN_ELFNOTE_PHYS32_ENTRY)
        thin = "thin" in metadata
        if entry is None and not thin:
            raise NotAnImage(f"{path}: has no PVH note: no hypervisor can boot it")
        archive = elf.archive()
        members = list(archive.members())
        modules = _modules(elf, archive, members, metadata.get("program", ""))
        used = tuple(metadata.get("libraries", ()))
        sysroot = metadata.get("sysroot", "")
        changed = is_changed(path, metadata)
        return ImageReport(
            path=str(path),
            program=metadata.get("program", ""),
            kind=_kind(elf),
            thin=thin,
            entry=elf.entry,
            interpreter=elf.interpreter() or "",
            stripped=not elf.functions(),
            changed=changed,
            damaged=changed and elf.has_damaged_archive(),
            kernel=metadata.get("kernel", {}),
            kernel_entry_paddr=int.from_bytes(entry or b"", "little"),
            sysroot=sysroot,
            versions=metadata.get("versions", {}),
            inputs=metadata.get("inputs", {}),
            libraries=used,
            modules=modules,
            files=_files(members, metadata.get("program", ""), modules),
            sites_redirected=len(sites.redirected),
            sites_listed=sites.listed,
            sites_raw=_raw_calls(sites, list(link_archives(used, path.parent, sysroot))),
            sizes=_sizes(elf, path),
            memory_min_mib=metadata.get("memory_min_mib", 0),
            settings=metadata.get("settings", {}),
            linkage=metadata.get("linkage", ""),
            link_command=tuple(metadata.get("link_command", ())),
        )


def read_image_metadata(elf: Elf, path: Path) -> dict[str, Any]:
    """The metadata of an image that is open. Raises NotAnImage for a file without."""
    metadata = metadata_if_image(elf, path)
    if metadata is None:
        raise NotAnImage(
            f"{path}: an ELF file, but not an image", "link it with uk-gcc, or use ukcc pack"
        )
    return metadata


def metadata_if_image(elf: Elf, path: Path) -> "dict[str, Any] | None":
    """The same, but None for a file without."""
    text = elf.note(UKCC, UKCC_METADATA)
    if text is None:  # a thin image has it in a section only
        text = find_note(elf.section_bytes(METADATA_SECTION), UKCC, UKCC_METADATA)
    return None if text is None else parse_metadata(text, str(path))


def is_changed(path: Path, metadata: Mapping[str, Any]) -> bool:
    """Whether the program's part of the file is not what was packed, as after `strip`."""
    recorded = metadata.get(CHECKSUM)
    fd, headers = open_headers(str(path))
    try:
        return bool(recorded) and checksum(fd, headers) != recorded
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    finally:
        os.close(fd)


def _kind(elf: Elf) -> str:
    """`static`, `static PIE`, `dynamic` or `dynamic PIE`."""
    linkage = "dynamic" if elf.interpreter() else "static"
    return f"{linkage} PIE" if elf.kind == "ET_DYN" else linkage


def _modules(
    elf: Elf, archive: Archive, members: Iterable[cpio.Member], program: str
) -> tuple[LibraryInfo, ...]:
    """What lies beside a dynamic program, from the image's own archive."""
    if elf.interpreter() is None:
        return ()
    found = []
    for member in members:
        path = f"/{member.path}"
        if path in (program, "/init") or not stat.S_ISREG(member.mode):
            continue
        if not archive.is_elf(member):
            continue
        with contextlib.suppress(UkccError):
            data = archive.data(member)
            with elf_in_memory(data, Path(path)) as module:
                sites = find_sites(module)
                found.append(LibraryInfo(path, len(data), len(sites.redirected), len(sites.raw)))
    return tuple(found)


def _files(
    members: Iterable[cpio.Member], program: str, modules: tuple[LibraryInfo, ...]
) -> tuple[str, ...]:
    """The paths of what was added to the archive beside the program, its libraries and init.

    Another name of a library is a link beside it.
    """
    ours = {program, "/init", *(module.path for module in modules)}
    libraries = {module.path.rpartition("/")[0] for module in modules}
    return tuple(
        path
        for member in members
        for path in [f"/{member.path}"]
        if not stat.S_ISDIR(member.mode)
        and not member.path.startswith(".uk/")
        and path not in ours
        and not (stat.S_ISLNK(member.mode) and path.rpartition("/")[0] in libraries)
    )


def link_archives(used: Iterable[str], image: Path, sysroot: str) -> Iterator[Library]:
    """The archives of a link, as far as they are still there (see `provenance`)."""
    own = paths.sysroot_in_store(sysroot)
    seen = set()
    for recorded in list(dict.fromkeys(used))[:_MOST_ARCHIVES]:
        path = recorded.replace(SYSROOT, own, 1)
        for candidate in (Path(path), image / path):
            # os.path: a stranger's path that cannot be looked at is of no file (a name too long)
            if candidate.suffix == ".a" and os.path.isfile(candidate):  # noqa: PTH113
                with contextlib.suppress(OSError, ValueError):
                    status = candidate.stat()
                    if (status.st_dev, status.st_ino) not in seen:
                        seen.add((status.st_dev, status.st_ino))
                        yield Library(candidate)
                break


def _raw_calls(sites: Sites, archives: list[Library]) -> tuple[RawCall, ...]:
    calls = []
    for site in sites.raw:
        found = None
        if site.function and site.function != INITIALISER_NAME:
            found = origin(archives, site.function, site.size)
        library = "ukcc" if site.function == INITIALISER_NAME else str(found or "")
        calls.append(RawCall(site.addr, site.function, library, site.certain))
    return tuple(calls)


def _sizes(elf: Elf, path: Path) -> dict[str, int]:
    """Bytes of the file by part; `debug` is what strip -g would take away, roughly."""
    kernel = archive = debug = application = 0
    for section in elf.sections():
        if not section.in_file:
            continue
        if section.name.startswith(KERNEL_SECTIONS):
            kernel += section.size
        elif is_piece(section.name):
            archive += section.size
        elif section.name.startswith((".debug_", ".zdebug_")):
            debug += section.size
        elif section.allocated and not section.name.startswith(OURS):
            application += section.size
    return {
        "file": path.stat().st_size,
        "application": application,
        "debug": debug,
        "kernel": kernel,
        "archive": archive,
    }
