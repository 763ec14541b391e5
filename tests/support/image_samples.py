"""Small programs, a small kernel and a small sysroot, made byte by byte: no tools needed."""

import json
import struct
from pathlib import Path
from typing import NamedTuple

from ukcc.image import cpio
from ukcc.image.headers import (
    EHDR_SIZE,
    ET_DYN,
    ET_EXEC,
    PF_R,
    PF_W,
    PF_X,
    PHDR_SIZE,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    SHDR_SIZE,
    SHF_ALLOC,
    SHF_EXECINSTR,
    SHF_WRITE,
    SHT_NOBITS,
    SHT_NOTE,
    SHT_NULL,
    SHT_PROGBITS,
    SHT_STRTAB,
    SHT_SYMTAB,
    Ehdr,
    Phdr,
    Shdr,
    align_up,
)
from ukcc.image.kernel import DESCRIPTOR, DESCRIPTOR_MAGIC
from ukcc.image.notes import note

BASE = 0x10000000
GIB = 1 << 30
TEXT = b"\xb8\x27\x00\x00\x00\x0f\x05\xc3" * 8
DATA = b"application's data" * 20
SYMBOL = struct.Struct("<IBBHQQ")
BUILD_ID_AT = 0x300
INTERPRETER = b"/lib64/ld-linux-x86-64.so.2\0"


class Sample(NamedTuple):
    """What kind of program to make: its load address, type, BSS in bytes, dynamic or not.

    room: linked with what makes room for program headers; named: its build id has a symbol.
    code, constants: bytes of its text and of a read-only segment, which follows it in the same page
    of the file if `packed`, as lld lays it out.
    """

    base: int = BASE
    type: int = ET_EXEC
    bss: int = 0x800
    dynamic: bool = False
    sections: bool = True
    room: bool = False
    named: bool = False
    code: int = 0
    constants: int = 0
    packed: bool = False


SAMPLES = {
    "static": Sample(),
    "static, 1 GiB BSS": Sample(bss=GIB),
    "static at 4 MiB": Sample(base=0x400000),
    "static, no sections": Sample(sections=False),
    "static PIE at 0": Sample(base=0, type=ET_DYN),
    "static PIE at 0, 2 MiB BSS": Sample(base=0, type=ET_DYN, bss=2 << 20),
    "static PIE at 256 MiB": Sample(type=ET_DYN),
    "dynamic PIE": Sample(base=0, type=ET_DYN, dynamic=True),
    "dynamic, not PIE": Sample(base=0x400000, dynamic=True, bss=2 << 20),
    "static, room": Sample(room=True),
    "static, room, 1 GiB BSS": Sample(room=True, bss=GIB),
    "static PIE at 0, room": Sample(base=0, type=ET_DYN, room=True),
    "dynamic PIE, room": Sample(base=0, type=ET_DYN, dynamic=True, room=True),
    "dynamic, not PIE, room": Sample(base=0x400000, dynamic=True, bss=2 << 20, room=True),
    "static, room, but its build id has a name": Sample(room=True, named=True),
    "shared": Sample(room=True, code=0x5123, constants=0x4321),
    "shared, no room": Sample(code=0x5123, constants=0x4321),
    "shared, packed": Sample(room=True, code=0x5123, constants=0x4321, packed=True),
    "shared, packed, no room": Sample(code=0x5001, constants=0x4FFF, packed=True),
    "shared, code only": Sample(room=True, code=0x7000),
    "shared, static PIE at 0": Sample(
        base=0, type=ET_DYN, room=True, code=0x5123, constants=0x4321
    ),
    "shared, dynamic PIE": Sample(
        base=0, type=ET_DYN, dynamic=True, room=True, code=0x5000, constants=0x4000, packed=True
    ),
    "shared, dynamic PIE, no room": Sample(
        base=0, type=ET_DYN, dynamic=True, code=0x5123, constants=0x4321
    ),
    "shared, 1 GiB BSS": Sample(bss=GIB, room=True, code=0x5123, constants=0x4321),
}


def code_of(sample: Sample) -> bytes:
    """The text segment's bytes."""
    return TEXT + bytes(n * 7 & 0xFF for n in range(max(sample.code - len(TEXT), 0)))


def constants_of(sample: Sample) -> bytes:
    """Those of the read-only segment."""
    return bytes(n * 11 & 0xFF for n in range(sample.constants))


