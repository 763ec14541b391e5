"""The rules of everyone who loads an image, re-stated, and images held against them.

Each loader is written down here as far as it decides anything: QEMU 7.2 (include/hw/elf_ops.h,
hw/core/loader.c, hw/i386/x86.c), rust-vmm's linux-loader (src/loader/elf/mod.rs; Firecracker and
Cloud Hypervisor), Linux (fs/binfmt_elf.c, before and since 5.18).
"""

import json
import os
import struct
import zlib
from pathlib import Path

import pytest
from support.image_samples import (
    DATA,
    INTERPRETER,
    SAMPLES,
    TEXT,
    code_of,
    companions,
    constants_of,
    make_sysroot,
    program,
)
from support.kernel_samples import made_kernel

from ukcc.image.headers import (
    EHDR_SIZE,
    ET_DYN,
    PAGE,
    PHDR_SIZE,
    PT_INTERP,
    PT_LOAD,
    PT_NOTE,
    PT_PHDR,
    SHF_ALLOC,
    SHT_NOBITS,
    Headers,
    Phdr,
    read_headers,
)
from ukcc.image.kernel import DESCRIPTOR
from ukcc.image.notes import UKCC, UKCC_METADATA, find_note, note
from ukcc.image.pack import pack_image
from ukcc.image.rekernel import replace_kernel

MIB = 1 << 20
HIMEM_START = 1 * MIB
Memory = dict[int, bytes]


class Image:
    """A packed sample: its bytes, its headers, the headers it was linked with, its kernel."""

    def __init__(self, path: Path, linked: Path, sample: str, kernel: Path, packed: bool) -> None:
        self.sample = sample
        self.has_first_kernel = packed
        self.kernel = json.loads((kernel / "kernel.json").read_text())
        self.kernel_bin = (kernel / "kernel.bin").read_bytes()
        self.data = path.read_bytes()
        self.headers = _headers(path)
        self.linked = _headers(linked)

    def loads(self) -> list[Phdr]:
        return [p for p in self.headers.phdrs if p.type == PT_LOAD]

    def metadata(self) -> dict[str, object]:
        for phdr in self.headers.phdrs:
            found = find_note(self.part(phdr), UKCC, UKCC_METADATA)
            if phdr.type == PT_NOTE and found:
                return dict(json.loads(found))
        raise AssertionError("no metadata note")

    def part(self, phdr: Phdr) -> bytes:
        return self.data[phdr.offset : phdr.offset + phdr.filesz]


def _headers(path: Path) -> Headers:
    with path.open("rb") as file:
        return read_headers(file.fileno(), os.fstat(file.fileno()).st_size, str(path))


# How it gets its kernel: at the link, or another one after it, smaller or larger.
KERNELS = {
    "packed": (),
    "fewer segments": (2, 1),
    "as many": (3, 5),
    "more": (5, 9),
}


@pytest.fixture(scope="module", params=[(s, k) for s in SAMPLES for k in KERNELS], ids=str)
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Image:
    sample, kernel = request.param
    where = tmp_path_factory.mktemp("image")
    linked, output = where / "linked", where / "program"
    linked.write_bytes(program(SAMPLES[sample]))
    sysroot = make_sysroot(where / "sysroot")
    pack_image(
        str(linked),
        str(output),
        sysroot=str(sysroot),
        link_command=["uk-gcc", "x.c"],
        name="program",
        files=companions(linked),
    )
    if not KERNELS[kernel]:
        return Image(output, linked, sample, sysroot / "kernel", packed=True)
    count, pages = KERNELS[kernel]
    made = made_kernel(where / "made", count, pages=pages)
    replace_kernel(str(output), str(output), str(made))
    return Image(output, linked, sample, made, packed=False)


# QEMU


