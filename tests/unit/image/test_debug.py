"""Programs without their debug information, of whatever layout; names that are too long."""

import os
import struct
import tracemalloc
from pathlib import Path

from support.image_samples import program

from ukcc.image.archives import StaticLibrary
from ukcc.image.debug import stripped
from ukcc.image.headers import EHDR_SIZE, PHDR_SIZE, Ehdr, Shdr, open_headers, parse_headers
from ukcc.image.program_file import appended, machine_copy

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
    StaticLibrary(archive)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 << 20


class Counted(tuple):  # type: ignore[type-arg]
    """Says how often it was gone through."""

    times = 0

    def __iter__(self):  # type: ignore[no-untyped-def]
        Counted.times += 1
        return super().__iter__()


def test_sections_are_gone_through_once_however_many_parts_there_are(tmp_path: Path) -> None:
    parts, names = 200, b"\0.debug_x\0"
    names_at = EHDR_SIZE
    at = names_at + len(names)
    shoff = at + 16 * parts
    debug = [Shdr(1, 1, 0, 0, at + 16 * n, 8, 0, 0, 1, 0) for n in range(parts)]
    table = Shdr(0, 3, 0, 0, names_at, len(names), 0, 0, 1, 0)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    ehdr = Ehdr(ident, 2, 62, 1, 0, 0, shoff, 0, EHDR_SIZE, PHDR_SIZE, 0, 64, parts + 1, parts)
    data = ehdr.pack() + names + b"12345678........" * parts
    data += b"".join(shdr.pack() for shdr in (*debug, table))
    path = tmp_path / "program"
    path.write_bytes(data)
    fd, headers = open_headers(str(path))
    Counted.times = 0
    copy = machine_copy(fd, headers._replace(shdrs=Counted(headers.shdrs)), sparse=False)
    os.close(fd)
    assert Counted.times < 10
    assert b"12345678" not in copy and copy.count(b"." * 8) == parts
    assert [shdr.type for shdr in _headers(copy).shdrs] == [8] * parts + [3]


def test_where_a_table_that_is_not_there_would_be_does_not_count() -> None:
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    ehdr = Ehdr(ident, 2, 62, 1, 0, 1 << 40, 1 << 40, 0, EHDR_SIZE, PHDR_SIZE, 0, 64, 0, 0)
    assert appended(_headers(ehdr.pack() + b"more")) == 4
