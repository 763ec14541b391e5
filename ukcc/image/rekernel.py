"""Another kernel for an image that is there.

The archive's bytes stay, and so does the program; docs/image.md, "Another kernel", says what moves.
"""

import contextlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.image.archive_file import Archive, find_descriptor, open_archive
from ukcc.image.headers import PAGE, PHDR_SIZE, PT_NOTE, Headers, open_headers, reader
from ukcc.image.kernel import DESCRIPTOR, DESCRIPTOR_MAGIC, PackedKernel, read_kernel
from ukcc.image.memory import files_of, smallest_memory
from ukcc.image.metadata import parse_metadata
from ukcc.image.notes import (
    UKCC,
    UKCC_METADATA,
    XEN,
    XEN_ELFNOTE_PHYS32_ENTRY,
    find_note,
    metadata_note,
    note,
    pvh_note,
)
from ukcc.image.pack import CHECKSUM, is_device
from ukcc.image.parts import LINK_AGAIN, Parts, check_shared, find_parts, refusal
from ukcc.image.program_file import appended, checksum
from ukcc.image.relayout import Relayout, relayout
from ukcc.image.renaming import renumbered_symbols
from ukcc.image.write import copy, open_kernel, write_at, write_whole

_LARGEST_NOTES = 16 << 20
_MOVED_NOTES = "another tool has moved its notes"


@dataclass(frozen=True)
class _Image:
    """A whole image that is open for reading: where its parts are, what its notes say.

    notes: indices of the program headers of metadata and PVH note; archive_size, archive_crc32: of
    the archive itself, which ends within the last page of its last piece.
    """

    fd: int
    headers: Headers
    parts: Parts
    notes: tuple[int, int]
    text: bytes
    archive: Archive
    archive_size: int
    archive_crc32: int


def replace_kernel(image: str, output: str, kernel_directory: str) -> None:
    """Makes `output` of the whole image `image`, with the kernel of that directory in it.

    The output appears whole, by rename, with the image's permissions, or not at all; it may be the
    image itself. A character device is left alone. Raises UkccError for what is no image or a
    damaged one, and where the image has no place for what this kernel needs.
    """
    kernel = read_kernel("", kernel_directory)
    if is_device(output):
        return
    fd, headers = open_headers(image)
    try:
        kernel_bin = open_kernel(kernel_directory, kernel)
        try:
            _replace(image, output, fd, headers, kernel, kernel_bin)
        finally:
            os.close(kernel_bin)
    except OSError as error:
        raise UkccError(f"{image}: {error.strerror}") from None
    finally:
        os.close(fd)


def check_room(image: str, offers: Sequence[str]) -> None:
    """Raises UkccError where `replace_kernel` would refuse whatever kernel offers these features:
    for whoever is about to compile one."""
    fd, headers = open_headers(image)
    try:
        with _named(image):
            found = _read(fd, headers)
        old = parse_metadata(found.text, image)
        kernel = {**old.get("kernel", {}), "offers": " ".join(offers), "made": "0" * 16}
        with _named(image):
            _check_note({**old, "kernel": kernel}, headers.phdrs[found.notes[0]].filesz)
    except OSError as error:
        raise UkccError(f"{image}: {error.strerror}") from None
    finally:
        os.close(fd)


def _check_note(metadata: dict[str, Any], room: int) -> None:
    if len(metadata_note(metadata)) > room:
        raise refusal("there is no room in it for the description of this kernel")


def _replace(
    path: str, output: str, fd: int, headers: Headers, kernel: PackedKernel, kernel_bin: int
) -> None:
    with _named(path):
        image = _read(fd, headers)
    old = parse_metadata(image.text, path)
    with _named(path):
        made = relayout(headers, image.parts, kernel, image.notes)
        smallest = _smallest(image, made, kernel, loads_locale=old.get("loads_locale", True))
        metadata = {**old, "kernel": kernel.facts, "memory_min_mib": smallest}
        symbols = renumbered_symbols(fd, headers, made.indices)
        _check_note(metadata, made.metadata.filesz)
    size = made.end + appended(headers)
    is_unchanged = old.get(CHECKSUM) == checksum(fd, headers)

    def fill(target: int) -> None:
        _copy_parts(image, made, target)
        copy(kernel_bin, 0, target, image.parts.start, kernel.size)
        patches = [(made.moved(offset), data) for offset, data in symbols]
        for offset, data in [*patches, *_patches(image, made, kernel)]:
            write_at(target, data, offset)
        # Of a program that was changed since it was packed the old checksum stays, for `ukcc run`
        # has to see that, and to send the program along.
        crc = old.get(CHECKSUM)
        if is_unchanged:
            crc = checksum(target, made.headers._replace(size=size))
        said = metadata if crc is None else {**metadata, CHECKSUM: crc}
        write_at(target, metadata_note(said, made.metadata.filesz), made.metadata.offset)

    write_whole(output, fd, size, fill)


