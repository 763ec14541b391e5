"""Shared libraries and dynamic programs, made byte by byte: what a loader looks at of them."""

import struct
from collections.abc import Sequence
from pathlib import Path

from ukcc.image.headers import EHDR_SIZE, PF_R, PHDR_SIZE, Ehdr, Phdr

LOADER = "/lib64/ld-linux-x86-64.so.2"
_TAGS = {"soname": 14, "rpath": 15, "runpath": 29}


def library(
    needed: Sequence[str] = (),
    *,
    soname: str = "",
    rpath: "str | None" = None,
    runpath: "str | None" = None,
    flags: int = 0,
    optional: Sequence[str] = (),
    interpreter: "str | bytes" = "",
    machine: int = 62,
    bits: int = 64,
    kind: int = 3,
    pad: int = 0,
) -> bytes:
    """An ELF file of one PT_LOAD with a dynamic section; pad: bytes behind all, to tell it by."""
    strings = b"\0"

    def name(text: "str | bytes") -> int:
        nonlocal strings
        at = len(strings)
        strings += (text if isinstance(text, bytes) else text.encode()) + b"\0"
        return at

    entries = [(1, name(n)) for n in needed]
    entries += [(0x7FFFFFFD, name(n)) for n in optional]
    given = {"soname": soname or None, "rpath": rpath, "runpath": runpath}
    entries += [(_TAGS[k], name(text)) for k, text in given.items() if text is not None]
    if flags:
        entries.append((0x6FFFFFFB, flags))
    interp = interpreter if isinstance(interpreter, bytes) else interpreter.encode() + b"\0"
    count = 3 if interpreter else 2
    dynamic_at = EHDR_SIZE + count * PHDR_SIZE
    strings_at = dynamic_at + 16 * (len(entries) + 3)
    entries += [(5, strings_at), (10, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    interp_at = strings_at + len(strings)
    size = interp_at + len(interp) + pad

    def phdr(kind: int, at: int, length: int) -> bytes:
        return Phdr(kind, PF_R, at, at, at, length, length, 8).pack()

    phdrs = phdr(1, 0, size) + phdr(2, dynamic_at, len(dynamic))
    if interpreter:
        phdrs += phdr(3, interp_at, len(interp))
    ident = b"\x7fELF" + bytes([bits // 32]) + b"\x01\x01" + bytes(9)
    ehdr = Ehdr(
        ident, kind, machine, 1, 0, EHDR_SIZE, 0, 0, EHDR_SIZE, PHDR_SIZE, count, 64, 0, 0
    )  # fmt: skip
    return ehdr.pack() + phdrs + dynamic + strings + interp + b"x" * pad


def write(path: Path, data: bytes) -> Path:
    """A file, with the directories that it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def cache_file(
    entries: Sequence["tuple[str, str, int, int]"], *, old: bool = False, flags: int = 2
) -> bytes:
    """An ld.so.cache of (name, path, flags, hwcap). old: with the format before it as well."""
    start = 48 + 24 * len(entries)
    strings, places = b"", []
    for name, path, _, _ in entries:
        places.append((start + len(strings), start + len(strings) + len(name) + 1))
        strings += name.encode() + b"\0" + path.encode() + b"\0"
    data = b"glibc-ld.so.cache1.1"
    data += struct.pack("<IIB3xI12x", len(entries), len(strings), flags, 0)
    for (_, _, kind, hwcap), (key, value) in zip(entries, places, strict=True):
        data += struct.pack("<iIIIQ", kind, key, value, 0, hwcap)
    data += strings
    if old:
        before = b"ld.so-1.7.0\0" + struct.pack("<I", 3) + bytes(12 * 3)
        data = before + bytes(-len(before) % 8) + data
    return data