def program(sample: Sample = SAMPLES["static"]) -> bytes:
    """An ELF program with a text and a data segment, a note, symbols and section names."""
    head, text_at = 0xC00 if sample.room else 0x400, 0x1000
    code, constants = code_of(sample), constants_of(sample)
    constants_at = text_at + len(code)
    constants_at += -constants_at % (16 if sample.packed else 0x1000)
    constants_vaddr = sample.base + 0x1000 + constants_at
    data_at = align_up(constants_at + len(constants)) + 0x100
    data_vaddr = sample.base + 0x1000 + data_at + (0x1000 if constants else 0)
    bss_vaddr = data_vaddr + len(DATA)
    build_id = note("GNU", 3, b"\x01" * 20)
    room = note("UKCC", 3, bytes(1004))

    def load(flags: int, offset: int, vaddr: int, filesz: int, memsz: int) -> Phdr:
        return Phdr(PT_LOAD, flags, offset, vaddr, vaddr, filesz, memsz, 0x1000)

    phdrs = [
        load(PF_R, 0, sample.base, head, head),
        load(PF_R | PF_X, text_at, sample.base + text_at, len(code), len(code)),
        *(
            [load(PF_R, constants_at, constants_vaddr, len(constants), len(constants))]
            if constants
            else []
        ),
        load(PF_R | PF_W, data_at, data_vaddr, len(DATA), len(DATA) + sample.bss),
        Phdr(PT_NOTE, PF_R, BUILD_ID_AT, *[sample.base + BUILD_ID_AT] * 2, *[len(build_id)] * 2, 4),
    ]
    if sample.dynamic:
        size = PHDR_SIZE * (len(phdrs) + 2)
        at = sample.base + EHDR_SIZE
        interp = sample.base + 0x380
        phdrs = [
            Phdr(PT_PHDR, PF_R, EHDR_SIZE, at, at, size, size, 8),
            Phdr(PT_INTERP, PF_R, 0x380, interp, interp, *[len(INTERPRETER)] * 2, 1),
            *phdrs,
        ]

    names = b"\0.text\0.data\0.bss\0.symtab\0.strtab\0.shstrtab\0"
    names += b".interp\0.note.gnu.build-id\0.note.uk.room\0"
    names += b".rodata\0" if constants else b""
    strings = b"\0start\0array\0far\0id\0__ehdr_start\0"
    symbols = b"".join(
        SYMBOL.pack(name, 0x11, 0, shndx, value, 8)
        for name, shndx, value in [
            (0, 0, 0),
            (1, 1, sample.base + text_at),
            (7, 3, bss_vaddr),
            (13, 3, bss_vaddr + sample.bss - 8),
            (20, 7 if sample.room else 1, sample.base),
            *([(17, 7, BUILD_ID_AT + sample.base)] if sample.named else []),
        ]
    )
    symbols_at = data_at + 0x300
    strings_at = symbols_at + len(symbols)
    names_at = strings_at + len(strings)
    shoff = (names_at + len(names) + 7) // 8 * 8
    text, data, bss, symtab, strtab, shstrtab = (
        names.index(n) for n in (b".text", b".data", b".bss", b".symtab", b".strtab", b".shstrtab")
    )
    executable, writable = SHF_ALLOC | SHF_EXECINSTR, SHF_ALLOC | SHF_WRITE
    text_vaddr = sample.base + text_at
    shdrs = [
        Shdr(0, SHT_NULL, 0, 0, 0, 0, 0, 0, 0, 0),
        Shdr(text, SHT_PROGBITS, executable, text_vaddr, text_at, len(code), 0, 0, 16, 0),
        Shdr(data, SHT_PROGBITS, writable, data_vaddr, data_at, len(DATA), 0, 0, 32, 0),
        Shdr(bss, SHT_NOBITS, writable, bss_vaddr, data_at + len(DATA), sample.bss, 0, 0, 32, 0),
        Shdr(symtab, SHT_SYMTAB, 0, 0, symbols_at, len(symbols), 5, 1, 8, SYMBOL.size),
        Shdr(strtab, SHT_STRTAB, 0, 0, strings_at, len(strings), 0, 0, 1, 0),
        Shdr(shstrtab, SHT_STRTAB, 0, 0, names_at, len(names), 0, 0, 1, 0),
    ]
    if sample.room:
        by_name = [
            (b".note.gnu.build-id", SHT_NOTE, BUILD_ID_AT, len(build_id)),
            *([(b".interp", SHT_PROGBITS, 0x380, len(INTERPRETER))] if sample.dynamic else []),
            (b".note.uk.room", SHT_NOTE, 0x3A0, len(room)),
        ]
        shdrs += [
            Shdr(names.index(name), kind, SHF_ALLOC, sample.base + at, at, size, 0, 0, 4, 0)
            for name, kind, at, size in by_name
        ]
    if constants:
        name, size = names.index(b".rodata"), len(constants)
        shdrs.append(
            Shdr(name, SHT_PROGBITS, SHF_ALLOC, constants_vaddr, constants_at, size, 0, 0, 16, 0)
        )
    if not sample.sections:
        shdrs, shoff = [], 0
    ehdr = Ehdr(
        ident=b"\x7fELF\x02\x01\x01" + bytes(9),
        type=sample.type,
        machine=62,
        version=1,
        entry=sample.base + text_at,
        phoff=EHDR_SIZE,
        shoff=shoff,
        flags=0,
        ehsize=EHDR_SIZE,
        phentsize=PHDR_SIZE,
        phnum=len(phdrs),
        shentsize=SHDR_SIZE,
        shnum=len(shdrs),
        shstrndx=6 if shdrs else 0,
    )
    parts = {
        0: ehdr.pack(),
        EHDR_SIZE: b"".join(p.pack() for p in phdrs),
        BUILD_ID_AT: build_id,
        0x380: INTERPRETER,
        **({0x3A0: room} if sample.room else {}),
        text_at: code,
        constants_at: constants,
        data_at: DATA,
        symbols_at: symbols,
        strings_at: strings,
        names_at: names,
        shoff or names_at + len(names): b"".join(s.pack() for s in shdrs),
    }
    data_bytes = bytearray(max(at + len(part) for at, part in parts.items()))
    for at, part in parts.items():
        data_bytes[at : at + len(part)] = part
    return bytes(data_bytes)


