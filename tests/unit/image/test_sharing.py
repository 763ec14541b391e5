"""The program's code and constants lie once in an image: what is shared, what is not, and how the
archive is put together again, from honest files and from others.

That such an image loads is in tests/unit/image/test_loaders.py.
"""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.image_files import archive, headers
from support.image_samples import SAMPLES, code_of, companions, constants_of, make_sysroot, program
from support.kernel_samples import made_kernel

from ukcc.cli.inspect import command as inspect_command
from ukcc.errors import MachineError, NotAnImage, UkccError
from ukcc.image import cpio
from ukcc.image.archive_file import archive_sections
from ukcc.image.facts import read_facts
from ukcc.image.headers import (
    EHDR_SIZE,
    PAGE,
    PF_R,
    PF_W,
    PHDR_SIZE,
    PT_LOAD,
    SHDR_SIZE,
    Headers,
    Phdr,
    parse_headers,
)
from ukcc.image.inspect import inspect_image
from ukcc.image.kernel import DESCRIPTOR
from ukcc.image.pack import pack_image
from ukcc.image.rekernel import replace_kernel
from ukcc.image.sharing import SharedPiece, placed, shared
from ukcc.pictures.size import file_tree
from ukcc.vm.boot.guest import archive_of
from ukcc.vm.boot.program_copy import changed_program

SHARED = [name for name in SAMPLES if name.startswith("shared")]
SAMPLE = SAMPLES["shared"]


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    return make_sysroot(tmp_path / "sysroot")


def pack(where: Path, sysroot: Path, data: bytes, kernel: str = "") -> Path:
    linked, image = where / "linked", where / "image"
    linked.write_bytes(data)
    pack_image(
        str(linked), str(image), sysroot=str(sysroot), link_command=["x"], name="app",
        files=companions(linked), kernel_directory=kernel,
    )  # fmt: skip
    return image


def names(path: Path) -> list[bytes]:
    found = headers(path)
    return [found.name_of(found.shdrs[index]) for index in archive_sections(found)]


def descriptor(path: Path) -> tuple[int, int, int]:
    """(physical address, size, CRC-32), as the kernel in the image has them."""
    data = path.read_bytes()
    _, paddr, size, crc, _ = DESCRIPTOR.unpack_from(data, data.index(b"UKARCHIV"))
    return paddr, size, crc


@pytest.mark.parametrize("sample", SHARED)
def test_the_bytes_lie_once(tmp_path: Path, sysroot: Path, sample: str) -> None:
    linked = program(SAMPLES[sample])
    image = pack(tmp_path, sysroot, linked)
    data = image.read_bytes()
    assert data.count(code_of(SAMPLES[sample])) == 1
    constants = constants_of(SAMPLES[sample])
    assert not constants or data.count(constants) == 1
    found = archive(image)
    _, size, crc = descriptor(image)
    assert zlib.crc32(found.read(0, size)) == crc == found.crc32(size)
    members = {m.path: found.data(m) for m in found.members()}
    assert members["app/app"] == linked
    assert list(members)[-1] == "app/app"