def qemu_load(image: Image) -> tuple[Memory, int]:
    """(guest memory, PVH entry): load_elf64 with read_pvh_start_addr, then rom_reset."""
    assert image.data[0x202:0x206] != b"HdrS"  # would be a bzImage
    assert not image.headers.ehdr.flags & 0x00010004  # "elfboot unsupported flags"
    roms, entry, total = [], 0, 0
    for phdr in image.headers.phdrs:
        if phdr.type == PT_LOAD:
            assert phdr.offset + phdr.filesz <= len(image.data) or not phdr.filesz
            if phdr.memsz:
                roms.append(phdr)
            total += phdr.memsz
        elif phdr.type == PT_NOTE:
            entry = _qemu_pvh(image.data, phdr) or entry
    assert total < 1 << 31, "load_elf's result is kept in an int"
    assert entry
    end = 0
    for rom in sorted(roms, key=lambda p: p.paddr):  # rom_check_and_register_reset
        assert rom.paddr >= end, "Some ROM regions are overlapping"
        end = rom.pend
    filled = [p for p in roms if p.filesz]  # a ROM without data is not written
    return {p.paddr: image.part(p) + bytes(p.memsz - p.filesz) for p in filled}, entry


def _qemu_pvh(data: bytes, phdr: Phdr) -> int:
    """get_elf_note_type for XEN_ELFNOTE_PHYS32_ENTRY, then eight bytes.

    It reads on in the file behind the last note, until one is longer than the whole segment.
    """
    at = phdr.offset
    while True:
        assert at + 12 <= len(data), "reads behind the file: SIGSEGV"
        namesz, descsz, kind = struct.unpack_from("<III", data, at)
        aligned = [-(-size // phdr.align) * phdr.align for size in (namesz, descsz)]
        if kind == 18:
            return int(struct.unpack_from("<Q", data, at + 12 + aligned[0])[0])
        if 12 + sum(aligned) > phdr.filesz:
            return 0
        at += 12 + sum(aligned)


def test_qemu_gets_kernel_archive_and_entry(image: Image) -> None:
    memory, entry = qemu_load(image)
    check_boot(image, memory, entry)


def test_qemu_clears_little(image: Image) -> None:
    memory, _ = qemu_load(image)
    assert sum(map(len, memory.values())) < 2 * MIB


# rust-vmm


def rust_vmm_load(image: Image, memory_mib: int) -> tuple[Memory, int]:
    """(guest memory, PVH entry): Elf::load with highmem_start_address = 1 MiB."""
    ehdr = image.headers.ehdr
    assert ehdr.phentsize == PHDR_SIZE
    assert ehdr.phoff >= EHDR_SIZE
    assert ehdr.entry >= HIMEM_START, "InvalidEntryAddress"
    memory: Memory = {}
    pvh = None
    for phdr in image.headers.phdrs:
        if phdr.type == PT_NOTE:
            pvh = _rust_pvh(image, phdr)  # whatever the last one says, counts
        if phdr.type != PT_LOAD or not phdr.filesz:
            continue
        assert phdr.paddr + phdr.filesz <= memory_mib * MIB, "ReadKernelImage: not in memory"
        memory[phdr.paddr] = image.part(phdr)
    assert pvh is not None, "PvhEntryNotPresent"
    return memory, pvh


def _rust_pvh(image: Image, phdr: Phdr) -> "int | None":
    at = 0
    while at < phdr.filesz:
        start = phdr.offset + at
        namesz, descsz, kind = struct.unpack_from("<III", image.data, start)
        assert phdr.align and phdr.align & (phdr.align - 1) == 0, "Error::Align"
        name = image.data[start + 12 : start + 12 + namesz]
        body = start + 12 + -(-namesz // phdr.align) * phdr.align
        if kind == 18 and name == b"Xen\0":
            assert descsz >= 4, "InvalidPvhNote"
            return int(struct.unpack_from("<I", image.data, body)[0])
        at = body - phdr.offset + -(-descsz // phdr.align) * phdr.align
    return None


def test_rust_vmm_gets_kernel_archive_and_entry(image: Image) -> None:
    smallest = image.metadata()["memory_min_mib"]
    assert isinstance(smallest, int)
    memory, entry = rust_vmm_load(image, smallest)
    check_boot(image, memory, entry)


def test_all_that_is_loaded_is_in_the_stated_memory(image: Image) -> None:
    """QEMU writes what lies behind the memory to nowhere, and says nothing."""
    smallest = image.metadata()["memory_min_mib"]
    assert isinstance(smallest, int)
    memory, _ = qemu_load(image)
    assert max(start + len(data) for start, data in memory.items()) <= smallest * MIB


def check_boot(image: Image, memory: Memory, entry: int) -> None:
    """The kernel is where it wants to be, and its descriptor describes an intact archive."""
    kernel = image.kernel
    assert entry == kernel["entry_paddr"]
    assert entry >= HIMEM_START
    original = image.kernel_bin
    loaded = {s["paddr"]: memory[s["paddr"]] for s in kernel["segments"]}
    descriptor_segment = kernel["segments"][-1]
    into = kernel["descriptor"]["offset"] - descriptor_segment["offset"]
    for segment in kernel["segments"][:-1]:
        start = segment["offset"]
        assert loaded[segment["paddr"]] == original[start : start + segment["filesz"]]
    fields = DESCRIPTOR.unpack_from(loaded[descriptor_segment["paddr"]], into)
    magic, phys, size, crc32, reserved = fields
    assert (magic, reserved) == (b"UKARCHIV", 0)
    assert phys % PAGE == 0
    assert phys >= kernel["end_paddr"], "the kernel's BSS and brk would overwrite the archive"
    archive = physical(memory, phys, size)
    assert zlib.crc32(archive) == crc32
    assert archive.startswith(b"070701")
    # nothing else may lie where the kernel's BSS and brk are
    ranges = [(s["paddr"], s["paddr"] + s["filesz"]) for s in kernel["segments"]]
    others = {a: d for a, d in memory.items() if a not in loaded}
    assert min(others) >= kernel["end_paddr"]
    assert max(end for _, end in ranges) <= kernel["end_paddr"]


def physical(memory: Memory, address: int, size: int) -> bytes:
    """Bytes of memory, all of which something was loaded to."""
    data = b""
    while len(data) < size:
        assert address + len(data) in memory, "a gap in the archive, which would be zero by chance"
        data += memory[address + len(data)]
    return data[:size]


# Linux


def linux_exec(image: Image, since_5_18: bool) -> tuple[Memory, int]:
    """(the process's memory, AT_PHDR), load bias 0: load_elf_binary."""
    ehdr = image.headers.ehdr
    assert PHDR_SIZE * ehdr.phnum <= PAGE, "load_elf_phdrs"
    loads = image.loads()
    assert loads == sorted(loads, key=lambda p: p.vaddr)
    memory: Memory = {}
    end = 0x10000 if ehdr.type != ET_DYN else -1  # vm.mmap_min_addr
    at_phdr = 0
    for phdr in loads:
        assert phdr.offset % PAGE == phdr.vaddr % PAGE, "mmap: EINVAL"
        assert phdr.filesz <= phdr.memsz
        start = phdr.vaddr // PAGE * PAGE
        assert start >= end, "MAP_FIXED_NOREPLACE: EEXIST"
        end = -(-phdr.vend // PAGE) * PAGE
        memory[phdr.vaddr] = image.part(phdr)
        if phdr.offset <= ehdr.phoff < phdr.offset + phdr.filesz:
            at_phdr = ehdr.phoff - phdr.offset + phdr.vaddr
    if not since_5_18:
        at_phdr = loads[0].vaddr - loads[0].offset + ehdr.phoff
    # Before 6.7 the end of the topmost segment is cleared when its memsz exceeds its filesz,
    # with -EFAULT where it cannot be written.
    assert loads[-1].filesz == loads[-1].memsz
    return memory, at_phdr


def read(memory: Memory, address: int, size: int) -> bytes:
    for start, data in memory.items():
        if start <= address and address + size <= start + len(data):
            return data[address - start : address - start + size]
    raise AssertionError(f"{address:#x} is not mapped")


@pytest.mark.parametrize("since_5_18", [True, False])
def test_linux_gives_the_application_its_headers(image: Image, since_5_18: bool) -> None:
    memory, at_phdr = linux_exec(image, since_5_18)
    table = read(memory, at_phdr, PHDR_SIZE * image.headers.ehdr.phnum)
    assert table == b"".join(p.pack() for p in image.headers.phdrs)
    base = SAMPLES["static"].base if image.linked.ehdr.type != ET_DYN else None
    linked = [p for p in image.linked.phdrs if p.type == PT_LOAD]
    assert read(memory, linked[1].vaddr, len(TEXT)) == TEXT
    assert read(memory, linked[-1].vaddr, len(DATA)) == DATA
    sample = SAMPLES[image.sample]
    assert read(memory, linked[1].vaddr, linked[1].memsz) == code_of(sample)
    if sample.constants:
        assert read(memory, linked[2].vaddr, linked[2].memsz) == constants_of(sample)
    assert base is None or linked[0].vaddr <= base


@pytest.mark.parametrize("since_5_18", [True, False])
def test_table_is_at_the_elf_header_plus_e_phoff(image: Image, since_5_18: bool) -> None:
    """As valgrind, gVisor and symbolizers compute it."""
    if image.sample == "static, 1 GiB BSS":
        pytest.skip("behind such a program's memory the table would make a file of 1 GiB")
    _, at_phdr = linux_exec(image, since_5_18)
    header = next(p for p in image.loads() if p.offset == 0)
    assert header.vaddr + image.headers.ehdr.phoff == at_phdr
    # qemu-user, load_elf_image: the lowest such difference is its place of the ELF header
    assert min(p.vaddr - p.offset for p in image.loads()) == header.vaddr


def test_table_grows_in_place_where_there_is_room(image: Image) -> None:
    sample = SAMPLES[image.sample]
    in_place = image.headers.ehdr.phoff == EHDR_SIZE
    assert in_place == (sample.room and not sample.named)


def test_what_moved_for_the_table_is_where_the_headers_say(image: Image) -> None:
    sample = SAMPLES[image.sample]
    build_id = note("GNU", 3, b"\x01" * 20)
    assert image.part(next(p for p in image.headers.phdrs if p.type == PT_NOTE)) == build_id
    memory, _ = linux_exec(image, since_5_18=True)
    for name, data in ((".note.gnu.build-id", build_id), (".interp", INTERPRETER)):
        shdr = image.headers.section(name)
        if shdr:
            assert read(memory, shdr.addr, shdr.size) == data
            assert image.data[shdr.offset : shdr.offset + shdr.size] == data
    room = image.headers.section(".note.uk.room")
    assert bool(room) == sample.room
    if room:
        left = image.data[room.offset : room.offset + room.size]
        assert find_note(left, UKCC, 3) == bytes(room.size - 20)
        table_end = image.headers.ehdr.phoff + PHDR_SIZE * image.headers.ehdr.phnum
        assert room.offset >= table_end or image.headers.ehdr.phoff > room.offset


def test_a_symbol_of_the_elf_header_stays(image: Image) -> None:
    shdr = image.headers.section(".symtab")
    if not shdr:
        return
    table = image.data[shdr.offset : shdr.offset + shdr.size]
    symbols = list(struct.iter_unpack("<IBBHQQ", table))
    assert symbols[4][4] == SAMPLES[image.sample].base
    build_id = image.headers.section(".note.gnu.build-id")
    assert len(symbols) == 5 or (build_id and symbols[5][4] == build_id.addr)


def test_linux_starts_the_application(image: Image) -> None:
    memory, _ = linux_exec(image, since_5_18=True)
    entry, wanted = image.headers.ehdr.entry, image.linked.ehdr.entry
    if entry != wanted:  # endbr64; jmp rel32
        code = read(memory, entry, 9)
        assert code[:5] == b"\xf3\x0f\x1e\xfa\xe9"
        entry += 9 + struct.unpack("<i", code[5:])[0]
    assert entry == wanted


def test_application_has_all_its_memory(image: Image) -> None:
    linked = [p for p in image.linked.phdrs if p.type == PT_LOAD]
    for phdr in linked:
        at = phdr.vaddr
        for part in image.loads():
            if part.vaddr == at:
                assert part.flags == phdr.flags
                at = part.vend
        assert at == phdr.vend


def test_pt_phdr_and_pt_interp(image: Image) -> None:
    kinds = {p.type: p for p in image.headers.phdrs}
    if PT_INTERP not in {p.type for p in image.linked.phdrs}:
        assert PT_PHDR not in kinds
        return
    _, at_phdr = linux_exec(image, since_5_18=True)
    table = kinds[PT_PHDR]
    assert (table.vaddr, table.offset) == (at_phdr, image.headers.ehdr.phoff)
    assert table.memsz == PHDR_SIZE * image.headers.ehdr.phnum
    assert image.part(kinds[PT_INTERP]) == INTERPRETER
    order = [p.type for p in image.headers.phdrs]
    assert order.index(PT_PHDR) < order.index(PT_LOAD)


# GNU strip and objcopy


def test_sections_cover_what_must_survive(image: Image) -> None:
    """BFD keeps the bytes of a segment that an allocated section within it claims."""
    allocated = [s for s in image.headers.shdrs if s.flags & SHF_ALLOC]
    own = {p.vaddr for p in image.linked.phdrs if p.type == PT_LOAD}
    for phdr in image.loads():
        inside = [
            s for s in allocated if phdr.vaddr <= s.addr and s.addr + s.size <= phdr.vend and s.size
        ]
        covered = sum(s.size for s in inside)
        if phdr.vaddr in own or (image.linked.ehdr.shnum == 0 and not inside):
            continue
        table = PHDR_SIZE * image.headers.ehdr.phnum
        is_table = phdr.filesz and phdr.offset == image.headers.ehdr.phoff
        assert covered == (phdr.memsz - table if is_table else phdr.memsz)
        for section in inside:
            if section.type != SHT_NOBITS:
                assert section.offset - phdr.offset == section.addr - phdr.vaddr


def test_no_section_straddles_segments(image: Image) -> None:
    for section in image.headers.shdrs:
        if section.flags & SHF_ALLOC:
            end = section.addr + section.size
            assert any(p.vaddr <= section.addr and end <= p.vend for p in image.loads())


def test_table_follows_a_whole_page_by_physical_address(image: Image) -> None:
    """So that the table GNU strip writes in front of the notes stays congruent (docs/image.md)."""
    if image.headers.ehdr.phoff == EHDR_SIZE:
        return
    table = next(p for p in image.loads() if p.filesz and p.offset == image.headers.ehdr.phoff)
    before = max((p for p in image.loads() if p.paddr < table.paddr), key=lambda p: p.paddr)
    assert before.pend == table.paddr
    assert before.filesz
    assert (before.offset + before.filesz) % PAGE == 0


def test_what_patchelf_adds_to_a_pie_has_a_place(image: Image) -> None:
    """Above all by virtual address, at the same physical one; and it sorts by that, where the PVH
    note has to stay last (rewriteSectionsLibrary, sortPhdrs)."""
    sample = SAMPLES[image.sample]
    if not (sample.dynamic and sample.room and sample.type == ET_DYN and image.has_first_kernel):
        return
    begin = -(-max(p.vend for p in image.loads()) // PAGE) * PAGE
    end = begin + image.loads()[0].filesz + (64 << 10)
    assert not any(p.paddr < end and begin < p.pend for p in image.loads())
    assert image.headers.phdrs[-1].paddr >= end


def test_what_describes_a_part_of_a_segment_is_where_that_is(image: Image) -> None:
    """By physical address, too: GNU strip finds a segment's sections by it."""
    parts = [p for p in image.headers.phdrs if p.type != PT_LOAD and p.memsz]
    assert parts
    for part in parts:
        whole = next(p for p in image.loads() if p.vaddr <= part.vaddr < p.vend)
        assert part.paddr - whole.paddr == part.vaddr - whole.vaddr
        assert part.offset - whole.offset == part.vaddr - whole.vaddr


def test_pvh_note_is_last(image: Image) -> None:
    notes = [p for p in image.headers.phdrs if p.type == PT_NOTE]
    assert find_note(image.part(notes[-1]), "Xen", 18) is not None
    assert not any(find_note(image.part(p), "Xen", 18) for p in notes[:-1])
