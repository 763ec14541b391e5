"""ELF files of strangers: what they claim is not believed."""

import contextlib
import struct
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from ukcc.errors import NotAnImage, UkccError
from ukcc.image.elf import elf_in_memory, open_elf

MIB = 1 << 20
PROGBITS, SYMTAB, STRTAB = 1, 2, 3
COMPRESSED = 0x800


def elf(*sections: "tuple[str, int, int, bytes, int, int]", phdrs: bytes = b"") -> bytes:
    """(name, type, flags, bytes, link, size of an entry) each; 1 is the first one's number."""
    names = b"\0" + b"".join(s[0].encode() + b"\0" for s in sections) + b".names\0"
    at, body, table = 64 + len(phdrs), phdrs, [bytes(64)]
    for name, kind, flags, data, link, entry in (*sections, (".names", STRTAB, 0, names, 0, 0)):
        label = names.index(name.encode() + b"\0")
        size = len(data)
        table.append(struct.pack("<IIQQQQIIQQ", label, kind, flags, 0, at, size, link, 0, 1, entry))
        body += data
        at += size
    count = len(table)
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01" + bytes(9), 2, 62, 1, 0, 64 if phdrs else 0, at, 0, 64, 56),
        *(len(phdrs) // 56, 64, count, count - 1),
    )
    return header + body + b"".join(table)


@contextlib.contextmanager
def no_more_than(limit: int) -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < limit, f"{peak:,} bytes"


def test_a_compressed_section_is_refused() -> None:
    """Seen: a file of 1 MB took 2 GB."""
    packed = zlib.compress(bytes(64 * MIB))
    data = struct.pack("<IIQQ", 1, 0, 64 * MIB, 1) + packed
    file = elf((".uk.archive", PROGBITS, COMPRESSED, data, 0, 0))
    with (
        no_more_than(4 * MIB),
        elf_in_memory(file, Path("x")) as found,
        pytest.raises(NotAnImage, match="compressed"),
    ):
        found.section_bytes(".uk.archive")


def test_a_symbol_table_that_claims_to_be_compressed() -> None:
    file = elf(
        (".symtab", SYMTAB, COMPRESSED, bytes(4800), 2, 24), (".strtab", STRTAB, 0, b"\0", 0, 0)
    )
    with contextlib.suppress(UkccError), elf_in_memory(file, Path("x")) as found:
        assert found.functions() == []


def test_names_that_share_their_bytes_are_no_bomb() -> None:
    """100000 symbols, each with another end of one name of 60 kB: 3 GB of names in 2 MB."""
    names = b"\0" + b"n" * 60_000 + b"\0"
    symbols = b"".join(
        struct.pack("<IBBHQQ", 1 + n % 30_000, 0x12, 0, 1, n, 1) for n in range(100_000)
    )
    file = elf((".symtab", SYMTAB, 0, symbols, 2, 24), (".strtab", STRTAB, 0, names, 0, 0))
    with (
        no_more_than(100 * MIB),
        contextlib.suppress(UkccError),
        elf_in_memory(file, Path("x")) as found,
    ):
        found.functions()


def test_symbols() -> None:
    names = b"\0main\0helper\0data\0"
    symbols = [(1, 0x12, 1, 0x1000, 5), (6, 0x02, 1, 0x1010, 3), (13, 0x11, 1, 0x2000, 8)]
    table = bytes(24) + b"".join(
        struct.pack("<IBBHQQ", n, i, 0, s, v, z) for n, i, s, v, z in symbols
    )
    file = elf((".symtab", SYMTAB, 0, table, 2, 24), (".strtab", STRTAB, 0, names, 0, 0))
    with elf_in_memory(file, Path("x")) as found:
        assert [(f.name, f.is_global) for f in found.functions()] == [
            ("main", True),
            ("helper", False),
        ]
        assert found.symbol("data") == 0x2000 and found.symbol("none") is None
        assert [s.name for s in found.sections()] == [".symtab", ".strtab", ".names"]
        assert found.section_bytes(".strtab") == names and found.section_bytes("none") == b""


def test_notes_that_overlap_are_no_bomb() -> None:
    one = struct.pack("<IIQQQQQQ", 4, 4, 0, 0, 0, 2 * MIB, 2 * MIB, 4)
    file = elf(phdrs=one * 1000).ljust(3 * MIB, b"\0")
    with (
        no_more_than(100 * MIB),
        contextlib.suppress(UkccError),
        elf_in_memory(file, Path("x")) as found,
    ):
        found.note("UKCC", 1)


def test_a_section_that_is_not_there(tmp_path: Path) -> None:
    file = bytearray(elf((".uk.archive", PROGBITS, 0, b"abc", 0, 0)))
    (table,) = struct.unpack_from("<Q", file, 40)
    struct.pack_into("<Q", file, table + 64 + 32, 1 << 62)  # its size
    (tmp_path / "x").write_bytes(file)
    with pytest.raises(NotAnImage, match="damaged"), open_elf(tmp_path / "x") as found:
        found.section_bytes(".uk.archive")


def test_a_large_hole_is_not_read(tmp_path: Path) -> None:
    """A sparse file: its size is nobody's memory."""
    file = bytearray(elf((".uk.archive", PROGBITS, 0, b"abc", 0, 0)))
    (table,) = struct.unpack_from("<Q", file, 40)
    struct.pack_into("<Q", file, table + 64 + 32, 1 << 39)
    with (tmp_path / "x").open("wb") as stream:
        stream.write(file)
        stream.truncate(1 << 40)
    with pytest.raises(NotAnImage, match="damaged"), open_elf(tmp_path / "x") as found:
        found.section_bytes(".uk.archive")
