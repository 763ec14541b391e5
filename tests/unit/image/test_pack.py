"""Packing: what comes out, that it is always the same, and what happens when it cannot be done."""

import contextlib
import errno
import json
import os
import stat
import struct
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from support.image_samples import (
    BASE,
    DATA,
    GIB,
    SAMPLES,
    SYMBOL,
    companions,
    make_sysroot,
    program,
)

from ukcc.errors import MachineError, NotAnImage, SysrootMissing, UkccError
from ukcc.image import cpio, write
from ukcc.image.facts import read_facts, read_metadata
from ukcc.image.headers import PT_NOTE, SHT_SYMTAB, Headers, read_headers
from ukcc.image.notes import UKCC, UKCC_METADATA, find_note
from ukcc.image.pack import complete_image, pack_image, pack_thin


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    return make_sysroot(tmp_path / "sysroot")


def pack(linked: Path, output: Path, sysroot: Path, **more: object) -> bytes:
    arguments = {"link_command": ["uk-gcc", "hello.c", "-o", "hello"], "name": "hello", **more}
    arguments.setdefault("files", companions(linked))
    pack_image(str(linked), str(output), sysroot=str(sysroot), **arguments)  # type: ignore[arg-type]
    return output.read_bytes()


def headers(path: Path) -> Headers:
    with path.open("rb") as file:
        return read_headers(file.fileno(), os.fstat(file.fileno()).st_size, str(path))


def linked(where: Path, sample: str = "static") -> Path:
    path = where / "linked"
    path.write_bytes(program(SAMPLES[sample]))
    path.chmod(0o751)
    return path


def test_application_bytes_stay_where_they_were(tmp_path: Path, sysroot: Path) -> None:
    original = program()
    image = pack(linked(tmp_path), tmp_path / "out", sysroot)
    own = headers(tmp_path / "linked")
    assert image[64 : own.ehdr.shoff] == original[64 : own.ehdr.shoff]
    packed = headers(tmp_path / "out")
    for shdr in own.shdrs[1:-1]:
        name = own.name_of(shdr).decode()
        assert packed.section(name) == shdr._replace(name=packed.section(name).name)  # type: ignore[union-attr]


def test_permissions_are_the_linkers(tmp_path: Path, sysroot: Path) -> None:
    pack(linked(tmp_path), tmp_path / "out", sysroot)
    assert (tmp_path / "out").stat().st_mode & 0o7777 == 0o751


def test_in_place(tmp_path: Path, sysroot: Path) -> None:
    path = linked(tmp_path)
    elsewhere = pack(path, tmp_path / "out", sysroot)
    assert pack(path, path, sysroot) == elsewhere


def test_in_a_directory_that_takes_no_new_file(
    tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = linked(tmp_path)
    wanted = pack(path, tmp_path / "elsewhere", sysroot)
    before = path.stat()
    opened = os.open

    def refuse_new(name: str, flags: int, *more: int) -> int:
        if flags & os.O_CREAT:
            raise PermissionError(errno.EACCES, "Permission denied", name)
        return opened(name, flags, *more)

    monkeypatch.setattr(os, "open", refuse_new)
    assert pack(path, path, sysroot) == wanted
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)
    path.write_bytes(program())
    with pytest.raises(UkccError, match="Permission denied"):
        pack(path, tmp_path / "new", sysroot)


@pytest.mark.parametrize("sample", SAMPLES)
def test_same_inputs_same_bytes(tmp_path: Path, sysroot: Path, sample: str) -> None:
    path = linked(tmp_path, sample)
    (tmp_path / "elsewhere").mkdir()
    first = pack(path, tmp_path / "out", sysroot)
    assert pack(path, tmp_path / "elsewhere" / "other", sysroot) == first


def test_metadata(tmp_path: Path, sysroot: Path) -> None:
    pack(linked(tmp_path), tmp_path / "out", sysroot, libraries=["/lib/libc.a"])
    image = (tmp_path / "out").read_bytes()
    notes = [p for p in headers(tmp_path / "out").phdrs if p.type == PT_NOTE]
    found = [find_note(image[p.offset : p.offset + p.filesz], UKCC, UKCC_METADATA) for p in notes]
    metadata = json.loads(next(text for text in found if text))
    assert metadata["link_command"] == ["uk-gcc", "hello.c", "-o", "hello"]
    assert metadata["sysroot"] == "0123456789abcdef"
    assert metadata["kernel"]["config_sha256"] == "c0" * 32
    assert metadata["libraries"] == ["/lib/libc.a"]
    assert metadata["versions"]["glibc"] == "2.36"
    # kernel up to 0x1235000, the archive, and 17 MiB that firmware may use: see docs/image.md
    assert metadata["memory_min_mib"] == 36


