"""Images, archives and libraries that a stranger made, or a disk garbled: one line, little memory,
and nothing of the host but what was asked for."""

import json
import os
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from support.image_samples import SAMPLES, companions, make_sysroot, program
from support.library_samples import LOADER, cache_file, library, write

from ukcc.cli.inspect import command as inspect_command
from ukcc.errors import MachineError, NotAnImage, UkccError
from ukcc.image import cpio, ldcache
from ukcc.image.archives import StaticLibrary
from ukcc.image.content_key import content_key
from ukcc.image.debug import stripped
from ukcc.image.facts import read_facts, read_metadata
from ukcc.image.headers import EHDR_SIZE, SHDR_SIZE, Ehdr, Shdr, parse_headers
from ukcc.image.inspect import inspect_image
from ukcc.image.loader_tags import read_interpreter, read_loader_tags
from ukcc.image.metadata import parse_metadata
from ukcc.image.notes import find_note, metadata_note
from ukcc.image.pack import pack_image, pack_program, pack_thin
from ukcc.image.thin import completed, make_image
from ukcc.vm import debug

SMALL = 64 << 20  # bytes that reading a file of some KiB may take
ID = "0123456789abcdef"


@contextmanager
def little_memory() -> Iterator[None]:
    tracemalloc.start()
    try:
        yield
        assert tracemalloc.get_traced_memory()[1] < SMALL
    finally:
        tracemalloc.stop()


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A store with one sysroot, whose glibc is a stub."""
    sysroot = make_sysroot(tmp_path / "home" / "sysroots" / ID)
    for name in ("ld-linux-x86-64.so.2", "libc.so.6"):
        write(sysroot / "usr" / "lib" / name, library(soname=name, pad=3))
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("UKCC_SYSROOT", raising=False)
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return sysroot


def thin(path: Path, store: Path, data: bytes = b"", **changed: Any) -> Path:
    """A thin image, its metadata changed; None takes a key away."""
    linked = write(path.with_suffix(".linked"), data or program())
    pack_thin(
        str(linked), str(path), sysroot=str(store), link_command=["uk-gcc"], name="hello",
        libraries=["/somewhere/libx.a"],
    )  # fmt: skip
    if changed:
        with_metadata(path, **changed)
    return path


def with_metadata(path: Path, **changed: Any) -> None:
    """The same image, its note written again, behind all else."""
    metadata = {**read_metadata(str(path)), **changed}
    note = metadata_note({key: value for key, value in metadata.items() if value is not None})
    data = bytearray(path.read_bytes())
    headers = parse_headers(lambda at, n: bytes(data[at : at + n]), len(data), str(path))
    for index, shdr in enumerate(headers.shdrs):
        if headers.name_of(shdr) == b".uk.meta":
            moved = shdr._replace(offset=len(data), size=len(note)).pack()
            at = headers.ehdr.shoff + index * SHDR_SIZE
            data[at : at + SHDR_SIZE] = moved
    path.write_bytes(bytes(data) + note)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"sysroot": "../../../tmp"}, "'sysroot' is not 16 hexadecimal digits"),
        ({"sysroot": "/tmp/sysroot"}, "'sysroot' is not 16 hexadecimal digits"),
        ({"sysroot": "0123456789ABCDEF"}, "'sysroot' is not 16 hexadecimal digits"),
        ({"sysroot": ID + "\n"}, "'sysroot' is not 16 hexadecimal digits"),
        ({"sysroot": 7}, "'sysroot' is not 16 hexadecimal digits"),
        ({"sysroot": None}, "it has no 'sysroot'"),
        ({"program": "/app/../init"}, "'program' is not a file in /app/"),
        ({"program": "/app/"}, "'program' is not a file in /app/"),
        ({"program": "/app/a\0b"}, "'program' is not a file in /app/"),
        ({"program": "/app/" + "a" * 256}, "'program' is not a file in /app/"),
        ({"program": ["/app/x"]}, "'program' is not a file in /app/"),
        ({"program": None}, "it has no 'program'"),
        ({"link_command": None}, "it has no 'link_command'"),
        ({"link_command": "uk-gcc"}, "'link_command' is not a list of words"),
        ({"link_command": [1]}, "'link_command' is not a list of words"),
        ({"libraries": {"a": 1}}, "'libraries' is not a list of paths"),
        ({"memory_min_mib": "24"}, "'memory_min_mib' is not a number of MiB"),
        ({"memory_min_mib": -1}, "'memory_min_mib' is not a number of MiB"),
        ({"memory_min_mib": True}, "'memory_min_mib' is not a number of MiB"),
        ({"memory_min_mib": 1 << 70}, "'memory_min_mib' is not a number of MiB"),
        ({"kernel": []}, "'kernel' is not a table"),
        ({"settings": []}, "'settings' is not a table"),
        ({"thin": []}, "'thin' is not a table"),
        ({"thin": {"directories": ["lib"]}}, "'thin' is not a table with lists of absolute"),
        ({"thin": {"directories": ["/a\0b"]}}, "'thin' is not a table with lists of absolute"),
        ({"thin": {"files": ["lib"]}}, "'thin' is not a table with lists of absolute"),
        ({"thin": {"files": "/a"}}, "'thin' is not a table with lists of absolute"),
        ({"thin": {"directories": ["/a"] * 5000}}, "'thin' is not a table with lists of absolute"),
        ({"inputs": {"a": "\ud800"}}, "damaged metadata"),
    ],
)
def test_metadata(tmp_path: Path, store: Path, changed: "dict[str, Any]", says: str) -> None:
    image = thin(tmp_path / "image", store, **changed)
    with pytest.raises(MachineError, match=says) as failure:
        completed(str(image))
    assert str(image) in failure.value.message
    with pytest.raises(UkccError, match=says):
        make_image(str(image), tmp_path / "whole", command=[], name="hello")
    assert not (tmp_path / "whole").exists()


@pytest.mark.parametrize(
    "text",
    [
        *(b"", b"{", b"[]", b"7", b'"x"', b"null", b"\xff\xfe", b'{"sysroot":"\xff"}'),
        *(b"[" * 200000, b'{"a":' * 100000, b'{"inputs":' + b"[" * 900 + b"]" * 900 + b"}"),
        *(b'{"memory_min_mib":' + b"9" * 10000 + b"}", b'{"memory_min_mib":NaN}', b" " * (9 << 20)),
    ],
    ids=range(14),
)
def test_metadata_that_is_no_object(text: bytes) -> None:
    with pytest.raises(NotAnImage, match="image: damaged metadata"):
        parse_metadata(text, "image")


def test_a_sysroot_of_the_images_own(tmp_path: Path, store: Path) -> None:
    """Neither its loader is run, nor its kernel taken."""
    fake = make_sysroot(tmp_path / "fake")
    loader = write(fake / "usr" / "lib" / "ld-linux-x86-64.so.2", b"#!/bin/sh\ntouch $0.ran\n")
    loader.chmod(0o755)
    for name in (str(fake), f"../../{fake.relative_to(tmp_path)}"):
        image = thin(tmp_path / "image", store, program(SAMPLES["dynamic PIE"]), sysroot=name)
        with pytest.raises(MachineError, match="16 hexadecimal digits"):
            completed(str(image))
    assert not Path(f"{loader}.ran").exists()


def test_directories_give_shared_libraries_only(tmp_path: Path, store: Path) -> None:
    secret = write(tmp_path / "secrets" / "id_rsa", b"-----BEGIN OPENSSH PRIVATE KEY-----")
    asks = with_sections(library(["id_rsa"], interpreter=LOADER, kind=3))
    image = thin(tmp_path / "image", store, asks, thin={"directories": [str(secret.parent)]})
    with pytest.raises(MachineError, match="id_rsa: not an ELF file"):
        completed(str(image))
    assert not list((tmp_path / "home" / "cache" / "images").iterdir())


def test_files_give_shared_libraries_only(tmp_path: Path, store: Path) -> None:
    """Nothing else is opened: to open a FIFO would wait."""
    os.mkfifo(tmp_path / "libx.so")
    secret = write(tmp_path / "id_rsa", b"-----BEGIN OPENSSH PRIVATE KEY-----")
    program = write(tmp_path / "program", library(soname="libx.so", kind=2))
    asks = with_sections(library(["libx.so"], interpreter=LOADER, kind=3))
    files = [str(tmp_path / "libx.so"), "/dev/zero", str(secret), str(program), "/nonexistent"]
    image = thin(tmp_path / "image", store, asks, thin={"files": files})
    with pytest.raises(MachineError, match=r"needs libx.so, which is not found"):
        completed(str(image))
    assert not list((tmp_path / "home" / "cache" / "images").iterdir())


def with_sections(data: bytes) -> bytes:
    """A program of `library` as the packer takes one: with an executable segment and sections."""
    names = b"\0.shstrtab\0"
    at = len(data) + -len(data) % 8
    ehdr = Ehdr._make(struct.unpack("<16sHHIQQQIHHHHHH", data[:EHDR_SIZE]))
    shoff = at + len(names) + -len(names) % 8
    ehdr = ehdr._replace(shoff=shoff, shnum=2, shstrndx=1, entry=0x40)
    table = Shdr(0, 0, 0, 0, 0, 0, 0, 0, 0, 0).pack()
    table += Shdr(1, 3, 0, 0, at, len(names), 0, 0, 1, 0).pack()
    return (
        ehdr.pack()
        + data[EHDR_SIZE:].ljust(shoff - EHDR_SIZE - (shoff - at), b"\0")
        + names.ljust(shoff - at, b"\0")
        + table
    )


def test_the_cache_is_by_content(tmp_path: Path, store: Path) -> None:
    """An image that ends in what another one's library is must not take that one's place."""
    first = thin(tmp_path / "a" / "image", store)
    whole = Path(completed(str(first)))
    assert read_facts(str(whole)).program == "/app/hello"
    other = tmp_path / "b" / "image"
    write(other, first.read_bytes() + b"\0")
    assert completed(str(other)) != str(whole)
    assert completed(str(first)) == str(whole)
    assert [p.name for p in whole.parent.iterdir() if p.name.startswith(".")] == []
    with_library = [cpio.regular("usr/lib/liba.so", b"data")]
    assert content_key(b"image", entries=with_library) != content_key(b"imageusr/lib/liba.so\0data")
    parts = [cpio.regular("a", b"b"), cpio.regular("c", b"d")]
    assert content_key(entries=parts) != content_key(entries=[cpio.regular("a", b"bc\0d")])
    assert content_key(entries=[cpio.regular("a", b"", 0o4755)]) != content_key(
        entries=[cpio.regular("a", b"", 0o755)]
    )
    assert content_key(entries=[cpio.regular(os.fsdecode(b"\xff"), b"")])


def test_an_image_that_changes_while_it_is_read(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept under a key is made of what the key says."""
    image = thin(tmp_path / "image", store)
    original, changed = image.read_bytes(), image.read_bytes().replace(b"data", b"DATA")
    assert original != changed
    from ukcc.image import thin as thin_images

    found = thin_images.find_closure

    def change(*args: Any, **named: Any) -> Any:
        image.write_bytes(changed)
        return found(*args, **named)

    monkeypatch.setattr(thin_images, "find_closure", change)
    whole = completed(str(image))
    assert b"application's data" in Path(whole).read_bytes()
    image.write_bytes(original)
    assert completed(str(image)) == whole


