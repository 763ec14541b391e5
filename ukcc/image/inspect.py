"""What is inside an image: read from the file, its notes, and the libraries it was linked from."""

import contextlib
import json
import stat
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.errors import NotAnImage, UkccError
from ukcc.image import cpio
from ukcc.image.archives import Archive, origin
from ukcc.image.elf import Elf, elf_in_memory, open_elf
from ukcc.image.layout import METADATA_SECTION
from ukcc.image.notes import UKCC, UKCC_METADATA, XEN, XEN_ELFNOTE_PHYS32_ENTRY, find_note
from ukcc.image.provenance import SYSROOT
from ukcc.image.sites import INITIALISER_NAME, Sites, find_sites

_OWN_SECTIONS = ".uk."
_KERNEL_SECTIONS = ".uk.kernel."
_ARCHIVE_SECTION = ".uk.archive"


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
class Module:
    """A shared library or the interpreter of a dynamic program: its path in the image, its size in
    bytes, and how many of its system calls are redirected to the gate, and raw."""

    path: str
    size: int
    sites_redirected: int
    sites_raw: int


@dataclass(frozen=True)
class Report:
    """All that `ukcc inspect` shows. Sizes in bytes, addresses virtual unless named physical.

    files: paths of the user's own in the image; settings: what it carries of a uk.toml.
    """

    path: str
    program: str
    kind: str
    thin: bool
    entry: int
    interpreter: str
    stripped: bool
    kernel: Mapping[str, str]
    kernel_entry_paddr: int
    sysroot: str
    versions: Mapping[str, str]
    inputs: Mapping[str, Any]
    libraries: tuple[str, ...]
    modules: tuple[Module, ...]
    files: tuple[str, ...]
    sites_redirected: int
    sites_listed: bool
    sites_raw: tuple[RawCall, ...]
    sizes: Mapping[str, int]
    memory_min_mib: int
    settings: Mapping[str, Any]
    link_command: tuple[str, ...]

    def as_json(self) -> str:
        """The report as one JSON object."""
        return json.dumps(asdict(self), indent=2, sort_keys=True)


def inspect_image(path: Path) -> Report:
    """Reads an image. Raises NotAnImage for what is none, UkccError for what cannot be read."""
    with open_elf(path) as elf:
        metadata = _metadata(elf, path)
        sites = find_sites(elf)
        entry = elf.note(XEN, XEN_ELFNOTE_PHYS32_ENTRY)
        thin = "thin" in metadata
        if entry is None and not thin:
            raise NotAnImage(f"{path}: has no PVH note: no hypervisor can boot it")
        modules = _modules(elf, str(metadata.get("program", "")))
        used = tuple(str(p) for p in metadata.get("libraries", ()))
        sysroot = str(metadata.get("sysroot", ""))
        return Report(
            path=str(path),
            program=str(metadata.get("program", "")),
            kind=_kind(elf),
            thin=thin,
            entry=elf.entry,
            interpreter=elf.interpreter() or "",
            stripped=not elf.functions(),
            kernel=metadata.get("kernel", {}),
            kernel_entry_paddr=int.from_bytes(entry or b"", "little"),
            sysroot=sysroot,
            versions=metadata.get("versions", {}),
            inputs=metadata.get("inputs", {}),
            libraries=used,
            modules=modules,
            files=_files(elf, str(metadata.get("program", "")), modules),
            sites_redirected=len(sites.redirected),
            sites_listed=sites.listed,
            sites_raw=_raw_calls(sites, list(_archives(used, path.parent, sysroot))),
            sizes=_sizes(elf, path),
            memory_min_mib=int(metadata.get("memory_min_mib", 0)),
            settings=metadata.get("settings", {}),
            link_command=tuple(metadata.get("link_command", ())),
        )


def _metadata(elf: Elf, path: Path) -> dict[str, Any]:
    text = elf.note(UKCC, UKCC_METADATA)
    if text is None:  # a thin image has it in a section only
        text = find_note(elf.section_bytes(METADATA_SECTION), UKCC, UKCC_METADATA)
    if text is None:
        raise NotAnImage(
            f"{path}: an ELF file, but no image", "link it with uk-gcc, or use ukcc pack"
        )
    try:
        return dict(json.loads(text))
    except ValueError as error:
        raise NotAnImage(f"{path}: damaged metadata ({error})") from None


def _kind(elf: Elf) -> str:
    """`static`, `static PIE`, `dynamic` or `dynamic PIE`."""
    linkage = "dynamic" if elf.interpreter() else "static"
    return f"{linkage} PIE" if elf.kind == "ET_DYN" else linkage


def _modules(elf: Elf, program: str) -> tuple[Module, ...]:
    """What lies beside a dynamic program, from the image's own archive."""
    if elf.interpreter() is None:
        return ()
    found = []
    for member in cpio.members(elf.section_bytes(_ARCHIVE_SECTION)):
        path = f"/{member.path}"
        if path in (program, "/init") or not member.data.startswith(b"\x7fELF"):
            continue
        with contextlib.suppress(UkccError), elf_in_memory(member.data, Path(path)) as module:
            sites = find_sites(module)
            redirected = len(sites.redirected)
            found.append(Module(path, len(member.data), redirected, len(sites.raw)))
    return tuple(found)


def _files(elf: Elf, program: str, modules: tuple[Module, ...]) -> tuple[str, ...]:
    """The paths of what was added to the archive beside the program, its libraries and init."""
    ours = {program, "/init", *(module.path for module in modules)}
    paths = [
        f"/{member.path}"
        for member in cpio.members(elf.section_bytes(_ARCHIVE_SECTION))
        if not stat.S_ISDIR(member.mode) and not member.path.startswith(".uk/")
    ]
    return tuple(path for path in paths if path not in ours)


def _archives(used: Iterable[str], image: Path, sysroot: str) -> Iterator[Archive]:
    """The archives of a link, as far as they are still there (see `provenance`)."""
    own = str(Path(paths.store()) / "sysroots" / sysroot)
    for recorded in used:
        path = recorded.replace(SYSROOT, own, 1)
        for candidate in (Path(path), image / path):
            if candidate.suffix == ".a" and candidate.is_file():
                with contextlib.suppress(OSError, ValueError):
                    yield Archive(candidate)
                break


def _raw_calls(sites: Sites, archives: list[Archive]) -> tuple[RawCall, ...]:
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
        if section.name.startswith(_KERNEL_SECTIONS):
            kernel += section.size
        elif section.name == _ARCHIVE_SECTION:
            archive += section.size
        elif section.name.startswith((".debug_", ".zdebug_")):
            debug += section.size
        elif section.allocated and not section.name.startswith(_OWN_SECTIONS):
            application += section.size
    return {
        "file": path.stat().st_size,
        "application": application,
        "debug": debug,
        "kernel": kernel,
        "archive": archive,
    }