def test_symbols_of_a_split_bss_follow_their_section(tmp_path: Path, sysroot: Path) -> None:
    image = pack(linked(tmp_path, "static, 1 GiB BSS"), tmp_path / "out", sysroot)
    packed = headers(tmp_path / "out")
    bss = [i for i, s in enumerate(packed.shdrs) if packed.name_of(s) == b".bss"]
    assert len(bss) == 2
    near, far = (packed.shdrs[i] for i in bss)
    assert near.addr + near.size == far.addr
    assert far.addr % 4096 == 0
    assert far.addr + far.size == BASE + 0x3100 + len(DATA) + GIB
    table = next(s for s in packed.shdrs if s.type == SHT_SYMTAB)
    symbols = list(SYMBOL.iter_unpack(image[table.offset : table.offset + table.size]))
    assert [s[3] for s in symbols] == [0, 1, bss[0], bss[1], 1]


def archive_of(path: Path) -> dict[str, tuple[int, bytes]]:
    """{path: (mode, data)} of the image's cpio, read by hand."""
    packed = headers(path)
    section = packed.section(".uk.archive")
    assert section
    data = path.read_bytes()[section.offset : section.offset + section.size]
    members, at = {}, 0
    while True:
        fields = [int(data[at + 6 + 8 * i : at + 14 + 8 * i], 16) for i in range(13)]
        name = data[at + 110 : at + 110 + fields[11]].rstrip(b"\0").decode()
        body = (at + 110 + fields[11] + 3) // 4 * 4
        if name == "TRAILER!!!":
            return members
        members[name] = (fields[1], data[body : body + fields[6]])
        at = (body + fields[6] + 3) // 4 * 4


def test_archive(tmp_path: Path, sysroot: Path) -> None:
    more = [cpio.regular("/etc/app/conf", b"x=1")]
    pack(linked(tmp_path), tmp_path / "out", sysroot, files=more)
    members = archive_of(tmp_path / "out")
    assert list(members) == [
        ".", "init", ".uk", ".uk/program", "etc", "etc/app", "etc/app/conf", "app", "app/hello",
    ]  # fmt: skip
    assert members["."] == (0o40755, b"")
    assert members["init"] == (0o100755, b"this is init")
    assert members[".uk/program"] == (0o100644, b"/app/hello\0")
    assert members["app/hello"] == (0o100755, program())
    assert members["etc"] == (0o40755, b"")


def test_cpio_is_understood_by_others(tmp_path: Path) -> None:
    archive = cpio.archive([cpio.regular("a", b"12345"), cpio.regular("b", b"")])
    assert len(archive) % 4 == 0
    assert archive[:6] == b"070701"
    assert archive[6:14] == b"00000001"


LONG = "/".join(["d" * 200] * 19)  # with it a padded name would be longer than PATH_MAX


@pytest.mark.parametrize("name", ["f", "ff", "fff", "ffff", LONG])
@pytest.mark.parametrize("before", range(0, 4200, 52))
def test_files_begin_on_a_page_of_the_archive(name: str, before: int) -> None:
    entries = [
        cpio.Entry(".", 0o40755),
        cpio.regular("small", bytes(before % 4096)),
        cpio.regular(name, b"1" * 4096),
        cpio.symlink("link", "t" * 4096),
        cpio.regular("other", b"2" * 5000),
    ]
    archive = cpio.archive(entries, pages=True)
    found = list(cpio.walk(lambda at, size: archive[at : at + size], 0, len(archive)))
    again = [m.path for m in found].count(".") - 1
    assert [m.path for m in found if m.path != "."] == ["small", name, "link", "other"]
    assert again <= 2
    assert all(m.mode == 0o40755 and m.size == 0 for m in found if m.path == ".")
    for member in found:
        aligned = stat.S_ISREG(member.mode) and member.size >= 4096
        assert not aligned or member.offset % 4096 == 0
    assert [e for e in cpio.members(archive) if e.path != "."] == entries[1:]
    assert len(archive) < len(cpio.archive(entries)) + 2 * 4096


def test_no_name_is_padded_beyond_what_the_kernel_reads() -> None:
    """The root comes once more instead, which no reader takes for a hard link of the first."""
    root = cpio.Entry(".", 0o40755)
    for before in range(4, 4096, 64):
        entries = [root, cpio.regular("small", bytes(before)), cpio.regular(LONG, bytes(4096))]
        archive = cpio.archive(entries, pages=True)
        at = [n for n in range(len(archive)) if archive.startswith(b"070701", n)]
        fields = [[int(archive[n + 6 + 8 * i : n + 14 + 8 * i], 16) for i in range(13)] for n in at]
        assert all(member[11] <= 4096 for member in fields)
        if len(at) == 5:
            assert archive[at[2] + 110 : at[2] + 112] == b".\0"
            assert (fields[2][0], fields[2][4]) == (0, 1)
            return
    raise AssertionError("the case did not come")


