"""Packs a linked program, a kernel and an archive into one file: ELF for Linux, PVH for VMMs.

Part of every link, so: the standard library only, and little of it.
"""

from __future__ import annotations

# Importing pathlib would cost every link 5 ms:
# ruff: noqa: PTH116, PTH118, PTH119, PTH123
import os
import stat

from ukcc import __version__, paths
from ukcc.errors import SysrootMissing, UkccError
from ukcc.image import cpio
from ukcc.image.closure import check_complete, find_closure
from ukcc.image.debug import stripped
from ukcc.image.headers import Headers, open_headers, reader
from ukcc.image.kernel import NO_KERNEL, PackedKernel, directory_of, read_json, read_kernel
from ukcc.image.layout import Sizes, check_program, plan, plan_thin
from ukcc.image.memory import files_of, smallest_memory
from ukcc.image.notes import metadata_note, metadata_room, pvh_note
from ukcc.image.program_file import checksum
from ukcc.image.provenance import here, own_files, recorded_command, recorded_paths
from ukcc.image.room import is_pinned
from ukcc.image.section_names import ARCHIVE_SECTION
from ukcc.image.write import write_image

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any

# The metadata's key for what `program_file.checksum` says of the finished image.
CHECKSUM = "program_crc32"


def pack_program(
    linked: str,
    output: str,
    *,
    sysroot: str,
    link_command: Sequence[str],
    name: str,
    files: Iterable[cpio.Entry] = (),
    libraries: Sequence[str] = (),
    directories: Sequence[str] = (),
    thin: bool = False,
    settings: Mapping[str, Any] | None = None,
    linkage: str = "",
    opened: Sequence[str] | None = None,
    loads_locale: bool = True,
    kernel_directory: str = "",
) -> tuple[UkccError, ...]:
    """`pack_image`, with the interpreter and the libraries that a dynamic program needs.

    link_command: the user's argv; libraries: paths of what the link used (default: what the
    program loads); both are kept in the metadata as far as `provenance` lets them.
    directories: where shared libraries are looked for before all others. thin: carry neither
    kernel nor archive, but name them; `complete_image` adds them. settings: the document that the
    image carries (`ukcc.settings.document`); files: further files of the user's. linkage: how the
    program was linked, and why. opened: the files that its linker opened; then a library that is
    nowhere is no error, as it was none for the linker: returned is what is missing.
    loads_locale: False of a program that cannot (`loader_needs.may_load_locale`).
    kernel_directory: where a whole image's kernel is, if not in the sysroot.
    """
    places = here()
    directories = [paths.absolute(directory) for directory in directories]
    words = recorded_command(link_command, places)
    if thin:
        pack_thin(
            linked,
            output,
            sysroot=sysroot,
            link_command=words,
            name=name,
            libraries=recorded_paths(libraries, places, sysroot),
            directories=directories,
            settings=settings,
            linkage=linkage,
            opened=opened or (),
        )
        return ()
    files = list(files)
    closure = find_closure(
        linked, sysroot, directories, os.environ, linked=opened or (), partial=opened is not None
    )
    used = libraries or [library.path for library in closure.libraries]
    pack_image(
        linked,
        output,
        sysroot=sysroot,
        link_command=words,
        name=name,
        files=[*closure.entries(), *files],
        libraries=recorded_paths(used, places, sysroot),
        settings=settings,
        linkage=linkage,
        complete=not closure.missing,
        loads_locale=loads_locale or bool(files),
        kernel_directory=kernel_directory,
    )
    return closure.missing


def pack_image(
    linked: str,
    output: str,
    *,
    sysroot: str,
    link_command: Sequence[str],
    name: str,
    files: Iterable[cpio.Entry] = (),
    libraries: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    linkage: str = "",
    packed_as: str = "",
    complete: bool = True,
    loads_locale: bool = True,
    kernel_directory: str = "",
) -> None:
    """Makes the image `output` of the program `linked`.

    linked: what the linker wrote (ET_EXEC or PIE, x86-64); only read, and may be `output` itself.
    sysroot: directory of a finished sysroot. link_command, libraries: kept in the metadata.
    name: the program's file name inside the image, `/app/<name>`. files: further archive members.
    packed_as: the checksum in a thin image; the machine has one that was changed since as it is.
    complete: False if a dynamic program's libraries need not all be there.
    loads_locale: False if none of its programs can load a locale.
    kernel_directory: of the kernel, if it is not the sysroot's.

    The output appears whole, by rename, with the permissions of `linked`, or not at all. A
    character device (`-o /dev/null`) is left alone. Raises UkccError.
    """
    kernel = read_kernel(sysroot, kernel_directory)
    if is_device(output):
        return
    source, app = _open_program(linked)
    try:
        changed = packed_as and packed_as != checksum(source, app)
        program = _whole(linked) if changed else stripped(reader(source), app, linked)
        members = _members(sysroot, name, program, files)
        if complete:
            check_complete(app, source, linked, members)
        members = cpio.with_parents(members)
        archive = cpio.archive(members, cpio.modification_time(), pages=True)

        metadata = _metadata(sysroot, kernel, link_command, name, libraries, settings, linkage)
        if not loads_locale:
            metadata["loads_locale"] = False
        # the smallest memory depends on the layout; its digits find room in the note
        pvh = pvh_note(kernel.entry_paddr)
        place = cpio.place_of_last(len(archive), members[-1])
        sizes = Sizes(len(archive), metadata_room(metadata), len(pvh), place)
        layout = plan(app, kernel, sizes, is_pinned(source, app))
        metadata["memory_min_mib"] = smallest_memory(
            len(archive),
            files_of(members),
            kernel_end=layout.archive_paddr,
            loaded_end=layout.end_paddr,
            one_copy=kernel.one_copy,
            allowance=kernel.allowance,
            loads_locale=loads_locale,
        )
        note = _note_of(metadata, sizes.metadata)
        where = directory_of(sysroot, kernel_directory)
        write_image(output, source, app, layout, kernel, archive, note, pvh, kernel_directory=where)
    finally:
        os.close(source)


