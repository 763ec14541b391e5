"""Reading an image back: facts, system-call sites, libraries, and files that are no image."""

import json
import struct
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.image_samples import BASE, SAMPLES, TEXT, companions, make_sysroot, program

from ukcc.cli.inspect import command
from ukcc.errors import NotAnImage, UkccError
from ukcc.failures.modules import GuestFiles
from ukcc.image import archives, sites
from ukcc.image.elf import Function, Section, open_elf
from ukcc.image.inspect import inspect_image
from ukcc.image.pack import pack_image
from ukcc.image.sites import INITIALISER_NAME, find_sites

SITE = bytes.fromhex("4c8b1d11223344 488d0d05000000 41ffe3 0f05")
INITIALISER = bytes.fromhex("4531d24531c0 0f05 85c07e05")


@pytest.fixture
def image(tmp_path: Path) -> Path:
    (tmp_path / "linked").write_bytes(program())
    pack_image(
        str(tmp_path / "linked"),
        str(tmp_path / "image"),
        sysroot=str(make_sysroot(tmp_path / "sysroot")),
        link_command=["no-such-compiler", "x.c"],
        name="hello",
        libraries=["/somewhere/libx.a"],
    )
    return tmp_path / "image"


def test_report(image: Path) -> None:
    report = inspect_image(image)
    assert report.program == "/app/hello"
    assert report.kind == "static"
    assert report.entry == BASE + 0x1000
    assert report.kernel["release"] == "6.12.0-uk"
    assert report.kernel_entry_paddr == 0x1000100
    assert report.sysroot == "0123456789abcdef"
    assert report.versions["glibc"] == "2.36"
    assert report.libraries == ("/somewhere/libx.a",)
    assert report.link_command == ("no-such-compiler", "x.c")
    assert report.sizes["kernel"] == 0x1800 + 0x200 + 0x100
    assert len(report.sites_raw) == TEXT.count(b"\x0f\x05")
    assert json.loads(report.as_json())["memory_min_mib"] == report.memory_min_mib


def test_command(image: Path) -> None:
    shown = CliRunner().invoke(command, [str(image)])
    assert shown.exit_code == 0
    assert "6.12.0-uk" in shown.output
    assert "0 redirected to the gate" in shown.output
    sources = CliRunner().invoke(command, [str(image), "--sources"])
    assert "linux-source-6.12" in sources.output
    parsed = json.loads(CliRunner().invoke(command, [str(image), "--json"]).output)
    assert parsed["kind"] == "static"


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "not an ELF file"),
        (b"#!/bin/sh\n", "not an ELF file"),
        (b"\x7fELF", "damaged"),
        (program(), "not an image"),
        (program()[:0x1100], "damaged|no image"),
    ],
)
def test_no_image(tmp_path: Path, data: bytes, says: str) -> None:
    (tmp_path / "file").write_bytes(data)
    with pytest.raises(NotAnImage, match=says):
        inspect_image(tmp_path / "file")


def test_every_truncation_is_one_line(image: Path) -> None:
    data = image.read_bytes()
    for size in range(0, len(data), 211):
        image.write_bytes(data[:size])
        with pytest.raises(UkccError):
            inspect_image(image)


def test_missing_file_and_directory(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UkccError):
            inspect_image(path)


def sites_of(code: bytes, where: Path) -> tuple[tuple[int, ...], list[tuple[int, str]]]:
    """The sites of a program whose text begins with `code`."""
    assert len(code) <= len(TEXT)
    data = program().replace(TEXT, code.ljust(len(TEXT), b"\x90"))
    (where / "program").write_bytes(data)
    with open_elf(where / "program") as elf:
        sites = find_sites(elf)
    base = BASE + 0x1000
    return tuple(a - base for a in sites.redirected), [
        (s.addr - base, s.function) for s in sites.raw
    ]


def test_redirected_and_raw(tmp_path: Path) -> None:
    redirected, raw = sites_of(b"\x90" + SITE + b"\x90\x0f\x05", tmp_path)
    assert redirected == (1,)
    assert [addr for addr, _ in raw] == [1 + len(SITE) + 1]


def test_initialiser_is_known(tmp_path: Path) -> None:
    _, raw = sites_of(b"\x90" * 20 + INITIALISER, tmp_path)
    assert raw == [(26, INITIALISER_NAME)]


def test_an_operand_is_no_system_call(tmp_path: Path) -> None:
    """lea 0x5050f(%rip),%rsi holds the bytes 0f 05."""
    redirected, raw = sites_of(b"\x90" * 20 + bytes.fromhex("488d350f050500") + b"\xc3", tmp_path)
    assert (redirected, raw) == ((), [])