def companions(linked: Path) -> list[cpio.Entry]:
    """What must lie beside the program in its image: of a dynamic one a loader."""
    if INTERPRETER not in linked.read_bytes():
        return []
    return [cpio.regular(INTERPRETER.rstrip(b"\0").decode(), b"loader", 0o755)]


def kernel_bin() -> bytes:
    """Three segments; the descriptor is at 0x3010, in the last."""
    data = bytearray(0x3100)
    data[0:0x1800] = b"K" * 0x1800
    data[0x2000:0x2200] = b"R" * 0x200
    DESCRIPTOR.pack_into(data, 0x3010, DESCRIPTOR_MAGIC, 0, 0, 0, 0)
    return bytes(data)


KERNEL = {
    "release": "6.12.0-uk",
    "source": "6.12.0-1",
    "config_sha256": "c0" * 32,
    "one_copy": True,
    "entry_paddr": 0x1000100,
    "end_paddr": 0x1234567,
    "segments": [
        {"name": ".uk.kernel.text", "flags": 5, "paddr": 0x1000000, "offset": 0, "filesz": 0x1800},
        {"name": ".uk.kernel.rodata", "flags": 4, "paddr": 0x1100000, "offset": 0x2000,
         "filesz": 0x200},
        {"name": ".uk.kernel.data", "flags": 6, "paddr": 0x1200000, "offset": 0x3000,
         "filesz": 0x100},
    ],
    "descriptor": {"offset": 0x3010, "size": 32},
}  # fmt: skip


def make_sysroot(where: Path) -> Path:
    """A directory with what packing reads of a sysroot."""
    (where / "kernel").mkdir(parents=True)
    (where / "boot").mkdir()
    (where / "kernel" / "kernel.bin").write_bytes(kernel_bin())
    (where / "kernel" / "kernel.json").write_text(json.dumps(KERNEL))
    (where / "boot" / "init").write_bytes(b"this is init")
    facts = {
        "id": "0123456789abcdef",
        "versions": {"linux": "6.12.0", "glibc": "2.36", "gcc": "12", "binutils": "2.40"},
        "inputs": {"linux": {"package": "linux-source-6.12", "version": "6.12.0-1"}},
    }
    (where / "sysroot.json").write_text(json.dumps(facts))
    return where


def make_shims(sysroot: Path) -> Path:
    """What a sysroot is known by, none of which is used."""
    for name in ("shims/as", "shims/room.o", "usr/lib/libuk_charsets.a"):
        file = sysroot / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o755)
    return sysroot
