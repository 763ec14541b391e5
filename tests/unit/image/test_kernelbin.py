"""Splitting a vmlinux: from a small ELF made here, with a Xen note, symbols and a BSS."""

import json
import zlib
from pathlib import Path

import pytest
from support.image_samples import SYMBOL

from ukcc.errors import UkccError
from ukcc.image.headers import (
    PF_R,
    PF_W,
    PF_X,
    PT_LOAD,
    PT_NOTE,
    SHT_NOTE,
    SHT_NULL,
    SHT_PROGBITS,
    SHT_STRTAB,
    SHT_SYMTAB,
    Ehdr,
    Phdr,
    Shdr,
)
from ukcc.image.kernel import DESCRIPTOR, DESCRIPTOR_MAGIC, parse_kernel
from ukcc.image.kernelbin import split_kernel
from ukcc.image.notes import note, pvh_note

VIRT = 0xFFFFFFFF81000000
PHYS = 0x1000000
BANNER = b"Linux version 6.12.0-uk (builder) #1 \0"


def vmlinux(
    *,
    symbol: bytes = b"uk_archive",
    xen: bytes = pvh_note(PHYS + 0x100),
    magic: bytes = DESCRIPTOR_MAGIC,
    phys: int = PHYS,
    banner: bytes = BANNER,
    fill: int = 0,
) -> bytes:
    """Text at VIRT, data with the descriptor at +0x200000 (page offset 0x40), and a BSS."""
    text = b"\x90" * 0x200 + banner + b"\xcc" * fill + b"R" * 0x10 * bool(fill)
    data = bytearray(0x300)
    DESCRIPTOR.pack_into(data, 0x80, magic, 0, 0, 0, 0)
    data_vaddr, data_paddr = VIRT + 0x200040, phys + 0x200040
    names = b"\0.text\0.data\0.notes\0.symtab\0.strtab\0.shstrtab\0"
    strings = b"\0" + symbol + b"\0"
    symbols = SYMBOL.pack(0, 0, 0, 0, 0, 0) + SYMBOL.pack(1, 0x11, 0, 2, data_vaddr + 0x80, 32)
    end = fill + 0x1000
    at = {"text": 0x1000, "data": end + 0x1040, "notes": end + 0x2000, "symtab": end + 0x2100}
    at["names"], strings_at, shoff = end + 0x2200, end + 0x2180, end + 0x2300
    phdrs = [
        Phdr(PT_LOAD, PF_R | PF_X, at["text"], VIRT, phys, len(text), len(text), 0x200000),
        Phdr(PT_LOAD, PF_R | PF_W, at["data"], data_vaddr, data_paddr, 0x300, 0x5300, 0x200000),
        Phdr(PT_LOAD, PF_R | PF_W, 0, VIRT + 0x300000, phys + 0x300000, 0, 0x1234, 0x1000),
        Phdr(PT_NOTE, PF_R, at["notes"], 0, 0, len(xen), len(xen), 4),
    ]
    index = {name: names.index(b"." + name.encode()) for name in ("text", "data", "notes")}
    shdrs = [
        Shdr(0, SHT_NULL, *[0] * 8),
        Shdr(index["text"], SHT_PROGBITS, 6, VIRT, at["text"], len(text), 0, 0, 16, 0),
        Shdr(index["data"], SHT_PROGBITS, 3, data_vaddr, at["data"], 0x300, 0, 0, 64, 0),
        Shdr(index["notes"], SHT_NOTE, 0, 0, at["notes"], len(xen), 0, 0, 4, 0),
        Shdr(names.index(b".symtab"), SHT_SYMTAB, 0, 0, at["symtab"], len(symbols), 5, 1, 8, 24),
        Shdr(names.index(b".strtab"), SHT_STRTAB, 0, 0, strings_at, len(strings), 0, 0, 1, 0),
        Shdr(names.index(b".shstrtab"), SHT_STRTAB, 0, 0, at["names"], len(names), 0, 0, 1, 0),
    ]
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    ehdr = Ehdr(ident, 2, 62, 1, phys, 64, shoff, 0, 64, 56, len(phdrs), 64, len(shdrs), 6)
    parts = [
        (0, ehdr.pack() + b"".join(p.pack() for p in phdrs)),
        (at["text"], text),
        (at["data"], bytes(data)),
        (at["notes"], xen),
        (at["symtab"], symbols),
        (strings_at, strings),
        (at["names"], names),
        (shoff, b"".join(s.pack() for s in shdrs)),
    ]
    image = bytearray(shoff + 64 * len(shdrs))
    for offset, part in parts:
        image[offset : offset + len(part)] = part
    return bytes(image)


