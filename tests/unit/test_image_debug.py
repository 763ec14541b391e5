"""Programs without their debug information, of whatever layout; names that are too long."""

import struct
import tracemalloc
from pathlib import Path

from image_samples import program

from ukcc.image.archives import Archive
from ukcc.image.debug import stripped
from ukcc.image.headers import EHDR_SIZE, PHDR_SIZE, Ehdr, Shdr, parse_headers

_PHOFF = 32  # of e_phoff, behind which e_shoff is


def _headers(data: bytes):  # type: ignore[no-untyped-def]
    return parse_headers(lambda at, count: data[at : at + count], len(data), "x")


def test_a_table_outside_all_segments_stays() -> None:
    data = bytearray(program())
    before = _headers(bytes(data))
    table = data[EHDR_SIZE : EHDR_SIZE + len(before.phdrs) * PHDR_SIZE]
    # a section of debug information, so that the file is written anew
    names = before.shdrs[before.ehdr.shstrndx]
    at = names.offset + bytes(data[names.offset : names.offset + names.size]).index(b".strtab")
    data[at : at + 7] = b".debug_"
    shoff = before.ehdr.shoff
    data[_PHOFF : _PHOFF + 16] = struct.pack("<QQ", shoff, shoff + len(table))
    data[shoff:shoff] = table
    less = stripped(lambda at, count: bytes(data[at : at + count]), _headers(bytes(data)), "x")
    assert _headers(less).phdrs == before.phdrs


def test_sections_of_one_long_name_take_no_more_than_a_line_each() -> None:
    names = b"x" * 100_000
    count = 1000
    first = EHDR_SIZE + len(names)
    section = Shdr(0, 1, 0, 0, 0, 0, 0, 0, 1, 0)
    table = section._replace(type=3, offset=EHDR_SIZE, size=len(names))
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    ehdr = Ehdr(ident, 2, 62, 1, 0, 0, first, 0, EHDR_SIZE, PHDR_SIZE, 0, 64, count, count - 1)
    data = ehdr.pack() + names + section.pack() * (count - 1) + table.pack()
    headers = _headers(data)
    assert sum(len(headers.name_of(shdr)) for shdr in headers.shdrs) < 2 << 20
    assert headers.section(".text") is None


def test_members_of_one_long_name_take_no_more_than_a_path_each(tmp_path: Path) -> None:
    names = b"x" * 1_000_000
    member = b"/0".ljust(48) + b"0".ljust(10) + b"`\n"
    archive = tmp_path / "a.a"
    archive.write_bytes(
        b"!<arch>\n" + b"//".ljust(48) + b"1000000".ljust(10) + b"`\n" + names + member * 1000
    )
    tracemalloc.start()
    Archive(archive)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20
