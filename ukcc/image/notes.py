"""The two ELF notes of an image: where the kernel is entered, and what the image is made of."""

from __future__ import annotations

import struct

from ukcc.light import quickjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

XEN = "Xen"
XEN_ELFNOTE_PHYS32_ENTRY = 18  # xen/include/public/elfnote.h
UKCC = "UKCC"
UKCC_METADATA = 1

_HEADER = struct.Struct("<III")  # namesz, descsz, type
ALIGN = 4

_METADATA_HEAD = _HEADER.size + 8  # with the name, "UKCC" and its NUL, padded
_SPARE = 512


def note(name: str, kind: int, description: bytes) -> bytes:
    """One note: header, name and description, each padded to 4 bytes (ELF specification, notes)."""
    label = name.encode() + b"\0"
    return (
        _HEADER.pack(len(label), len(description), kind)
        + label
        + b"\0" * (-len(label) % ALIGN)
        + description
        + b"\0" * (-len(description) % ALIGN)
    )


def pvh_note(entry_paddr: int) -> bytes:
    """The PVH entry point, a physical address below 4 GiB.

    8 bytes: QEMU's `read_pvh_start_addr` (hw/i386/x86.c) reads a whole `size_t` of a 64-bit file;
    rust-vmm's linux-loader reads the first 4 and wants at least those. Little-endian serves both.
    """
    return note(XEN, XEN_ELFNOTE_PHYS32_ENTRY, struct.pack("<Q", entry_paddr))


def metadata_note(metadata: dict[str, Any], size: int = 0) -> bytes:
    """The metadata as JSON with sorted keys, so that the same facts give the same bytes.

    size: of the whole note, a multiple of 4, where its place is larger: spaces fill it.
    """
    text = quickjson.dumps(metadata).encode()
    return note(UKCC, UKCC_METADATA, text.ljust(size - _METADATA_HEAD))


def metadata_room(metadata: dict[str, Any]) -> int:
    """The bytes of an image's metadata note: some are free, for what another kernel says of itself
    (`rekernel`), and for the program headers that it needs more."""
    return len(metadata_note(metadata)) + _SPARE


def find_note(data: bytes, name: str, kind: int) -> bytes | None:
    """The description of the first such note in `data`, or None; damaged notes end the search."""
    wanted = name.encode() + b"\0"
    at = 0
    while at + _HEADER.size <= len(data):
        namesz, descsz, found = _HEADER.unpack_from(data, at)
        start = at + _HEADER.size
        body = start + namesz + -namesz % ALIGN
        if body + descsz > len(data):
            return None
        if found == kind and data[start : start + namesz] == wanted:
            return data[body : body + descsz]
        at = body + descsz + -descsz % ALIGN
    return None
