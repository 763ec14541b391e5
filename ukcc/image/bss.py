"""Splitting a big BSS off its segment, so that no hypervisor clears it before boot.

A PT_LOAD whose memsz exceeds filesz is zero-filled by QEMU, in guest memory that the host must then
provide (a 1 GiB static array: 1 GiB touched). A PT_LOAD with filesz 0 is skipped by QEMU's
`rom_reset` and by rust-vmm's loader, and Linux maps it as anonymous memory. The section that
straddles the cut is split too: GNU strip and objcopy only keep sections within one segment.
"""

from __future__ import annotations

from ukcc.image.headers import (
    PAGE,
    PT_LOAD,
    SHF_ALLOC,
    SHF_TLS,
    SHT_NOBITS,
    Headers,
    Phdr,
    Shdr,
    align_up,
)
from ukcc.light.record import Record

# Below this the clearing costs less than a millisecond, and the file is easier to read unsplit.
BIG_BSS = 1 << 20


class Cut(Record):
    """Symbols of section `old` at or above `address` now belong to section `new`."""

    old: int
    address: int
    new: int


class Split(Record):
    """The application's headers after the split. `cut` is None where no section straddled it.

    A section that continues another one behind the cut is appended, under the same name.
    """

    phdrs: tuple[Phdr, ...]
    shdrs: tuple[Shdr, ...]
    cut: Cut | None


def split_bss(app: Headers) -> Split:
    """Splits every PT_LOAD with a big BSS at the first page boundary behind its file bytes."""
    phdrs: list[Phdr] = []
    shdrs = list(app.shdrs)
    cut = None
    for phdr in app.phdrs:
        if phdr.type != PT_LOAD or phdr.memsz - phdr.filesz < BIG_BSS or not phdr.filesz:
            phdrs.append(phdr)
            continue
        boundary = align_up(phdr.vaddr + phdr.filesz)
        head, tail = _cut_segment(phdr, boundary)
        phdrs += [head, tail]
        for index, shdr in enumerate(app.shdrs):
            if _straddles(shdr, boundary):
                shdrs[index] = shdr._replace(size=boundary - shdr.addr)
                cut = Cut(index, boundary, len(shdrs))
                shdrs.append(_continuation(shdr, boundary, tail.offset))
    return Split(tuple(phdrs), tuple(shdrs), cut)


def _cut_segment(phdr: Phdr, boundary: int) -> tuple[Phdr, Phdr]:
    first = phdr._replace(memsz=boundary - phdr.vaddr)
    # No bytes come from the file; the offset only has to be congruent to the address.
    offset = phdr.offset + (boundary - phdr.vaddr)
    second = phdr._replace(
        offset=offset, vaddr=boundary, filesz=0, memsz=phdr.vend - boundary, align=PAGE
    )
    return first, second


def _straddles(shdr: Shdr, boundary: int) -> bool:
    """Whether a section without bytes crosses the cut (.tbss has no memory of its own)."""
    return (
        shdr.type == SHT_NOBITS
        and bool(shdr.flags & SHF_ALLOC)
        and not shdr.flags & SHF_TLS
        and shdr.addr < boundary < shdr.addr + shdr.size
    )


def _continuation(shdr: Shdr, boundary: int, offset: int) -> Shdr:
    size = shdr.addr + shdr.size - boundary
    return shdr._replace(addr=boundary, offset=offset, size=size)