def test_only_files_of_a_page_are_aligned() -> None:
    small = [cpio.regular("a", bytes(4095)), cpio.Entry("d", 0o40755), cpio.symlink("l", "a")]
    assert cpio.archive(small, pages=True) == cpio.archive(small)


def test_source_date_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    assert cpio.modification_time() == 1700000000
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "not a number")
    assert cpio.modification_time() == 0


def only(directory: Path, *names: str) -> None:
    assert sorted(p.name for p in directory.iterdir()) == sorted(names)


def refused(data: bytes, tmp_path: Path, sysroot: Path) -> UkccError:
    (tmp_path / "linked").write_bytes(data)
    with pytest.raises(UkccError) as caught:
        pack(tmp_path / "linked", tmp_path / "out", sysroot)
    only(tmp_path, "linked", "sysroot")
    assert "\n" not in caught.value.line("uk-gcc")
    return caught.value


def test_not_an_elf_file(tmp_path: Path, sysroot: Path) -> None:
    assert isinstance(refused(b"#!/bin/sh\n", tmp_path, sysroot), NotAnImage)
    assert isinstance(refused(b"", tmp_path, sysroot), NotAnImage)


@pytest.mark.parametrize("size", [5, 63, 100, 0x1004, 0x2300])
def test_truncated(tmp_path: Path, sysroot: Path, size: int) -> None:
    assert "linked" in refused(program()[:size], tmp_path, sysroot).message


def test_another_machine(tmp_path: Path, sysroot: Path) -> None:
    data = program()
    error = refused(data[:18] + struct.pack("<H", 183) + data[20:], tmp_path, sysroot)
    assert "another machine" in error.message


def test_32_bits(tmp_path: Path, sysroot: Path) -> None:
    data = program()
    assert "64-bit" in refused(data[:4] + b"\x01" + data[5:], tmp_path, sysroot).message


def test_shared_library(tmp_path: Path, sysroot: Path) -> None:
    data = program(SAMPLES["static PIE at 0"])
    error = refused(data[:24] + bytes(8) + data[32:], tmp_path, sysroot)
    assert "shared library" in error.message


def test_object_file(tmp_path: Path, sysroot: Path) -> None:
    data = program()
    assert "not a program" in refused(data[:16] + b"\x01" + data[17:], tmp_path, sysroot).message


def patched(sample: str, *words: "tuple[int, str, int]") -> bytes:
    """A sample with (place, format, value) put in; the first PT_LOAD's header is at 64."""
    data = bytearray(program(SAMPLES[sample]))
    for at, form, value in words:
        struct.pack_into(form, data, at, value)
    return bytes(data)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (patched("static", (32, "<Q", (1 << 64) - 64)), "a header table is outside it"),
        (patched("static", (40, "<Q", 1 << 63)), "a header table is outside it"),
        (patched("static", (62, "<H", 99)), "section names are in no section"),
        (patched("static", (24, "<Q", 0x20000000)), "entry point 0x20000000 is in no segment"),
        (patched("static", (64 + 16, "<Q", 0x20000000)), "overlap, or are not in ascending order"),
        (patched("static", (64 + 16, "<Q", 1 << 63)), "a segment at 0x8000000000000000"),
        (patched("static", (64 + 16, "<Q", 0x10000800)), "a segment that cannot be mapped"),
        (patched("static", (64 + 40, "<Q", 8)), "a segment that cannot be mapped"),
        (
            patched("static PIE at 0", (64 + 112 + 40, "<Q", 3 << 30)),
            "a program linked at 0 that has 3,072 MiB of memory is not supported",
        ),
    ],
)
def test_odd_headers_are_one_line(tmp_path: Path, sysroot: Path, data: bytes, says: str) -> None:
    assert says in refused(data, tmp_path, sysroot).message


def test_damaged_headers_never_end_in_a_traceback(tmp_path: Path, sysroot: Path) -> None:
    random = Random(1)
    extremes = [0, 1, 0xFFF, 0xFFFF, 1 << 31, 1 << 47, 1 << 63, (1 << 64) - 1]
    for sample in list(SAMPLES) * 20:
        data = bytearray(program(SAMPLES[sample]))
        shoff = struct.unpack_from("<Q", data, 40)[0] or 64
        for _ in range(random.randrange(1, 4)):
            table, size = random.choice([(0, 64), (64, 224), (shoff, 448)])
            at = table + random.randrange(size // 8) * 8
            data[at : at + 8] = struct.pack("<Q", random.choice(extremes))
        (tmp_path / "linked").write_bytes(data)
        with contextlib.suppress(UkccError):
            pack(tmp_path / "linked", tmp_path / "out", sysroot)


def test_packing_an_image_again(tmp_path: Path, sysroot: Path) -> None:
    image = pack(linked(tmp_path), tmp_path / "out", sysroot)
    (tmp_path / "out").unlink()
    assert "already" in refused(image, tmp_path, sysroot).message


@pytest.mark.parametrize("missing", ["kernel/kernel.json", "sysroot.json", "boot/init"])
def test_sysroot_without(tmp_path: Path, sysroot: Path, missing: str) -> None:
    (sysroot / missing).unlink()
    error = refused(program(), tmp_path, sysroot)
    assert isinstance(error, SysrootMissing)
    assert error.hint


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"segments": []}'])
def test_sysroot_with_a_damaged_description(tmp_path: Path, sysroot: Path, text: str) -> None:
    (sysroot / "kernel" / "kernel.json").write_text(text)
    assert "kernel.json" in refused(program(), tmp_path, sysroot).message


