"""Build time: a linked kernel (`vmlinux`) → the two files every image is made from.

`kernel.bin` holds the PT_LOADs' bytes, each at an offset congruent to its physical address modulo
the page; `kernel.json` says where they go. Both are described in docs/architecture.md.
"""

import hashlib
import json
import re
import struct
from pathlib import Path
from typing import Any

from ukcc.errors import UkccError
from ukcc.image.elf import Elf, Segment, open_elf
from ukcc.image.headers import PAGE, align_up, congruent
from ukcc.image.kernel import DESCRIPTOR, DESCRIPTOR_MAGIC
from ukcc.image.notes import XEN, XEN_ELFNOTE_PHYS32_ENTRY
from ukcc.image.section_names import KERNEL_SECTIONS

_DESCRIPTOR_SYMBOL = "uk_archive"
_ONE_COPY = b"CONFIG_UK_ONE_COPY=y"
_RELEASE = re.compile(rb"Linux version (\S+)")
_FILL = b"\xcc" * (64 << 10)  # no code has as many int3 in a row
_LOWEST_LOAD = 1 << 20  # below lie real-mode memory, the firmware and the VMM's boot structures


def split_kernel(vmlinux: Path, out_dir: Path, *, config: Path, source_version: str) -> None:
    """Writes `kernel.bin` and `kernel.json` into `out_dir`.

    vmlinux: ELF64 with symbols. config: the final `.config`, of which the digest is kept.
    source_version: the source package's version. Raises UkccError if something is missing.
    """
    with open_elf(vmlinux) as elf:
        loads = [s for s in elf.loads() if s.filesz]
        if not loads:
            raise UkccError(f"{vmlinux}: has no segment to load")
        if min(s.paddr for s in loads) < _LOWEST_LOAD:
            raise UkccError(f"{vmlinux}: loads below 1 MiB", "set CONFIG_PHYSICAL_START higher")
        loads = [piece for load in loads for piece in _without_fill(elf, load)]
        data, segments = _concatenate(elf, loads)
        descriptor = _descriptor_offset(elf, loads, segments, data, vmlinux)
        facts = {
            "release": _release(data, vmlinux),
            "source": source_version,
            "config_sha256": hashlib.sha256(_read(config)).hexdigest(),
            "one_copy": _ONE_COPY in _read(config).splitlines(),
            "entry_paddr": _entry(elf, loads, vmlinux),
            "end_paddr": max(s.paddr + s.memsz for s in elf.loads()),
            "segments": segments,
            "descriptor": {"offset": descriptor, "size": DESCRIPTOR.size},
        }
    try:
        (out_dir / "kernel.bin").write_bytes(data)
        (out_dir / "kernel.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")
    except OSError as error:
        raise UkccError(f"{error.filename}: {error.strerror}") from None


def _without_fill(elf: Elf, load: Segment) -> list[Segment]:
    """The segment, cut in two where the linker only filled: the pages between, 0xcc, stay out.

    The kernel's script aligns what follows the text to 2 MiB (vmlinux.lds.S, X86_ALIGN_RODATA) and
    fills with int3; the kernel gives these pages to its allocator. Zeros stay: they may be data.
    """
    data = elf.bytes_at(load.offset, load.filesz)
    run = data.find(_FILL)
    if run < 0:
        return [load]
    start = align_up(load.paddr + run) - load.paddr
    rest = data[start:].lstrip(_FILL[:1])
    resumed = (load.paddr + load.filesz - len(rest)) // PAGE * PAGE - load.paddr
    head = load._replace(filesz=start, memsz=start)
    tail = load._replace(
        vaddr=load.vaddr + resumed,
        paddr=load.paddr + resumed,
        offset=load.offset + resumed,
        filesz=load.filesz - resumed,
        memsz=load.memsz - resumed,
    )
    return [head, *_without_fill(elf, tail)] if rest else [head]


def _concatenate(elf: Elf, loads: list[Segment]) -> tuple[bytes, list[dict[str, Any]]]:
    """(kernel.bin, the segments' entries for kernel.json)."""
    data = bytearray()
    segments: list[dict[str, Any]] = []
    for load in loads:
        start = -(-len(data) // PAGE) * PAGE
        offset = congruent(start, load.paddr)
        data += b"\0" * (offset - len(data)) + elf.bytes_at(load.offset, load.filesz)
        segments.append(
            {
                "name": _name(elf, load, {s["name"] for s in segments}),
                "flags": load.flags,
                "paddr": load.paddr,
                "offset": offset,
                "filesz": load.filesz,
            }
        )
    return bytes(data), segments


def _name(elf: Elf, load: Segment, taken: set[str]) -> str:
    """`.uk.kernel` + the kernel's own name for the first section in the segment, once each."""
    end = load.offset + load.filesz
    inside = (
        s.name
        for s in elf.sections()
        if s.in_file and s.allocated and s.offset < end and load.offset < s.offset + s.size
    )
    own = next(inside, str(load.number)).replace(".data..", "")
    name = f"{KERNEL_SECTIONS}{own.strip('.')}"
    return name if name not in taken else f"{name}.{len(taken)}"


def _entry(elf: Elf, loads: list[Segment], vmlinux: Path) -> int:
    """The physical address in the kernel's own Xen note (arch/x86/platform/pvh/head.S)."""
    description = elf.note(XEN, XEN_ELFNOTE_PHYS32_ENTRY)
    if description is None or len(description) not in (4, 8):
        raise UkccError(f"{vmlinux}: has no PVH entry point", "set CONFIG_PVH=y")
    entry = int.from_bytes(description, "little")
    if not any(s.paddr <= entry < s.paddr + s.filesz for s in loads):
        raise UkccError(f"{vmlinux}: the PVH entry point {entry:#x} is in no segment")
    return entry


def _descriptor_offset(
    elf: Elf, loads: list[Segment], segments: list[dict[str, Any]], data: bytes, vmlinux: Path
) -> int:
    """Where in kernel.bin the archive's descriptor is, found by its symbol, known by its magic."""
    address = elf.symbol(_DESCRIPTOR_SYMBOL)
    if address is None:
        raise UkccError(f"{vmlinux}: has no symbol {_DESCRIPTOR_SYMBOL}", "set CONFIG_UK=y")
    for load, segment in zip(loads, segments, strict=True):
        into = address - load.vaddr
        if 0 <= into <= load.filesz - DESCRIPTOR.size:
            offset = int(segment["offset"]) + into
            (magic,) = struct.unpack_from("<8s", data, offset)
            if magic != DESCRIPTOR_MAGIC:
                raise UkccError(f"{vmlinux}: {_DESCRIPTOR_SYMBOL} does not begin with its magic")
            return offset
    raise UkccError(f"{vmlinux}: {_DESCRIPTOR_SYMBOL} is in no segment (in the BSS?)")


def _release(data: bytes, vmlinux: Path) -> str:
    """The version out of `linux_banner` (init/version.c)."""
    match = _RELEASE.search(data)
    if match is None:
        raise UkccError(f"{vmlinux}: has no Linux version banner")
    return match.group(1).decode("ascii", "replace")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