def test_many_sites_in_one_function_are_decoded_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded = 0
    decode = sites._next

    def counting(code: bytes, start: int, addr: int) -> "tuple[int, bool]":
        nonlocal decoded
        decoded += len(code)
        return decode(code, start, addr)

    monkeypatch.setattr(sites, "_next", counting)
    elf, count = Listed(b"\x0f\x05" * 2000), 2000
    found = find_sites(elf)  # type: ignore[arg-type]
    assert [site.function for site in found.raw] == ["f"] * count
    assert decoded < 40 * count


class Listed:
    """An ELF file of one function."""

    def __init__(self, code: bytes) -> None:
        self._code = code

    def section_bytes(self, name: str) -> bytes:
        return b""

    def functions(self) -> "list[Function]":
        return [Function("f", BASE, len(self._code), True)]

    def sections(self) -> "list[Section]":
        return [Section(".text", BASE, 0, len(self._code), True, True, True)]

    def bytes_at(self, offset: int, size: int) -> bytes:
        return self._code[offset : offset + size]


def make_archive(path: Path, members: dict[str, tuple[bytes, list[str]]]) -> Path:
    """An ar(5) archive: {member: (bytes, its globals)}, with a symbol table."""

    def header(name: str, size: int) -> bytes:
        return f"{name:<16}{0:<12}{0:<6}{0:<6}{'644':<8}{size:<10}`\n".encode()

    symbols = [s for _, names in members.values() for s in names]
    table_size = 4 + 4 * len(symbols) + sum(len(s) + 1 for s in symbols)
    table_size += table_size % 2
    offsets, body, at = [], b"", 8 + 60 + table_size
    for name, (data, names) in members.items():
        offsets += [at + len(body)] * len(names)
        body += header(name + "/", len(data)) + data + b"\n" * (len(data) % 2)
    table = struct.pack(f">I{len(symbols)}I", len(symbols), *offsets)
    table += b"".join(s.encode() + b"\0" for s in symbols)
    data = b"!<arch>\n" + header("/", table_size) + table.ljust(table_size, b"\0") + body
    path.write_bytes(data)
    return path


def test_origin_in_archives(tmp_path: Path) -> None:
    first = make_archive(tmp_path / "liba.a", {"a.o": (b"\0helper\0xyz", ["alpha"])})
    second = make_archive(
        tmp_path / "libb.a", {"b.o": (b"code", ["beta", "alpha"]), "c.o": (b"odd", ["gamma"])}
    )
    both = [archives.StaticLibrary(first), archives.StaticLibrary(second)]
    assert str(archives.origin(both, "alpha", 1)) == f"{first}(a.o)"
    assert str(archives.origin(both, "gamma", 1)) == f"{second}(c.o)"
    # A string is not a function; tests/build/test_own_syscalls.py has functions.
    assert archives.origin(both, "helper", 1) is None
    assert archives.origin(both, "nobody", 1) is None


def test_a_recorded_path_that_no_file_can_have(tmp_path: Path) -> None:
    (tmp_path / "linked").write_bytes(program())
    names = ("/usr/hello" + "y" * 300 + ".a", "/usr\0/x.a")
    pack_image(
        str(tmp_path / "linked"), str(tmp_path / "image"), link_command=["x"], name="hello",
        sysroot=str(make_sysroot(tmp_path / "sysroot")), libraries=list(names),
    )  # fmt: skip
    assert inspect_image(tmp_path / "image").libraries == names
    files = GuestFiles(str(tmp_path / "image"))
    files._program = "/app/other"  # so that the program is looked for among the libraries
    assert files.locate("/app/hello")


def test_kinds(tmp_path: Path) -> None:
    make_sysroot(tmp_path / "sysroot")
    kinds = {}
    for name, sample in SAMPLES.items():
        (tmp_path / "p").write_bytes(program(sample))
        pack_image(
            str(tmp_path / "p"),
            str(tmp_path / "i"),
            sysroot=str(tmp_path / "sysroot"),
            link_command=["ukcc"],
            name="p",
            files=companions(tmp_path / "p"),
        )
        kinds[name] = inspect_image(tmp_path / "i").kind
    assert kinds["static at 4 MiB"] == "static"
    assert kinds["static PIE at 0"] == "static PIE"
    assert kinds["dynamic PIE"] == "dynamic PIE"
    assert kinds["dynamic, not PIE"] == "dynamic"