def pack_thin(
    linked: str,
    output: str,
    *,
    sysroot: str,
    link_command: Sequence[str],
    name: str,
    libraries: Sequence[str] = (),
    directories: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    linkage: str = "",
    opened: Sequence[str] = (),
) -> None:
    """Makes a thin image: the program, and a note that names the sysroot whose kernel it wants.

    directories, opened: where its shared libraries are, and those that the linker took, kept for
    the time when the image is completed.
    """
    kernel = read_kernel(sysroot)
    if is_device(output):
        return
    source, app = _open_program(linked)
    try:
        metadata = _metadata(sysroot, kernel, link_command, name, libraries, settings, linkage)
        taken = own_files(opened, sysroot)
        metadata["thin"] = {"directories": list(directories), **({"files": taken} if taken else {})}
        layout = plan_thin(app, len(metadata_note(metadata)))
        write_image(output, source, app, layout, NO_KERNEL, b"", _note_of(metadata), b"")
    finally:
        os.close(source)


def complete_image(
    thin: str,
    output: str,
    *,
    metadata: dict[str, Any],
    sysroot: str,
    files: Iterable[cpio.Entry],
    kernel_directory: str = "",
) -> None:
    """Makes a whole image of a thin one, from its `metadata` and the sysroot that they name.

    files: what a dynamic program needs beside itself. kernel_directory: as `pack_image` has it.
    """
    pack_image(
        thin,
        output,
        sysroot=sysroot,
        link_command=metadata["link_command"],
        name=os.path.basename(metadata["program"]),
        files=files,
        libraries=metadata.get("libraries", ()),
        settings=metadata.get("settings"),
        linkage=metadata.get("linkage", ""),
        packed_as=metadata.get(CHECKSUM, ""),
        kernel_directory=kernel_directory,
    )


def _open_program(path: str) -> tuple[int, Headers]:
    """A file descriptor to close, and the headers, of what may become an image."""
    source, app = open_headers(path)
    try:
        check_program(app, path)
        if app.section(ARCHIVE_SECTION):
            raise UkccError(f"{path}: is an image already")
    except BaseException:
        os.close(source)
        raise
    return source, app


def _metadata(
    sysroot: str,
    kernel: PackedKernel,
    link_command: Sequence[str],
    name: str,
    libraries: Sequence[str],
    settings: Mapping[str, Any] | None,
    linkage: str,
) -> dict[str, Any]:
    """What docs/image.md lists, but for what only a whole image can say."""
    return {
        **({"settings": dict(settings)} if settings else {}),
        **({"linkage": linkage} if linkage else {}),
        **_sysroot_facts(sysroot),
        "kernel": kernel.facts,
        "ukcc": __version__,
        "program": f"/app/{name}",
        "link_command": list(link_command),
        "libraries": list(libraries),
        "memory_min_mib": 0,
        CHECKSUM: "0" * 8,
    }


def _note_of(metadata: dict[str, Any], size: int = 0) -> Callable[[str], bytes]:
    """What makes the note, of `size` bytes, of the checksum of the image's program part."""
    return lambda crc: metadata_note({**metadata, CHECKSUM: crc}, size)


def _members(
    sysroot: str, name: str, program: bytes, files: Iterable[cpio.Entry]
) -> list[cpio.Entry]:
    """The archive's members, in the order of docs/architecture.md."""
    init = os.path.join(sysroot, "boot", "init")
    try:
        init_bytes = _whole(init)
    except UkccError as error:
        raise SysrootMissing(error.message, "build it with: ukcc sysroot build") from None
    where = f"/app/{name}"
    files = list(files)
    taken = next((f.path for f in files if f"/{f.path}" in ("/init", "/.uk/program", where)), None)
    if taken is not None:
        raise UkccError(f"/{taken}: this place in the image is taken", "choose another one")
    return [
        # the kernel's root file system begins as a tmpfs: 1777, which sshd and others refuse
        cpio.Entry(".", stat.S_IFDIR | 0o755),
        cpio.regular("/init", init_bytes, 0o755),
        cpio.regular("/.uk/program", where.encode("utf-8", "surrogateescape") + b"\0"),
        *files,
        cpio.regular(where, program, 0o755),
    ]


def _sysroot_facts(sysroot: str) -> dict[str, Any]:
    """What the sysroot says of itself, for the metadata: id, tool versions, everything hashed."""
    path = os.path.join(sysroot, "sysroot.json")
    try:
        facts = read_json(path)
        return {"sysroot": facts["id"], "versions": facts["versions"], "inputs": facts["inputs"]}
    except OSError as error:
        raise SysrootMissing(
            f"{path}: {error.strerror}", "build it with: ukcc sysroot build"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UkccError(f"{path}: cannot be understood ({error!r})") from None


def _whole(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None


def is_device(path: str) -> bool:
    """Whether it is one like /dev/null, which stays when something is written "to" it."""
    try:
        return stat.S_ISCHR(os.stat(path).st_mode)
    except OSError:
        return False