def test_the_mode_of_a_private_image_is_kept(tmp_path: Path, store: Path) -> None:
    image = thin(tmp_path / "image", store)
    image.chmod(0o700)
    assert Path(completed(str(image))).stat().st_mode & 0o777 == 0o700


def test_a_dynamic_image_without_its_libraries(tmp_path: Path, store: Path) -> None:
    """It would boot, and fail before its first instruction."""
    linked = write(tmp_path / "linked", program(SAMPLES["dynamic PIE"]))

    def pack(*files: cpio.Entry) -> None:
        pack_image(
            str(linked), str(tmp_path / "out"), sysroot=str(store), link_command=[], name="x",
            files=files,
        )  # fmt: skip

    with pytest.raises(UkccError, match=r"a dynamic program, and /lib64/ld-linux.* is not in"):
        pack()
    pack(*companions(linked))
    linked.write_bytes(with_sections(library(["libc.so.6"], interpreter=LOADER)))
    with pytest.raises(UkccError, match=r"a dynamic program, and libc.so.6 is not in the image"):
        pack(cpio.regular(LOADER, b"loader"))
    pack(
        cpio.regular(LOADER, b"loader"),
        cpio.regular("usr/lib/other.so", library(soname="libc.so.6")),
    )


@pytest.mark.parametrize("path", ["init", ".uk/program", "app/x"])
def test_nothing_takes_our_places(tmp_path: Path, store: Path, path: str) -> None:
    linked = write(tmp_path / "linked", program())
    with pytest.raises(UkccError, match="this place in the image is taken"):
        pack_image(
            str(linked), str(tmp_path / "out"), sysroot=str(store), link_command=[], name="x",
            files=[cpio.regular(path, b"")],
        )  # fmt: skip


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../x", "a\0b", "x" * 256])
def test_names_of_programs(tmp_path: Path, store: Path, name: str) -> None:
    linked = write(tmp_path / "linked", program())
    with pytest.raises(UkccError, match="cannot be a file's name"):
        make_image(str(linked), tmp_path / "out", command=[], name=name)


