"""Images that were changed after they were packed: it is noticed, and what a machine then gets."""

import os
import stat
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.image_samples import SAMPLES, TEXT, companions, make_sysroot, program

from ukcc.cli.inspect import command as inspect_command
from ukcc.errors import MachineError
from ukcc.image import cpio
from ukcc.image.facts import read_facts, read_metadata
from ukcc.image.headers import PT_NOTE, SHT_NOBITS, SHT_PROGBITS, Headers, Shdr, open_headers
from ukcc.image.inspect import inspect_image
from ukcc.image.pack import CHECKSUM, complete_image, pack_image, pack_thin
from ukcc.image.program_file import appended, elf_end, program_extents
from ukcc.vm.boot.guest import archive_of
from ukcc.vm.boot.program_copy import EXTENTS, changed_program, is_changed

OURS = (b".uk.kernel", b".uk.archive", b".uk.meta")
PAYLOAD = b"what was appended" * 3


@pytest.fixture(params=[True, False], ids=["init knows extents", "older init"])
def sysroot(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    made = make_sysroot(tmp_path / "sysroot")
    if request.param:
        (made / "boot" / "init").write_bytes(b"init that reads /.uk/extents\0")
    return made


def pack(where: Path, sysroot: Path, data: bytes, name: str = "image") -> Path:
    (where / "linked").write_bytes(data)
    output = where / name
    pack_image(
        str(where / "linked"),
        str(output),
        sysroot=str(sysroot),
        link_command=[],
        name="hello",
        files=companions(where / "linked"),
    )
    return output


def headers(path: Path) -> Headers:
    fd, found = open_headers(str(path))
    os.close(fd)
    return found


def member(image: Path, path: str) -> bytes:
    return next(m.data for m in archive_of(str(image), lambda _: True) if m.path == path)


def spread(members: list[cpio.Entry]) -> bytes:
    """What init makes of the members, byte by byte."""
    by_path = {m.path: m for m in members}
    copy = by_path["app/hello"]
    assert stat.S_IMODE(copy.mode) == 0o755
    if EXTENTS not in by_path:
        return copy.data
    path, size, *extents = by_path[EXTENTS].data.rstrip(b"\0").decode().split("\0")
    assert path == "/app/hello"
    whole, at = bytearray(int(size)), 0
    for words in extents:
        offset, length = map(int, words.split())
        whole[offset : offset + length] = copy.data[at : at + length]
        at += length
    assert at == len(copy.data)
    return bytes(whole)


def with_debug(data: bytes) -> bytes:
    """The program with 10,000 bytes of debug information behind it."""
    names_of = {4: b".debug_info"}
    head = bytearray(data)
    shoff, shnum, shstrndx = (
        struct.unpack_from(f, data, at)[0] for f, at in (("<Q", 40), ("<H", 60), ("<H", 62))
    )
    shdrs = [Shdr(*struct.unpack_from("<IIQQQQIIQQ", data, shoff + 64 * i)) for i in range(shnum)]
    old = shdrs[shstrndx]
    names = data[old.offset : old.offset + old.size] + names_of[4] + b"\0"
    debug_at = len(head)
    head += b"D" * 10000
    shdrs[shstrndx] = old._replace(offset=len(head), size=len(names))
    shdrs.append(Shdr(old.size, SHT_PROGBITS, 0, 0, debug_at, 10000, 0, 0, 1, 0))
    head += names
    struct.pack_into("<Q", head, 40, len(head))
    struct.pack_into("<H", head, 60, len(shdrs))
    head += b"".join(s.pack() for s in shdrs)
    return bytes(head)


@pytest.mark.parametrize("sample", SAMPLES)
def test_an_untouched_image_is_not_sent(tmp_path: Path, sysroot: Path, sample: str) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLES[sample]))
    assert not is_changed(str(image))
    assert changed_program(str(image)) == []


@pytest.mark.parametrize("sample", SAMPLES)
def test_appended_bytes_are_where_the_image_has_them(
    tmp_path: Path, sysroot: Path, sample: str
) -> None:
    image = pack(tmp_path, sysroot, program(SAMPLES[sample]))
    packed = headers(image)
    with image.open("ab") as file:
        file.write(PAYLOAD)
    assert is_changed(str(image))
    copy, whole = spread(changed_program(str(image))), image.read_bytes()
    assert len(copy) == len(whole)
    assert copy.endswith(PAYLOAD)
    assert copy[: packed.ehdr.ehsize] == whole[: packed.ehdr.ehsize]
    archive = packed.section(".uk.archive")
    assert archive
    assert not any(copy[archive.offset : archive.offset + archive.size])
    tables = [
        (packed.ehdr.phoff, 56 * packed.ehdr.phnum),
        (packed.ehdr.shoff, 64 * len(packed.shdrs)),
    ]
    sections = [
        (s.offset, s.size)
        for s in packed.shdrs
        if s.type != SHT_NOBITS and not packed.name_of(s).startswith(OURS)
    ]
    for offset, size in (*tables, *sections, (0x1000, len(TEXT))):
        assert copy[offset : offset + size] == whole[offset : offset + size]


