"""Which file of the host is what the guest had mapped, and by how much it was moved."""

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.failures.core import Core
from ukcc.failures.places import LoadedModule
from ukcc.failures.shared import below, open_below
from ukcc.failures.view import application_view, memory_file
from ukcc.image.elf import elf_in_memory, open_elf
from ukcc.image.facts import read_metadata
from ukcc.image.headers import ET_EXEC, PAGE, PF_X, PT_LOAD, Headers, open_headers
from ukcc.image.provenance import SYSROOT

_MOST_MODULES = 1024  # files that a process has mapped; each is opened


class GuestFiles:
    """The guest's files as the host has them.

    image: the whole image; shares: (host's directory, guest's) of `ukcc run -v`.
    """

    def __init__(self, image: str, shares: Iterable["tuple[str, str]"] = ()) -> None:
        self._image = image
        self._shares = tuple(shares)
        metadata = read_metadata(image)
        self._program = metadata.get("program", "")
        self._libraries = metadata.get("libraries", [])
        self._sysroot = paths.sysroot_in_store(metadata.get("sysroot", ""))
        with open_elf(Path(image)) as elf:
            archive = elf.archive()
            self._members = {
                f"/{member.path}": archive.data(member)
                for member in archive.members()
                if archive.is_elf(member)
            }

    def programs(self) -> "list[str]":
        """Paths of the ELF files in the image, ours left out."""
        return [path for path in self._members if path != "/init"]

    def locate(self, path: str) -> "str | None":
        """The host's file with the same code as the guest's `path`, if there is one.

        With debug information, if any file of the link has it.
        """
        data = self._members.get(path)
        if data is None:
            return self._shared(path)
        if path == self._program:
            return application_view(self._image, data)
        for candidate in self._candidates(path):
            # os.path: what cannot be looked at is not there, whatever its name
            if os.path.isfile(candidate) and _same_code(candidate, data):  # noqa: PTH113
                return str(candidate)
        return memory_file(data, Path(path).name)[1]

    def _candidates(self, path: str) -> Iterator[Path]:
        """Files of the link that have the name, at the places where a link may have had them."""
        beside = Path(paths.real(self._image)).parent
        for recorded in self._libraries:
            library = recorded.replace(SYSROOT, self._sysroot, 1)
            if Path(library).name.startswith(Path(path).name.partition(".so")[0]):
                yield Path(library)
                yield beside / library
                yield beside / Path(library).name
        yield beside / Path(path).name

    def _shared(self, path: str) -> "str | None":
        for host, guest in self._shares:
            parts = below(path, guest)
            if parts is not None:
                # open as long as this process, so that it is the file that was looked at
                fd = open_below(host, parts)
                return None if fd is None else f"/proc/self/fd/{fd}"
        return None


def _same_code(candidate: Path, data: bytes) -> bool:
    """Whether the executable segments are the same, byte for byte."""
    try:
        with open_elf(candidate) as there, elf_in_memory(data, candidate) as here:
            pairs = [
                (elf.bytes_at(s.offset, s.filesz), s.vaddr)
                for elf in (there, here)
                for s in elf.loads()
                if s.flags & PF_X
            ]
    except UkccError:
        return False
    half = len(pairs) // 2
    return pairs[:half] == pairs[half:]


def modules_of(core: Core, files: GuestFiles) -> "list[LoadedModule]":
    """Every mapped file that the host has, and the kernel's library of the guest."""
    found = []
    mapped: dict[str, list[tuple[int, int]]] = {}
    for mapping in core.mappings:
        mapped.setdefault(mapping.path, []).append((mapping.start, mapping.offset))
    for path, places in islice(mapped.items(), _MOST_MODULES):
        place = files.locate(path)
        if place is not None:
            bias = _bias(place, places)
            if bias is not None:
                found.append(LoadedModule(Path(path).name, place, bias))
    vdso = core.memory.piece(core.vdso)
    if vdso:
        found.append(LoadedModule("[vdso]", memory_file(vdso, "vdso")[1], core.vdso))
    return found


def _bias(path: str, places: "list[tuple[int, int]]") -> "int | None":
    """How far a file was moved that is mapped at (address, offset), or None if that is no ELF."""
    headers = _headers(path)
    if headers is None:
        return None
    if headers.ehdr.type == ET_EXEC:
        return 0
    for start, offset in places:
        for phdr in headers.phdrs:
            if phdr.type == PT_LOAD and phdr.offset // PAGE * PAGE == offset:
                return start - phdr.vaddr // PAGE * PAGE
    return None


def _headers(path: str) -> "Headers | None":
    try:
        fd, headers = open_headers(path)
    except UkccError:
        return None
    os.close(fd)
    return headers
