"""The kernel in an image, and its symbols: found by the vmlinux that has the very same bytes."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.image.elf import Elf, Segment, open_elf
from ukcc.image.facts import facts_of
from ukcc.image.inspect import read_image_metadata
from ukcc.image.kernel import DESCRIPTOR
from ukcc.image.section_names import KERNEL_SECTIONS

_DESCRIPTOR_SYMBOL = "uk_archive"
_PIECE = 1 << 20
_INITCALL = re.compile(r"__initcall__kmod_.+?__\d+_\d+_(.+?)(early|con|rootfs|[0-7]s?)")


@dataclass(frozen=True)
class KernelPiece:
    """A part of the kernel in an image: at `offset` of the file, `size` bytes, for the physical
    address `paddr`, which the kernel itself knows as `vaddr`."""

    offset: int
    size: int
    paddr: int
    vaddr: int


def pieces_in(image: Elf) -> list[Segment]:
    """The segments of an image that are its kernel."""
    starts = {s.offset for s in image.sections() if s.name.startswith(KERNEL_SECTIONS)}
    return [load for load in image.loads() if load.offset in starts]


def find_vmlinux(image: Path, given: "Path | None" = None) -> "Path | None":
    """The file that has the symbols of the image's kernel: `given`, else that of its sysroot.

    None if there is none. Raises UkccError if `given` is not of this kernel.
    """
    with open_elf(image) as elf:
        path = given or facts_of(read_image_metadata(elf, image)).vmlinux
        if path is None:
            return None
        with open_elf(path) as vmlinux:
            if matched(elf, vmlinux):
                return path
    if given:
        raise UkccError(f"{given}: not the kernel of {image}", "name the vmlinux it was made from")
    return None


def matched(image: Elf, vmlinux: Elf) -> list[KernelPiece]:
    """Where the image's kernel is in vmlinux; empty unless all its bytes are the same there."""
    descriptor = vmlinux.symbol(_DESCRIPTOR_SYMBOL)
    found = []
    for part in pieces_in(image):
        load = next((load for load in vmlinux.loads() if _holds(load, part)), None)
        if load is None:
            return []
        into = part.paddr - load.paddr
        piece = KernelPiece(part.offset, part.filesz, part.paddr, load.vaddr + into)
        if not _is_same(image, vmlinux, piece, load.offset + into, descriptor):
            return []
        found.append(piece)
    return found


def _holds(load: Segment, part: Segment) -> bool:
    return load.paddr <= part.paddr and part.paddr + part.filesz <= load.paddr + load.filesz


def _is_same(
    image: Elf, vmlinux: Elf, piece: KernelPiece, at: int, descriptor: "int | None"
) -> bool:
    """But for the archive's place, which the packer fills in."""
    pairs = zip(_read(image, piece.offset, piece.size), _read(vmlinux, at, piece.size), strict=True)
    return all(
        ours == theirs or _without(ours, piece.vaddr + into, descriptor)
        == _without(theirs, piece.vaddr + into, descriptor)
        for into, (ours, theirs) in zip(range(0, piece.size, _PIECE), pairs, strict=True)
    )  # fmt: skip


def _read(elf: Elf, offset: int, size: int) -> Iterator[bytes]:
    for into in range(0, size, _PIECE):
        yield elf.bytes_at(offset + into, min(_PIECE, size - into))


def _without(data: bytes, address: int, descriptor: "int | None") -> bytes:
    into = -1 if descriptor is None else descriptor - address
    if not 0 <= into <= len(data) - DESCRIPTOR.size:
        return data
    return data[:into] + data[into + DESCRIPTOR.size :]


def levels(names: Iterable[str]) -> dict[str, str]:
    """Function -> level of its initcall, by the symbols that the kernel makes of each.

    `__initcall__kmod_NAME__COUNTER_LINE_FUNCTIONLEVEL` (include/linux/init.h).
    """
    found = (_INITCALL.fullmatch(name) for name in names)
    return {match[1]: match[2] for match in found if match}