def test_a_changed_byte_of_the_program_is_noticed(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, program())
    assert not inspect_image(image).changed
    data = bytearray(image.read_bytes())
    data[0x1000] ^= 1
    image.write_bytes(data)
    assert is_changed(str(image))
    assert inspect_image(image).changed
    assert spread(changed_program(str(image)))[0x1000] == data[0x1000]


def test_debug_information_does_not_travel(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, with_debug(program()))
    with image.open("ab") as file:
        file.write(PAYLOAD)
    members = changed_program(str(image))
    copy = spread(members)
    assert b"D" * 100 not in copy
    assert b"D" * 100 in image.read_bytes()
    (tmp_path / "copy").write_bytes(copy)
    section = headers(tmp_path / "copy").section(".debug_info")
    assert section
    assert section.type == SHT_NOBITS
    if len(members) > 1:
        assert len(members[0].data) < len(copy) - 10000


def test_an_image_without_the_checksum_is_taken_as_it_is(tmp_path: Path, sysroot: Path) -> None:
    image = pack(tmp_path, sysroot, program())
    data = image.read_bytes()
    assert CHECKSUM.encode() in data
    image.write_bytes(data.replace(CHECKSUM.encode(), b"x" * len(CHECKSUM)) + PAYLOAD)
    assert changed_program(str(image)) == []


def test_the_file_without_its_section_table(tmp_path: Path, sysroot: Path) -> None:
    """Where the kernel is, is not known then: it is sent along, and nothing is lost."""
    image = pack(tmp_path, sysroot, program())
    data = bytearray(image.read_bytes())
    struct.pack_into("<Q", data, 40, 0)
    struct.pack_into("<HH", data, 60, 0, 0)
    image.write_bytes(data)
    assert spread(changed_program(str(image)))[0x1000 : 0x1000 + len(TEXT)] == TEXT


def test_packing_keeps_what_was_appended(tmp_path: Path, sysroot: Path) -> None:
    """At its offset and at the end; and the machine's program is the file that was packed."""
    data = with_debug(program()) + PAYLOAD
    image = pack(tmp_path, sysroot, data)
    whole = image.read_bytes()
    assert appended(headers(image)) == len(PAYLOAD)
    assert whole.endswith(PAYLOAD)
    at = len(data) - len(PAYLOAD)
    assert whole[at : at + len(PAYLOAD)] == PAYLOAD
    assert member(image, "app/hello") == data
    assert not is_changed(str(image))


def test_a_thin_image_that_was_changed(tmp_path: Path, sysroot: Path) -> None:
    data = with_debug(program())
    (tmp_path / "linked").write_bytes(data)
    thin = tmp_path / "thin"
    pack_thin(
        str(tmp_path / "linked"), str(thin), sysroot=str(sysroot), link_command=[], name="hello"
    )

    def completed() -> Path:
        whole = tmp_path / "whole"
        metadata = read_metadata(str(thin))
        complete_image(str(thin), str(whole), metadata=metadata, sysroot=str(sysroot), files=[])
        return whole

    assert b"D" * 100 not in member(completed(), "app/hello")
    with thin.open("r+b") as file:
        file.seek(0x1000)
        file.write(b"\xcc")
    image = completed()
    assert member(image, "app/hello") == thin.read_bytes()
    assert not is_changed(str(image))


def test_extents_leave_out_overlapping_sections_once(tmp_path: Path, sysroot: Path) -> None:
    """A stranger's section table may say anything that lies within the file."""
    image = pack(tmp_path, sysroot, program())
    found = headers(image)
    archive = found.section(".uk.archive")
    assert archive
    twice = found._replace(shdrs=(*found.shdrs, archive._replace(offset=archive.offset - 100)))
    extents = program_extents(twice)
    assert extents == sorted(extents)
    ends = [offset + size for offset, size in extents]
    assert all(end <= start for end, (start, _) in zip(ends, extents[1:], strict=False))
    assert elf_end(found) == image.stat().st_size


def test_notes_of_another_tool_behind_ours(tmp_path: Path, sysroot: Path) -> None:
    """What patchelf makes of a program that is not position-independent: "no kernel in it" was
    not true, and neither was `ukcc pack` a way out."""
    image = pack(tmp_path, sysroot, program(SAMPLES["static at 4 MiB"]))
    data = bytearray(image.read_bytes())
    phoff, count = struct.unpack_from("<Q", data, 32)[0], struct.unpack_from("<H", data, 56)[0]
    places = [phoff + 56 * n for n in range(count)]
    notes = [at for at in places if struct.unpack_from("<I", data, at)[0] == PT_NOTE]
    first, last = notes[-2], notes[-1]
    data[first : first + 56], data[last : last + 56] = (
        data[last : last + 56],
        data[first : first + 56],
    )
    image.write_bytes(data)
    with pytest.raises(MachineError) as caught:
        read_facts(str(image))
    assert "another tool has changed the image" in caught.value.message
    assert "UKCC_PLAIN=1" in caught.value.hint and "ukcc pack" in caught.value.hint
    shown = CliRunner().invoke(inspect_command, [str(image)])
    assert "does not boot: another tool has moved its notes" in shown.output