def split(data: bytes, where: Path) -> Path:
    (where / "vmlinux").write_bytes(data)
    (where / "config").write_text("CONFIG_UK=y\n")
    out = where / "out"
    out.mkdir()
    split_kernel(where / "vmlinux", out, config=where / "config", source_version="6.12.0-1")
    return out


def test_split(tmp_path: Path) -> None:
    out = split(vmlinux(), tmp_path)
    facts = json.loads((out / "kernel.json").read_text())
    data = (out / "kernel.bin").read_bytes()
    assert facts["release"] == "6.12.0-uk"
    assert facts["source"] == "6.12.0-1"
    assert len(facts["config_sha256"]) == 64
    assert facts["entry_paddr"] == PHYS + 0x100
    assert facts["end_paddr"] == PHYS + 0x301234
    assert [s["name"] for s in facts["segments"]] == [".uk.kernel.text", ".uk.kernel.data"]
    for segment in facts["segments"]:
        assert segment["offset"] % 4096 == segment["paddr"] % 4096
    text, rest = facts["segments"]
    assert data[text["offset"] :].startswith(b"\x90" * 0x200 + BANNER)
    assert rest["paddr"] == PHYS + 0x200040
    at = facts["descriptor"]["offset"]
    assert data[at : at + 8] == DESCRIPTOR_MAGIC
    assert rest["offset"] + 0x80 == at
    assert len(data) == rest["offset"] + 0x300
    assert parse_kernel(facts).size == len(data)


def test_what_the_kernel_does_with_the_archive_is_told(tmp_path: Path) -> None:
    facts = json.loads((split(vmlinux(), tmp_path) / "kernel.json").read_text())
    assert facts["one_copy"] is False
    (tmp_path / "config").write_text("CONFIG_UK=y\nCONFIG_UK_ONE_COPY=y\n")
    out = tmp_path / "out"
    split_kernel(tmp_path / "vmlinux", out, config=tmp_path / "config", source_version="1")
    facts = json.loads((out / "kernel.json").read_text())
    assert facts["one_copy"] is True
    assert parse_kernel(facts).one_copy
    del facts["one_copy"]  # of a sysroot from before
    assert not parse_kernel(facts).one_copy


def test_fill_stays_out(tmp_path: Path) -> None:
    fill = 0x30000
    out = split(vmlinux(fill=fill), tmp_path)
    facts = json.loads((out / "kernel.json").read_text())
    data = (out / "kernel.bin").read_bytes()
    head, tail, rest = facts["segments"]
    assert [s["name"] for s in facts["segments"]] == [
        ".uk.kernel.text", ".uk.kernel.text.1", ".uk.kernel.data",
    ]  # fmt: skip
    assert len(data) < 0x5000
    assert head["filesz"] == 0x1000
    length = 0x200 + len(BANNER) + fill
    assert tail["paddr"] == PHYS + length // 4096 * 4096
    assert data[tail["offset"] :][: tail["filesz"]].endswith(b"\xcc" + b"R" * 0x10)
    assert tail["paddr"] + tail["filesz"] == PHYS + length + 0x10
    assert rest["paddr"] == PHYS + 0x200040


def test_same_bytes(tmp_path: Path) -> None:
    sums = set()
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        out = split(vmlinux(), tmp_path / name)
        sums.add((zlib.crc32((out / "kernel.bin").read_bytes()), (out / "kernel.json").read_text()))
    assert len(sums) == 1


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (vmlinux(symbol=b"something"), "uk_archive"),
        (vmlinux(xen=note("GNU", 3, b"12345678")), "PVH"),
        (vmlinux(xen=pvh_note(0x5000000)), "in no segment"),
        (vmlinux(magic=b"WRONGMAG"), "magic"),
        (vmlinux(phys=0x1000, xen=pvh_note(0x1100)), "below 1 MiB"),
        (vmlinux(banner=b""), "banner"),
        (b"MZ" + bytes(100), "not an ELF file"),
        (vmlinux()[:300], "damaged"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, says: str) -> None:
    with pytest.raises(UkccError, match=says) as caught:
        split(data, tmp_path)
    assert "\n" not in caught.value.line("ukcc")
    assert not list((tmp_path / "out").iterdir())