HOSTILE_PATHS = ["../../escaped", "/etc/passwd", "a/../../b", "a//b", "a/./b", "a/", "", ".."]


@pytest.mark.parametrize("path", HOSTILE_PATHS)
def test_members_stay_in_their_archive(path: str) -> None:
    data = cpio.archive([cpio.regular("placeholder", b"\x7fELF")])
    name = path.encode() + b"\0"
    header = bytearray(data[:110])
    header[94:102] = b"%08x" % len(name)
    forged = bytes(header) + name
    forged += b"\0" * (-len(forged) % 4) + b"\x7fELF" + data[data.index(b"\x7fELF") + 4 :]
    with pytest.raises(UkccError, match="damaged archive"):
        list(cpio.members(forged))
    with pytest.raises(UkccError):
        cpio.archive([cpio.Entry(path, 0o100644)])


def test_gdbs_copies_stay_in_the_store(
    tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--gdb` unpacks an image's libraries on the host."""
    image = tmp_path / "image"
    pack_program(
        str(write(tmp_path / "linked", program())), str(image), sysroot=str(store),
        link_command=[], name="x", files=[cpio.regular("aa/bb/cc", b"\x7fELF")],
    )  # fmt: skip
    image.write_bytes(image.read_bytes().replace(b"aa/bb/cc\0", b"../../cc\0"))
    (store / "kernel" / "vmlinux").touch()
    with pytest.raises(MachineError, match="damaged archive"):
        debug.gdb_line(str(image), str(image), 1, read_facts(str(image)))
    assert not list(tmp_path.rglob("cc"))


def garbled(data: bytes, seed: int) -> bytes:
    """Some bytes changed, to zeros, ones or at random; or the end cut off, or doubled."""
    chance = random.Random(seed)
    if chance.random() < 0.2:
        return data[: chance.randrange(len(data))]
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 2, 4, 16))):
        at = chance.randrange(len(changed))
        width = chance.choice((1, 2, 4, 8))
        value = chance.choice(
            (b"\0" * 8, b"\xff" * 8, chance.randbytes(8), b"\xff\xff\xff\x7f" * 2)
        )
        changed[at : at + width] = value[:width]
    return bytes(changed)


def _elf(data: bytes) -> None:
    def read(offset: int, count: int) -> bytes:
        assert not count or offset + count <= len(data), "asked for what is outside the file"
        return data[offset : offset + count]

    headers = parse_headers(lambda at, n: data[at : at + n], len(data), "file")
    read_interpreter(read, headers, "file")
    read_loader_tags(read, headers, "file")
    assert len(stripped(read, headers, "file")) <= 2 * len(data) + SMALL


PARSERS: "dict[str, tuple[bytes, Callable[[bytes], object]]]" = {
    "library": (library(["liba.so", "libb.so"], soname="x", rpath="/a:$ORIGIN"), _elf),
    "program": (library(["liba.so"], interpreter=LOADER, runpath="/a"), _elf),
    "sections": (program(), _elf),
    "debug": (program().replace(b".strtab\0", b".debug_\0"), _elf),
    "cache": (
        cache_file([(f"lib{n}.so", f"/lib/lib{n}.so", 0x303, 0) for n in range(9)]),
        lambda data: ldcache.parse_cache(data).find("lib5.so"),
    ),
    "old cache": (
        cache_file([(f"lib{n}.so", f"/lib/lib{n}.so", 0x303, 0) for n in range(9)], old=True),
        lambda data: ldcache.parse_cache(data).find("lib5.so"),
    ),
    "archive": (
        cpio.archive([cpio.regular("a/b", b"1"), cpio.Entry("d", 0o40755), cpio.symlink("l", "a")]),
        lambda data: list(cpio.members(data)),
    ),
    "note": (
        metadata_note({"program": "/app/x", "thin": {"directories": ["/a"]}, "inputs": {"a": {}}}),
        lambda data: parse_metadata(find_note(data, "UKCC", 1) or b"{}", "file"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("parser", PARSERS)
def test_garbled_bytes(parser: str) -> None:
    data, parse = PARSERS[parser]
    parse(data)
    failed = 0
    with little_memory():
        for seed in range(700):
            try:
                parse(garbled(data, seed))
            except UkccError as error:
                failed += 1
                assert "\n" not in error.line("ukcc")
    assert failed or "cache" in parser


@pytest.mark.parametrize("sample", ["static", "dynamic PIE", "static, 1 GiB BSS"])
def test_garbled_programs_are_packed_or_refused(tmp_path: Path, store: Path, sample: str) -> None:
    data, linked = program(SAMPLES[sample]), tmp_path / "linked"
    for seed in range(150):
        linked.write_bytes(garbled(data, seed))
        try:
            pack_image(
                str(linked), str(tmp_path / "out"), sysroot=str(store), link_command=[], name="x",
                files=companions(linked),
            )  # fmt: skip
        except UkccError:
            continue


def test_garbled_images(tmp_path: Path, store: Path) -> None:
    """Read as `ukcc inspect` and `ukcc run` read them."""
    image = tmp_path / "image"
    pack_program(
        str(write(tmp_path / "linked", program())), str(image), sysroot=str(store),
        link_command=["uk-gcc"], name="x", files=[cpio.regular("etc/passwd", b"root")],
    )  # fmt: skip
    data = image.read_bytes()
    with little_memory():
        for seed in range(120):
            image.write_bytes(garbled(data, seed))
            for read in (lambda: inspect_image(image), lambda: completed(str(image))):
                try:
                    read()
                except UkccError as error:
                    assert "\n" not in error.line("ukcc")


def test_huge_and_overlapping(tmp_path: Path) -> None:
    """A few KiB that claim to be much more: tables, alignments, names, notes."""
    data = program()
    headers = parse_headers(lambda at, n: data[at : at + n], len(data), "file")

    def changed(**fields: int) -> bytes:
        return headers.ehdr._replace(**fields).pack() + data[EHDR_SIZE:]

    huge = (1 << 64) - 1
    for field in ("phoff", "shoff"):
        with pytest.raises(UkccError, match="a header table is outside"):
            _elf(changed(**{field: huge}))
    with_debug = data.replace(b".strtab\0", b".debug_\0")
    many = Shdr(0, 1, 0, 0, 0x2400, 0x1000, 0, 0, 1, 0)

    def with_table(shdr: Shdr, count: int) -> bytes:
        name = headers.names.index(b".strtab")
        table = [headers.shdrs[0], Shdr(name, 1, 0, 0, 0, 0, 0, 0, 1, 0), *[shdr] * count]
        table.append(headers.shdrs[-1])
        ehdr = headers.ehdr._replace(
            shoff=len(with_debug), shnum=len(table), shstrndx=len(table) - 1
        )
        return ehdr.pack() + with_debug[EHDR_SIZE:] + b"".join(s.pack() for s in table)

    with little_memory():
        with pytest.raises(UkccError, match="sections overlap"):
            _elf(with_table(many._replace(offset=0, size=len(with_debug)), 5000))
        with pytest.raises(UkccError, match="alignment"):
            _elf(
                with_table(many._replace(size=1, addralign=1 << 62, offset=len(with_debug) - 1), 2)
            )
        with pytest.raises(UkccError, match="alignment"):
            _elf(with_table(many._replace(size=0, addralign=4096, offset=1 << 40), 5000))


def test_sparse_files(tmp_path: Path) -> None:
    """Gigabytes that nobody wrote."""
    big = 40 << 30
    image = write(tmp_path / "image", program())
    data = image.read_bytes()
    headers = parse_headers(lambda at, n: data[at : at + n], len(data), "file")
    note = next(p for p in headers.phdrs if p.type == 4)
    forged = data.replace(note.pack(), note._replace(filesz=big, offset=0x1000).pack())
    image.write_bytes(forged)
    os.truncate(image, big + 0x2000)
    with little_memory():
        for read in (read_facts, read_metadata, lambda path: inspect_image(Path(path))):
            with pytest.raises(UkccError, match=r"its notes are too long|a note has"):
                read(str(image))


def test_archives_of_a_link(tmp_path: Path) -> None:
    """`ukcc inspect` opens those that an image names."""
    header = b"%-16s%-12d%-6d%-6d%-8s%-10s`\n"
    for name, size in ((b"a.o/", b"-60"), (b"a.o/", b"x"), (b"/", b"8"), (b"/SYM64/", b"8")):
        body = b"\xff" * 8 if name.startswith(b"/") else b""
        archive = write(
            tmp_path / "lib.a", b"!<arch>\n" + header % (name, 0, 0, 0, b"644", size) + body
        )
        with pytest.raises(ValueError, match="damaged"):
            StaticLibrary(archive)


def test_what_inspect_shows_moves_no_cursor(tmp_path: Path, store: Path) -> None:
    """An image that one only looks at may not write to the terminal's title."""
    words = ["uk-gcc", "\x1b]0;owned\x07\x1b[2J", "\r\n", "\u009b1m", os.fsdecode(b"\xff")]
    image = thin(tmp_path / "image", store, link_command=words)
    shown = CliRunner().invoke(inspect_command, [str(image)])
    assert shown.exit_code == 0, shown.exception
    assert not {b"\x1b", b"\x07", b"\r"} & {bytes([b]) for b in shown.stdout_bytes}
    assert b"\\x1b]0;owned\\x07" in shown.stdout_bytes and b"\\xff" in shown.stdout_bytes
    assert json.loads(CliRunner().invoke(inspect_command, [str(image), "--json"]).output)


def test_errors_are_one_line() -> None:
    line = UkccError("a\nb\x1b[31m: no such file", "try\tagain").line("ukcc")
    assert line == "ukcc: error: a\\nb\\x1b[31m: no such file; try\\tagain"
    assert UkccError("\udcffü.c").line("ukcc") == "ukcc: error: \\xffü.c"


@pytest.mark.parametrize(
    "words", [["inspect"], ["run", "--net", "none"], ["pack", "-o", "/dev/null"]]
)
def test_a_pipe_in_place_of_an_image_keeps_nobody(tmp_path: Path, words: list[str]) -> None:
    """It would not open until somebody writes to it."""
    os.mkfifo(tmp_path / "image")
    argv = [Path(sys.executable).with_name("ukcc"), *words, tmp_path / "image"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode in (1, 125) and len(done.stderr.splitlines()) == 1
    assert f"{tmp_path}/image: a pipe, not a file" in done.stderr