def test_kernel_shorter_than_described(tmp_path: Path, sysroot: Path) -> None:
    (sysroot / "kernel" / "kernel.bin").write_bytes(b"short")
    assert "kernel.bin" in refused(program(), tmp_path, sysroot).message


def test_full_disk(tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(write.os, "pwrite", full)
    message = refused(program(), tmp_path, sysroot).message
    assert message == f"{tmp_path / 'out'}: No space left on device"


def test_output_directory_missing(tmp_path: Path, sysroot: Path) -> None:
    path = linked(tmp_path)
    with pytest.raises(UkccError, match="No such file or directory"):
        pack(path, tmp_path / "nowhere" / "out", sysroot)


def test_output_is_a_directory(tmp_path: Path, sysroot: Path) -> None:
    path = linked(tmp_path)
    (tmp_path / "out").mkdir()
    with pytest.raises(UkccError, match="Is a directory"):
        pack(path, tmp_path / "out", sysroot)
    only(tmp_path, "linked", "out", "sysroot")


def test_longest_name(tmp_path: Path, sysroot: Path) -> None:
    path = linked(tmp_path)
    pack(path, tmp_path / ("n" * 255), sysroot)
    only(tmp_path, "linked", "n" * 255, "sysroot")


def test_dev_null_stays(tmp_path: Path, sysroot: Path) -> None:
    pack_image(str(linked(tmp_path)), "/dev/null", sysroot=str(sysroot), link_command=[], name="x")
    assert Path("/dev/null").is_char_device()


def test_copies_by_hand_where_the_file_system_cannot(
    tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = linked(tmp_path)
    shared = pack(path, tmp_path / "out", sysroot)

    def refuse(*_: object) -> int:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))

    monkeypatch.setattr(write.os, "copy_file_range", refuse)
    assert pack(path, tmp_path / "again", sysroot) == shared


def test_imports_little() -> None:
    """Every link pays for these imports (docs/architecture.md)."""
    code = "import sys, ukcc.image.pack; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    costly = {"dataclasses", "pathlib", "subprocess", "tempfile", "hashlib", "elftools", "click"}
    assert not costly & set(loaded)


@pytest.mark.parametrize("sample", [name for name in SAMPLES if "no sections" not in name])
def test_thin(tmp_path: Path, sysroot: Path, sample: str) -> None:
    path = linked(tmp_path, sample)
    original, own = path.read_bytes(), headers(path)
    thin = tmp_path / "thin"
    pack_thin(
        str(path),
        str(thin),
        sysroot=str(sysroot),
        link_command=["uk-gcc"],
        name="hello",
        directories=["/own"],
    )
    made = headers(thin)
    assert made.phdrs == own.phdrs
    assert thin.read_bytes()[64 : own.ehdr.shoff] == original[64 : own.ehdr.shoff]
    assert thin.stat().st_mode & 0o7777 == 0o751
    metadata = read_metadata(str(thin))
    assert metadata["thin"] == {"directories": ["/own"]}
    assert metadata["sysroot"] == "0123456789abcdef"
    with pytest.raises(MachineError, match="no kernel in it"):
        read_facts(str(thin))

    whole = tmp_path / "whole"
    complete_image(
        str(thin), str(whole), metadata=metadata, sysroot=str(sysroot), files=companions(thin)
    )
    assert read_facts(str(whole)).memory_min_mib > 0
    assert "thin" not in read_metadata(str(whole))
    with pytest.raises(UkccError, match="is an image already"):
        pack(whole, tmp_path / "again", sysroot)


def test_members_are_read_back() -> None:
    entries = [
        cpio.regular("/a/b", b"12345", 0o755),
        cpio.Entry("a/link", 0o120777, b"b"),
        cpio.regular("/empty", b""),
    ]
    archive = cpio.archive(cpio.with_parents(entries))
    assert list(cpio.members(archive)) == [cpio.Entry("a", 0o40755), *entries]
    assert list(cpio.members(archive + b"\0" * 512))[1:] == entries
    assert list(cpio.members(b"")) == []