@contextlib.contextmanager
def _named(path: str) -> Iterator[None]:
    """Puts the image's name in front of what is wrong with it."""
    try:
        yield
    except UkccError as error:
        raise UkccError(f"{path}: {error.message}", error.hint or LINK_AGAIN) from None


def _read(fd: int, headers: Headers) -> _Image:
    parts = find_parts(headers)
    notes, text = _notes(fd, headers)
    check_shared(headers, parts, notes)
    read = reader(fd)
    archive = open_archive(read, headers, "")
    kernel = [headers.phdrs[index] for index in parts.segments]
    found = find_descriptor(read, kernel, parts.paddr)
    if found is None or found.size > archive.size:
        raise refusal("the one that it has does not say where the archive is")
    if archive.crc32(found.size) != found.crc32:
        # a new descriptor would hide that
        raise UkccError("damaged: its archive is not what was packed")
    return _Image(fd, headers, parts, notes, text, archive, found.size, found.crc32)


def _notes(fd: int, headers: Headers) -> tuple[tuple[int, int], bytes]:
    """(the indices of the program headers of metadata and PVH note, the former's text).

    Each has a header of its own, as the packer has given it; the PVH note is the last one.
    """
    places = [(i, p) for i, p in enumerate(headers.phdrs) if p.type == PT_NOTE and p.filesz]
    if sum(phdr.filesz for _, phdr in places) > _LARGEST_NOTES:
        raise UkccError("damaged ELF file: its notes are too long")
    found = [(index, os.pread(fd, phdr.filesz, phdr.offset)) for index, phdr in places]
    last, data = found[-1] if found else (0, b"")
    entry = find_note(data, XEN, XEN_ELFNOTE_PHYS32_ENTRY)
    if entry is None or len(entry) != 8 or data != pvh_note(int.from_bytes(entry, "little")):
        raise refusal(_MOVED_NOTES)
    for index, data in reversed(found):
        text = find_note(data, UKCC, UKCC_METADATA)
        if text is not None:
            if data != note(UKCC, UKCC_METADATA, text):
                raise refusal(_MOVED_NOTES)
            return (index, last), text
    raise refusal("it does not say what it was made of")


def _smallest(image: _Image, made: Relayout, kernel: PackedKernel, *, loads_locale: bool) -> int:
    """MiB that the machine needs, by the members that were packed."""
    members = list(cpio.walk(image.archive.read, 0, image.archive_size))
    # where the root comes again it is padding
    packed = [m for index, m in enumerate(members) if m.path != "." or not index]
    places = [m.offset for m in members if cpio.is_aligned(m)]
    return smallest_memory(
        image.archive_size,
        files_of(packed),
        kernel_end=made.archive,
        loaded_end=made.end_paddr,
        one_copy=kernel.one_copy and not any(place % PAGE for place in places),
        allowance=kernel.allowance,
        loads_locale=loads_locale,
    )


def _copy_parts(image: _Image, made: Relayout, target: int) -> None:
    """Copies all that stays what it is."""
    parts, size = image.parts, image.headers.size
    _copy_data(image.fd, 0, target, 0, parts.start)
    _copy_data(image.fd, parts.end, target, made.moved(parts.end), made.kept - parts.end)
    tail = appended(image.headers)
    copy(image.fd, size - tail, target, made.end, tail)


def _copy_data(source: int, start: int, target: int, offset: int, size: int) -> None:
    """Copies a part of a file without its holes: an image may have one of 16 MiB."""
    end, shift = start + size, offset - start
    while start < end:
        try:
            begin = os.lseek(source, start, os.SEEK_DATA)
        except OSError:  # there is nothing but a hole
            return
        start = min(os.lseek(source, begin, os.SEEK_HOLE), end)
        copy(source, begin, target, begin + shift, start - begin)


def _patches(image: _Image, made: Relayout, kernel: PackedKernel) -> Iterator[tuple[int, bytes]]:
    """(offset, bytes) of everything that is no plain copy, but for the metadata."""
    table = b"".join(p.pack() for p in made.phdrs)
    was = len(image.headers.phdrs) * PHDR_SIZE  # the metadata may begin where it ended
    yield made.ehdr.phoff, table.ljust(was, b"\0")
    yield 0, made.ehdr.pack()
    yield made.pvh.offset, pvh_note(kernel.entry_paddr)
    yield made.names_offset, made.names
    yield made.ehdr.shoff, b"".join(s.pack() for s in made.shdrs)
    descriptor = DESCRIPTOR.pack(
        DESCRIPTOR_MAGIC, made.archive, image.archive_size, image.archive_crc32, 0
    )
    yield image.parts.start + kernel.descriptor_offset, descriptor