@pytest.mark.parametrize("sample", SHARED)
def test_memory_is_that_of_an_image_that_shares_nothing(
    tmp_path: Path, sysroot: Path, sample: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same archive at the same place, and less behind it."""
    image = pack(tmp_path, sysroot, program(SAMPLES[sample]))
    new, extents = archive(image), archive(image).extents
    told, facts, size = descriptor(image), read_facts(str(image)), image.stat().st_size
    ends = [p.pend for p in headers(image).phdrs if p.type == PT_LOAD and p.pend < 1 << 40]
    monkeypatch.setattr(cpio, "place_of_last", lambda *_: 0)
    image = pack(tmp_path, sysroot, program(SAMPLES[sample]))
    assert names(image) == [b".uk.archive"]
    old = archive(image)
    assert old.read(0, old.size) == new.read(0, new.size)
    assert descriptor(image) == told
    once = sum(extent.size for extent in extents if extent.is_shared)
    assert once >= SAMPLES[sample].code + SAMPLES[sample].constants
    assert size < image.stat().st_size - once + 5 * PAGE
    before = [p.pend for p in headers(image).phdrs if p.type == PT_LOAD and p.pend < 1 << 40]
    # behind the scratch of a dynamic PIE is a place for patchelf
    less = 0 if sample == "shared, dynamic PIE" else once // PAGE * PAGE
    assert max(ends) <= max(before) - less
    assert read_facts(str(image)).memory_min_mib >= facts.memory_min_mib


def test_names_and_places(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE))
    found = headers(image)
    assert names(image) == [b".uk.archive", b".uk.archive.1", b".uk.archive.2"]
    paddr, size, _ = descriptor(image)
    loads = sorted((p for p in found.phdrs if p.type == PT_LOAD), key=lambda p: p.paddr)
    inside = [p for p in loads if paddr <= p.paddr < paddr + size]
    assert [p.filesz for p in inside[1::2]] == [SAMPLE.code, SAMPLE.constants]
    assert all(p.offset % PAGE == p.paddr % PAGE == p.vaddr % PAGE for p in inside)
    assert inside[-1].pend == -(-(paddr + size) // PAGE) * PAGE


@pytest.mark.parametrize(
    ("code", "constants", "pieces"),
    [(16383, 16383, 1), (16384, 16383, 2), (16383, 16384, 2), (16384, 16384, 2), (16400, 16384, 3)],
)
def test_small_segments_are_not_shared(
    tmp_path: Path, sysroot: Path, code: int, constants: int, pieces: int
) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE._replace(code=code, constants=constants)))
    assert len(names(image)) == pieces


def segments(*parts: tuple[int, int, int, int]) -> Headers:
    """A program of segments of (offset, filesz, memsz, flags), the first one with its headers."""
    found = _parsed(program(SAMPLE))
    phdrs = [
        Phdr(PT_LOAD, flags, offset, offset << 4, offset << 4, filesz, memsz, PAGE)
        for offset, filesz, memsz, flags in parts
    ]
    ehdr = found.ehdr._replace(shoff=0)
    return found._replace(ehdr=ehdr, phdrs=tuple(phdrs), shdrs=())


def _parsed(data: bytes) -> Headers:
    return parse_headers(lambda at, size: data[at : at + size], len(data), "x")


SIZE = 0x5000
TEXT = (0x1000, SIZE, SIZE, PF_R)


@pytest.mark.parametrize(
    "other",
    [
        (0x10000, SIZE, SIZE, PF_R | PF_W),
        (0x10000, SIZE, SIZE + 1, PF_R),
        (0x10000, 0, SIZE, PF_R),
        (0x10000, 0x3FFF, 0x3FFF, PF_R),
    ],
    ids=["can be written", "has a BSS", "has no bytes", "small"],
)
def test_what_is_not_shared(other: tuple[int, int, int, int]) -> None:
    app = segments((0, 0x800, 0x800, PF_R), TEXT, other)
    sharing = shared(app, 0x40000, 0x20000)
    assert [p.offset for p in sharing.segments] == [0x1000]
    assert sharing.pieces == (SharedPiece(0, 0x21000), SharedPiece(0x26000, 0x40000))


@pytest.mark.parametrize(
    "other",
    [(0x5FFF, SIZE, SIZE, PF_R), (0x1000, 8, 8, PF_R | PF_W), (0x5F00, SIZE, SIZE, PF_R | PF_W)],
)
def test_segments_that_have_bytes_in_common_are_not_shared(
    other: tuple[int, int, int, int],
) -> None:
    app = segments((0, 0x800, 0x800, PF_R), TEXT, other)
    assert shared(app, 0x40000, 0x20000).pieces == (SharedPiece(0, 0x40000),)


def test_the_first_segment_and_tables_are_not_shared() -> None:
    assert not shared(segments((0, SIZE, SIZE, PF_R)), 0x40000, 0x20000).segments
    app = segments((0, 0x800, 0x800, PF_R), TEXT)
    assert shared(app, 0x40000, 0x20000).segments
    assert not shared(app, 0x40000, 0).segments
    table = app.ehdr._replace(phoff=0x1000 + SIZE - 8)
    assert not shared(app._replace(ehdr=table), 0x40000, 0x20000).segments
    symbols = _parsed(program(SAMPLE)).shdrs[4]._replace(type=11, offset=0x1100, size=24)
    assert not shared(app._replace(shdrs=(symbols,)), 0x40000, 0x20000).segments


def test_segments_without_anything_between_need_no_piece() -> None:
    app = segments((0, 0x800, 0x800, PF_R), TEXT, (0x6000, SIZE, SIZE, PF_R))
    sharing = shared(app, 0x2B001, 0x20000)
    assert sharing.pieces == (SharedPiece(0, 0x21000), SharedPiece(0x2B000, 0x2C000))


def test_no_page_of_the_file_has_bytes_of_two_pieces() -> None:
    found = placed(
        (SharedPiece(0, 0x1234), SharedPiece(0x5678, 0x5680), SharedPiece(0x9000, 0xA000)), 0x3000
    )
    assert [(p.offset, p.size) for p in found] == [(0x3000, 0x1234), (0x5678, 8), (0x6000, 0x1000)]


def many(count: int, room: bool) -> bytes:
    """A program with so many segments more, each worth to be shared."""
    data = program(SAMPLE._replace(room=room, code=0x4000, constants=0))
    found = _parsed(data)
    end = -(-len(data) // PAGE) * PAGE
    top = (max(p.vend for p in found.phdrs) // PAGE + 2) * PAGE
    more = [
        Phdr(PT_LOAD, PF_R, end + n * 0x5000, *[top + n * 0x5000] * 2, 0x4001, 0x4001, PAGE)
        for n in range(count)
    ]
    phdrs = [*found.phdrs, *more]
    assert EHDR_SIZE + len(phdrs) * PHDR_SIZE <= 0x300 or not room
    table = b"".join(p.pack() for p in phdrs)
    out = bytearray(data.ljust(end, b"\0") + b"".join(bytes([n]) * 0x5000 for n in range(count)))
    struct.pack_into("<H", out, 56, len(phdrs))
    if room:
        out[EHDR_SIZE : EHDR_SIZE + len(table)] = table
    else:
        struct.pack_into("<Q", out, 32, len(out))
        out += table
    return bytes(out)


@pytest.mark.parametrize(
    ("count", "room", "pieces"),
    [(1, True, 3), (5, True, 7), (8, True, 1), (10, False, 12), (26, False, 28), (32, False, 1)],
)
def test_headers_that_do_not_fit(
    tmp_path: Path, sysroot: Path, count: int, room: bool, pieces: int
) -> None:
    """Then nothing is shared, and two entries stay free where there is room."""
    data = many(count, room)
    image = pack(tmp_path, sysroot, data, kernel=str(made_kernel(tmp_path / "kernel", 6)))
    assert len(names(image)) == pieces
    found = archive(image)
    assert {m.path: found.data(m) for m in found.members()}["app/app"] == data
    assert (headers(image).ehdr.phoff == EHDR_SIZE) == room


def patched(image: Path, name: str, **changed: int) -> None:
    """The program header of the piece with that section, and the section itself, changed."""
    found = headers(image)
    data = bytearray(image.read_bytes())
    number, shdr = next(
        (n, s) for n, s in enumerate(found.shdrs) if found.name_of(s) == name.encode()
    )
    index = next(
        n for n, p in enumerate(found.phdrs) if p.type == PT_LOAD and p.offset == shdr.offset
    )
    at = found.ehdr.phoff + PHDR_SIZE * index
    data[at : at + PHDR_SIZE] = found.phdrs[index]._replace(**changed).pack()
    at = found.ehdr.shoff + SHDR_SIZE * number
    size = changed.get("filesz", shdr.size)
    data[at : at + SHDR_SIZE] = shdr._replace(size=size).pack()
    image.write_bytes(data)


HOSTILE: dict[str, Callable[[Path, Phdr], None]] = {
    "a gap": lambda image, p: patched(image, ".uk.archive.1", paddr=p.paddr + 8),
    "far away": lambda image, p: patched(image, ".uk.archive.2", paddr=1 << 60),
    "in front": lambda image, p: patched(image, ".uk.archive", paddr=p.paddr - PAGE),
    "longer than the rest": lambda image, p: patched(
        image, ".uk.archive.1", filesz=p.filesz + 8, memsz=p.filesz + 8
    ),
    "no segment": lambda image, p: patched(image, ".uk.archive.1", type=7),
    "shared bytes are gone": lambda image, p: patched(image, ".text", paddr=0),
}


@pytest.mark.parametrize("hostile", HOSTILE)
def test_pieces_that_do_not_lie_together(tmp_path: Path, sysroot: Path, hostile: str) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE))
    found = headers(image)
    piece = found.section(".uk.archive" if hostile == "in front" else ".uk.archive.1")
    assert piece
    HOSTILE[hostile](image, next(p for p in found.phdrs if p.vaddr == piece.addr))
    says = "image: damaged: the parts of its archive do not lie together"
    for read in (
        lambda: inspect_image(image),
        lambda: archive_of(str(image), lambda _: True),
        lambda: file_tree(image),
        lambda: archive(image),
    ):
        with pytest.raises(NotAnImage, match=says):
            read()
    with pytest.raises(UkccError, match="its segments are not those of a kernel and an archive"):
        replace_kernel(str(image), str(tmp_path / "out"), str(sysroot / "kernel"))


def test_an_archive_that_would_be_longer_than_the_file(tmp_path: Path, sysroot: Path) -> None:
    """A file of a few MB must not become one of gigabytes."""
    image = pack(tmp_path, sysroot, program(SAMPLE))
    found = headers(image)
    paddr, size, _ = descriptor(image)
    text = next(p for p in found.phdrs if p.vaddr == SAMPLE.base + 0x1000)
    data = bytearray(image.read_bytes())
    # two segments of all of the file in the place of the program's text
    whole = text._replace(offset=0, filesz=len(data), memsz=len(data))
    for index, phdr in enumerate(found.phdrs):
        at = found.ehdr.phoff + PHDR_SIZE * index
        new = phdr
        if phdr == text:
            new = whole
        elif phdr.type == PT_LOAD and text.paddr < phdr.paddr < paddr + size:
            new = phdr._replace(paddr=phdr.paddr + len(data) - text.filesz)
        data[at : at + PHDR_SIZE] = new.pack()
    image.write_bytes(data)
    with pytest.raises(NotAnImage, match="do not lie together"):
        archive(image)


def test_reading_across_pieces(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE))
    found = archive(image)
    whole = found.read(0, found.size)
    assert len(whole) == found.size
    edges = [e.start for e in found.extents]
    for edge in edges:
        for before in (0, 1, 9):
            start = max(edge - before, 0)
            for count in (0, 1, before, before + 1, 3 * PAGE, found.size):
                assert found.read(start, count) == whole[start : start + count]
    assert found.read(found.size, 10) == found.read(found.size + 5, 10) == b""


def changed(image: Path, section: str) -> None:
    """Another tool has changed a byte of a section."""
    found = headers(image).section(section)
    assert found
    data = bytearray(image.read_bytes())
    data[found.offset + found.size // 2] ^= 1
    image.write_bytes(data)


@pytest.mark.parametrize("section", [".text", ".rodata"])
def test_changed_code_or_constants_are_refused_before_a_boot(
    tmp_path: Path, sysroot: Path, section: str
) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE))
    assert changed_program(str(image)) == [] and not inspect_image(image).damaged
    changed(image, section)
    with pytest.raises(MachineError) as caught:
        changed_program(str(image))
    assert "another tool has changed code or constants of the program" in caught.value.message
    assert "ukcc pack" in caught.value.hint
    assert inspect_image(image).damaged
    shown = CliRunner().invoke(inspect_command, [str(image)]).output
    assert "its code or constants were changed since it was packed: it does not boot" in shown
    with pytest.raises(UkccError, match="damaged: its archive is not what was packed"):
        replace_kernel(str(image), str(tmp_path / "out"), str(sysroot / "kernel"))


def test_changed_data_are_sent_along(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE))
    changed(image, ".data")
    assert changed_program(str(image))
    assert inspect_image(image).changed and not inspect_image(image).damaged
    small = pack(tmp_path, sysroot, program())
    changed(small, ".text")
    assert changed_program(str(small))


def test_a_kernel_that_does_not_say_where_the_archive_is(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE))
    changed(image, ".data")
    data = bytearray(image.read_bytes())
    data[data.index(b"UKARCHIV")] ^= 1
    image.write_bytes(data)
    with pytest.raises(MachineError, match="code or constants"):
        changed_program(str(image))


def test_sizes_count_bytes_once(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLE))
    tree = file_tree(image)
    assert tree.size == image.stat().st_size
    sizes = inspect_image(image).sizes
    once = SAMPLE.code + SAMPLE.constants
    assert sizes["application"] >= once
    assert sizes["archive"] == archive(image).size - once
    (members,) = (box.children for box in tree.children if box.name == "archive")
    (own,) = (box.size for box in members if box.name == "(program)")
    assert own == len(program(SAMPLE)) - once
