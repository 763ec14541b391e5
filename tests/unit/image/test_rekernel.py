"""Another kernel for an image: what changes, what stays, and what is refused.

That the result loads is in test_loaders.py, which holds it against everybody's rules.
"""

import errno
import json
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.image_samples import SAMPLES, companions, make_sysroot, program
from support.kernel_samples import made_kernel

from ukcc.cli.inspect import command as inspect_command
from ukcc.errors import NotAnImage, UkccError
from ukcc.image import cpio, write
from ukcc.image.facts import read_facts, read_metadata
from ukcc.image.headers import PT_LOAD, PT_NOTE, SHDR_SIZE, Headers, Shdr, open_headers
from ukcc.image.kernel import DESCRIPTOR, read_kernel
from ukcc.image.notes import metadata_note
from ukcc.image.pack import pack_image, pack_thin
from ukcc.image.program_file import appended
from ukcc.image.rekernel import check_room, replace_kernel
from ukcc.image.renaming import renumbered, renumbered_symbols
from ukcc.image.thin import with_kernel
from ukcc.specialise import features
from ukcc.vm.boot.guest import archive_of
from ukcc.vm.boot.program_copy import is_changed

PAYLOAD = b"what was appended" * 3
# Other kernels by number of segments and their pages: shorter, longer, with the general one's
# number of segments.
OTHERS = [(2, 1), (3, 1), (5, 7), (1, 1)]


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    return make_sysroot(tmp_path / "sysroot")


def packed(
    where: Path, sysroot: Path, data: bytes = b"", more: "list[cpio.Entry] | None" = None
) -> Path:
    linked, image = where / "linked", where / "image"
    linked.write_bytes(data or program())
    linked.chmod(0o751)
    pack_image(
        str(linked),
        str(image),
        sysroot=str(sysroot),
        link_command=["uk-gcc", "x.c"],
        name="app",
        files=[*companions(linked), *(more or [])],
    )
    return image


def replaced(image: Path, kernel: Path, output: str = "out") -> Path:
    replace_kernel(str(image), str(image.parent / output), str(kernel))
    return image.parent / output


def headers(path: Path) -> Headers:
    fd, found = open_headers(str(path))
    os.close(fd)
    return found


def part(path: Path, name: str) -> bytes:
    section = headers(path).section(name)
    assert section
    return path.read_bytes()[section.offset : section.offset + section.size]


def only(directory: Path, *names: str) -> None:
    assert sorted(p.name for p in directory.iterdir()) == sorted(names)


@pytest.mark.parametrize("tail", [b"", PAYLOAD], ids=["", "appended"])
@pytest.mark.parametrize("sample", SAMPLES)
def test_the_same_kernel_gives_the_same_bytes(
    tmp_path: Path, sysroot: Path, sample: str, tail: bytes
) -> None:
    image = packed(tmp_path, sysroot, program(SAMPLES[sample]) + tail)
    original = image.read_bytes()
    assert replaced(image, sysroot / "kernel").read_bytes() == original
    for number, (count, pages) in enumerate(OTHERS):
        made = made_kernel(tmp_path / f"made{number}", count, pages=pages)
        there = replaced(image, made)
        assert there.read_bytes() != original
        assert replaced(there, sysroot / "kernel", "back").read_bytes() == original


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_stays_and_what_changes(tmp_path: Path, sysroot: Path, sample: str) -> None:
    image = packed(tmp_path, sysroot, program(SAMPLES[sample]) + PAYLOAD)
    made = made_kernel(tmp_path / "made", 2, pages=3)
    out = replaced(image, made)
    before, after = headers(image), headers(out)

    def own(found: Headers) -> dict[bytes, tuple[int, int, int, int]]:
        names = [(s, found.name_of(s)) for s in found.shdrs]
        return {
            n: (s.type, s.addr, s.offset, s.size)
            for s, n in names
            if not n.startswith((b".uk.", b".shstrtab"))
        }

    assert own(after) == own(before)
    assert part(out, ".uk.archive") == part(image, ".uk.archive")
    assert part(out, ".uk.kernel.part0") == (made / "kernel.bin").read_bytes()[:0x3000]
    assert not any(after.name_of(s) == b".uk.kernel.rodata" for s in after.shdrs)
    assert appended(after) == appended(before) and out.read_bytes().endswith(PAYLOAD)
    assert (after.ehdr.entry, after.ehdr.phoff) == (before.ehdr.entry, before.ehdr.phoff)
    assert out.stat().st_mode & 0o7777 == 0o751
    assert not is_changed(str(out))


def test_metadata(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot)
    made = made_kernel(tmp_path / "made", 2, config_sha256="ab" * 32)
    old, new = (read_metadata(str(p)) for p in (image, replaced(image, made)))
    assert new["kernel"] == {
        "release": "6.12.0-uk",
        "source": "6.12.0-1",
        "config_sha256": "ab" * 32,
        "offers": "disk net",
        "made": "00112233445566aa",
    }
    differ = {key for key in {*old, *new} if old.get(key) != new.get(key)}
    assert differ == {"kernel", "memory_min_mib", "program_crc32"}
    facts = read_facts(str(tmp_path / "out"))
    assert (facts.offers, facts.made) == (frozenset({"disk", "net"}), "00112233445566aa")
    assert read_facts(str(image)).offers is None
    shown = CliRunner().invoke(inspect_command, [str(tmp_path / "out")]).output
    assert "specialised: 00112233445566aa" in shown and "offers disk net" in shown
    as_json = CliRunner().invoke(inspect_command, ["--json", str(tmp_path / "out")]).output
    assert json.loads(as_json)["kernel"]["offers"] == "disk net"
    assert "specialised" not in CliRunner().invoke(inspect_command, [str(image)]).output


def test_a_kernel_that_offers_nothing(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot)
    out = replaced(image, made_kernel(tmp_path / "made", 2, offers=[]))
    assert read_metadata(str(out))["kernel"]["offers"] == ""
    assert read_facts(str(out)).offers == frozenset()
    shown = CliRunner().invoke(inspect_command, [str(out)]).output
    assert "offers no features" in shown


def test_its_symbols_are_found_in_the_store(
    tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "store"))
    made = made_kernel(tmp_path / "store" / "kernels" / "made" / "00112233445566aa", 2)
    facts = read_facts(str(replaced(packed(tmp_path, sysroot), made)))
    assert (facts.vmlinux, facts.kernel_config) == (None, "")
    assert facts.origin == "kernel 00112233445566aa"
    (made / "vmlinux").write_bytes(b"symbols")
    (made / "config").write_text("CONFIG_UK=y\n")
    assert facts.vmlinux == made / "vmlinux"
    assert facts.kernel_config == "CONFIG_UK=y\n"


def test_the_memory_is_that_of_a_link_with_this_kernel(tmp_path: Path, sysroot: Path) -> None:
    """The members count as they did when they were packed, padding between them included."""
    long = "/".join(["d" * 200] * 19)
    more = [cpio.regular(f"{long}/{n}", bytes(4096 * n + 5)) for n in range(30)]
    made = made_kernel(tmp_path / "made", 2, allowance=3 << 20)
    for files in ([], more, [cpio.regular("big", bytes(40 << 20))]):
        image = packed(tmp_path, sysroot, more=files)
        linked = tmp_path / "at-the-link"
        pack_image(
            str(tmp_path / "linked"), str(linked), sysroot=str(sysroot), link_command=[],
            name="app", files=files, kernel_directory=str(made),
        )  # fmt: skip
        wanted = read_facts(str(linked))
        assert read_facts(str(replaced(image, made))).memory_min_mib == wanted.memory_min_mib
        assert wanted.memory_min_mib < read_facts(str(image)).memory_min_mib
        assert wanted.made == "00112233445566aa"


def test_padding_between_members_needs_no_memory(tmp_path: Path, sysroot: Path) -> None:
    """The root directory comes once more before each of these; the kernel makes no inode of it."""
    long = "/".join(["d" * 200] * 19)
    files = [cpio.regular(f"{long}/{n}", bytes(4500)) for n in range(1500)]
    image = packed(tmp_path, sysroot, more=files)
    roots = [m for m in archive_of(str(image), lambda _: False) if m.path == "."]
    assert len(roots) > 1024  # each would count as one KiB
    assert replaced(image, sysroot / "kernel").read_bytes() == image.read_bytes()


def test_an_archive_off_pages_is_copied_by_the_kernel(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot, more=[cpio.regular("big", bytes(20 << 20))])
    before = read_facts(str(image)).memory_min_mib
    data = bytearray(image.read_bytes())
    members = archive_of(str(image), lambda _: True)
    plain = cpio.archive(members)  # as images had it before their kernels took whole pages
    section = headers(image).section(".uk.archive")
    assert section and len(plain) <= section.size
    data[section.offset : section.offset + section.size] = plain.ljust(section.size, b"\0")
    at = data.index(b"UKARCHIV")
    _, paddr, *_ = DESCRIPTOR.unpack_from(data, at)
    DESCRIPTOR.pack_into(data, at, b"UKARCHIV", paddr, len(plain), zlib.crc32(plain), 0)
    image.write_bytes(data)
    assert read_facts(str(replaced(image, sysroot / "kernel"))).memory_min_mib > before + 18


def test_a_changed_program_is_still_sent_along(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot)
    recorded = read_metadata(str(image))["program_crc32"]
    with image.open("ab") as file:
        file.write(PAYLOAD)
    made = made_kernel(tmp_path / "made", 2)
    out = replaced(image, made)
    assert is_changed(str(out))
    assert read_metadata(str(out))["program_crc32"] == recorded
    original = image.read_bytes()
    assert replaced(out, sysroot / "kernel", "back").read_bytes() == original


def test_in_place(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot)
    made = made_kernel(tmp_path / "made", 2)
    elsewhere = replaced(image, made).read_bytes()
    replaced(image, made, "image")
    assert image.read_bytes() == elsewhere
    assert image.stat().st_mode & 0o7777 == 0o751
    only(tmp_path, "image", "linked", "made", "out", "sysroot")


def test_dev_null_stays(tmp_path: Path, sysroot: Path) -> None:
    replace_kernel(str(packed(tmp_path, sysroot)), "/dev/null", str(sysroot / "kernel"))
    assert Path("/dev/null").is_char_device()


def test_a_full_disk_leaves_all_as_it_was(
    tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = packed(tmp_path, sysroot)
    original = image.read_bytes()

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(write.os, "pwrite", full)
    with pytest.raises(UkccError, match="image: No space left on device"):
        replaced(image, sysroot / "kernel", "image")
    assert image.read_bytes() == original
    only(tmp_path, "image", "linked", "sysroot")


def test_holes_stay_holes(tmp_path: Path, sysroot: Path) -> None:
    """A table behind a BSS makes one of up to 16 MiB, which takes no blocks."""
    sample = SAMPLES["static at 4 MiB"]._replace(bss=12 << 20)
    image = packed(tmp_path, sysroot, program(sample))
    assert image.stat().st_size > 12 << 20 > 512 * image.stat().st_blocks
    out = replaced(image, made_kernel(tmp_path / "made", 2))
    assert out.stat().st_size > 12 << 20 > 512 * out.stat().st_blocks


def thin(tmp_path: Path, sysroot: Path) -> Path:
    (tmp_path / "linked").write_bytes(program())
    image = tmp_path / "thin"
    pack_thin(
        str(tmp_path / "linked"), str(image), sysroot=str(sysroot), link_command=["x"], name="app"
    )
    return image


def test_a_thin_image_is_completed_with_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "store"))
    sysroot = make_sysroot(tmp_path / "store" / "sysroots" / "0123456789abcdef")
    image, made = thin(tmp_path, sysroot), made_kernel(tmp_path / "made", 2)
    with_kernel(str(image), tmp_path / "whole", str(made))
    with_kernel(str(packed(tmp_path, sysroot)), tmp_path / "other", str(made))
    for name in ("whole", "other"):
        assert read_facts(str(tmp_path / name)).made == "00112233445566aa"
        assert part(tmp_path / name, ".uk.kernel.part0") == b"S" * 4096
        members = archive_of(str(tmp_path / name), lambda _: True)
        assert next(m.data for m in members if m.path == "init") == b"this is init"


def refused(image: Path, kernel: Path, says: str) -> UkccError:
    """It is refused in one line that names the image, and nothing is left of it."""
    before = sorted(image.parent.iterdir())
    with pytest.raises(UkccError) as caught:
        replaced(image, kernel)
    assert sorted(image.parent.iterdir()) == before
    assert caught.value.message.startswith(f"{image}: ") and says in caught.value.message
    assert "\n" not in caught.value.line("ukcc")
    return caught.value


def test_what_is_no_image(tmp_path: Path, sysroot: Path) -> None:
    made = made_kernel(tmp_path / "made", 2)
    refused(thin(tmp_path, sysroot), made, "its sections do not say where kernel and archive are")
    refused(tmp_path / "linked", made, "its sections do not say")
    (tmp_path / "text").write_text("#!/bin/sh\n")
    assert isinstance(refused(tmp_path / "text", made, "not an ELF file"), NotAnImage)
    refused(tmp_path / "none", made, "No such file")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", made, "a pipe, not a file")


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda d: (d / "kernel.json").unlink(), "kernel.json: No such file"),
        (lambda d: (d / "kernel.json").write_text("{}"), "kernel.json: cannot be understood"),
        (lambda d: (d / "kernel.bin").unlink(), "kernel.bin: No such file"),
        (lambda d: (d / "kernel.bin").write_bytes(b"s"), "kernel.bin: shorter than kernel.json"),
    ],
)
def test_a_kernel_that_is_not_whole(
    tmp_path: Path, sysroot: Path, spoil: Callable[[Path], object], says: str
) -> None:
    image, made = packed(tmp_path, sysroot), made_kernel(tmp_path / "made", 2)
    spoil(made)
    with pytest.raises(UkccError, match=says) as caught:
        replaced(image, made)
    assert caught.value.hint == "make the kernel again: ukcc specialise" or "kernel.bin" in says


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("made", "0011"),
        ("made", "../../../../../x"),
        ("made", 5),
        ("offers", "disk"),
        ("offers", ["disk net"]),
        ("offers", ["Disk"]),
        ("offers", [""]),
        ("offers", [1]),
        ("offers", ["x"] * 65),
        ("allowance", 0),
        ("allowance", "10"),
        ("allowance", True),
        ("allowance", 2 << 30),
    ],
)
def test_kernel_json_is_checked(tmp_path: Path, key: str, value: object) -> None:
    made = made_kernel(tmp_path / "made", 2, **{key: value})
    with pytest.raises(UkccError, match=f"cannot be understood.*{key}"):
        read_kernel("", str(made))


def test_kernel_json_of_a_general_kernel(tmp_path: Path, sysroot: Path) -> None:
    kernel = read_kernel(str(sysroot))
    assert (kernel.offers, kernel.made, kernel.allowance) == (None, "", 10 << 20)
    assert set(kernel.facts) == {"release", "source", "config_sha256"}
    kernel = read_kernel("", str(made_kernel(tmp_path / "made", 2, offers=["net", "disk"])))
    assert kernel.offers == ("disk", "net")


@pytest.mark.parametrize(
    ("kernel", "key"),
    [
        ({"made": "../../etc"}, "kernel"),
        ({"made": "00112233445566AA"}, "kernel"),
        ({"offers": "Disk"}, "kernel"),
        ({"offers": " ".join(["x"] * 65)}, "kernel"),
        ({"offers": "x" * 33}, "kernel"),
    ],
)
def test_metadata_of_a_stranger(
    tmp_path: Path, sysroot: Path, kernel: "dict[str, str]", key: str
) -> None:
    image = packed(tmp_path, sysroot)
    patch_metadata(image, kernel=kernel)
    with pytest.raises(UkccError, match=f"damaged metadata: '{key}' is not"):
        read_facts(str(image))
    refused(image, sysroot / "kernel", f"damaged metadata: '{key}' is not")


def patch_metadata(image: Path, **said: object) -> None:
    """The metadata with that said, in their place."""
    found = headers(image)
    phdr = [p for p in found.phdrs if p.type == PT_NOTE][-2]
    new = metadata_note({**read_metadata(str(image)), **said}, phdr.filesz)
    assert len(new) == phdr.filesz
    data = bytearray(image.read_bytes())
    data[phdr.offset : phdr.offset + phdr.filesz] = new
    image.write_bytes(data)


def test_an_image_without_room_in_its_metadata(
    tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they were packed before kernels could be replaced."""
    monkeypatch.setattr("ukcc.image.notes._SPARE", 0)
    image = packed(tmp_path, sysroot)
    made = made_kernel(tmp_path / "made", 3)
    error = refused(image, made, "there is no room in it for the description of this kernel")
    assert error.hint == "link it again"
    with pytest.raises(UkccError) as before:  # a kernel for it is compiled
        check_room(str(image), ["net"])
    assert (before.value.message, before.value.hint) == (error.message, error.hint)


def test_an_image_has_room_for_all_features(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot, program(SAMPLES["static, room"]))
    check_room(str(image), features.table().names)


def test_more_program_headers_than_there_is_room_for(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot, program(SAMPLES["static, room"]))
    says = "there is no room for this kernel's program headers"
    refused(image, made_kernel(tmp_path / "made", 6), says)
    image = packed(tmp_path, sysroot)  # here the metadata give way, as far as they can
    refused(image, made_kernel(tmp_path / "more", 30), "is no room")
    refused(image, made_kernel(tmp_path / "most", 90), "program headers are more than Linux takes")


def test_a_damaged_archive_does_not_get_a_new_checksum(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot)
    data = bytearray(image.read_bytes())
    data[data.index(b"this is init")] ^= 1
    image.write_bytes(data)
    refused(image, sysroot / "kernel", "damaged: its archive is not what was packed")
    data[data.index(b"UKARCHIV")] ^= 1
    image.write_bytes(data)
    refused(image, sysroot / "kernel", "does not say where the archive is")


def patch_phdr(image: Path, index: int, **changed: int) -> None:
    found = headers(image)
    data = bytearray(image.read_bytes())
    at = found.ehdr.phoff + 56 * (index % len(found.phdrs))
    data[at : at + 56] = found.phdrs[index]._replace(**changed).pack()
    image.write_bytes(data)


def patch_section(image: Path, section: str, **changed: int) -> None:
    found = headers(image)
    index = next(n for n, s in enumerate(found.shdrs) if found.name_of(s) == section.encode())
    data = bytearray(image.read_bytes())
    at = found.ehdr.shoff + SHDR_SIZE * index
    data[at : at + SHDR_SIZE] = found.shdrs[index]._replace(**changed).pack()
    image.write_bytes(data)


def test_what_other_tools_could_do(tmp_path: Path, sysroot: Path) -> None:
    made = made_kernel(tmp_path / "made", 2)
    image = packed(tmp_path, sysroot)
    original, found = image.read_bytes(), headers(image)
    archive = found.section(".uk.archive")
    kernel = found.section(".uk.kernel.rodata")
    assert archive and kernel

    def case(says: str, patch: Callable[[], None]) -> None:
        image.write_bytes(original)
        patch()
        refused(image, made, says)

    case("moved its notes", lambda: patch_phdr(image, -1, type=PT_LOAD))
    case("moved its notes", lambda: patch_phdr(image, -2, filesz=found.phdrs[-2].filesz + 24))
    case("does not say what it was made of", lambda: patch_phdr(image, -2, type=7))
    case("archive elsewhere", lambda: patch_section(image, ".uk.archive", offset=kernel.offset))
    case("archive elsewhere", lambda: patch_section(image, ".uk.archive", size=archive.size - 1))
    case("do not say where", lambda: patch_section(image, ".uk.archive", name=0))
    case("lies between", lambda: patch_section(image, ".symtab", offset=kernel.offset))
    case("lies between", lambda: patch_phdr(image, 3, offset=archive.offset))
    case("lies between", lambda: patch_phdr(image, 1, offset=kernel.offset))
    case("are not those", lambda: patch_phdr(image, -3, offset=archive.offset + 4096, filesz=8))
    case("are not those", lambda: patch_phdr(image, -4, vaddr=0x30000000))
    last = [n for n, p in enumerate(found.phdrs) if p.type == PT_LOAD][2]
    huge = {"vaddr": 1 << 50, "memsz": 1 << 41}
    case("longer than a machine's", lambda: patch_phdr(image, last, **huge))

    def without_sections() -> None:
        data = bytearray(original)
        struct.pack_into("<Q", data, 40, 0)
        struct.pack_into("<HH", data, 60, 0, 0)
        image.write_bytes(data)

    case("do not say where", without_sections)


def test_what_a_stranger_repeats(tmp_path: Path, sysroot: Path) -> None:
    """Headers that name the same bytes again and again would be read as often."""
    made = made_kernel(tmp_path / "made", 2)
    image = packed(tmp_path, sysroot)
    original = image.read_bytes()
    image.write_bytes(original + bytes(2 * len(original)))
    for name in (".symtab", ".strtab"):
        patch_section(image, name, type=2, offset=len(original), size=2 * len(original))
    refused(image, made, "its symbol tables overlap")
    image.write_bytes(original)
    with image.open("ab") as file:
        file.truncate(20 << 20)
    note = next(n for n, p in enumerate(headers(image).phdrs) if p.type == PT_NOTE)
    patch_phdr(image, note, offset=len(original), filesz=17 << 20)
    refused(image, made, "its notes are too long")
    image.write_bytes(original)
    table = b"".join(p.pack() for p in headers(image).phdrs).ljust(74 * 56, b"\0")
    data = bytearray(original + table)
    struct.pack_into("<Q", data, 32, len(original))
    struct.pack_into("<H", data, 56, 74)
    image.write_bytes(data)
    refused(image, made, "74 program headers, more than Linux takes")


@pytest.mark.parametrize("number", [b"NaN", b"1e999", b"-Infinity"])
def test_numbers_that_json_has_not(tmp_path: Path, sysroot: Path, number: bytes) -> None:
    image = packed(tmp_path, sysroot)
    patch_metadata(image, inputs={"x": "0123456789"})
    data = image.read_bytes()
    assert b'"0123456789"' in data
    image.write_bytes(data.replace(b'"0123456789"', number.ljust(12)))
    refused(image, sysroot / "kernel", "damaged metadata")


def test_a_segment_at_an_address_that_no_machine_has(tmp_path: Path, sysroot: Path) -> None:
    """A stranger's; found by the fuzzer, for the stated memory was no number of MiB then."""
    image = packed(tmp_path, sysroot)
    stated = read_facts(str(image)).memory_min_mib
    patch_phdr(image, 0, paddr=0xFFFFFFF700127000)
    out = replaced(image, sysroot / "kernel")
    assert read_facts(str(out)).memory_min_mib == stated
    replaced(image, made_kernel(tmp_path / "made", 2))


def test_a_larger_kernel_where_something_is_mapped_behind(tmp_path: Path, sysroot: Path) -> None:
    """As patchelf leaves a PIE: a segment of its own above all others. A smaller one has place."""
    image = packed(tmp_path, sysroot, program(SAMPLES["dynamic PIE, room"]))
    end = max(p.vend for p in headers(image).phdrs if p.type == PT_LOAD)
    table = [n for n, p in enumerate(headers(image).phdrs) if p.type == PT_LOAD]
    patch_phdr(image, table[2], vaddr=(end + 4095) // 4096 * 4096 + 0x100)
    refused(image, made_kernel(tmp_path / "large", 3, pages=50), "something else is mapped where")
    replaced(image, made_kernel(tmp_path / "small", 2))


def test_names_and_headers_that_are_not_last_go_to_the_end(tmp_path: Path, sysroot: Path) -> None:
    """As after patchelf, which puts what it loads behind them."""
    image = packed(tmp_path, sysroot)
    data = image.read_bytes()
    at = len(data) + -len(data) % 4096
    image.write_bytes(data.ljust(at, b"\0") + b"loaded later" * 10)
    found = headers(image)
    table = [n for n, p in enumerate(found.phdrs) if p.type == PT_LOAD][2]
    patch_phdr(image, table, offset=at + 0x100 - 0x100, filesz=120, vaddr=0x20000000)
    out = replaced(image, made_kernel(tmp_path / "made", 2))
    after = headers(out)
    moved = after.phdrs[table]
    assert out.read_bytes()[moved.offset : moved.offset + 120] == b"loaded later" * 10
    assert moved.offset % 4096 == 0
    assert after.ehdr.shoff > moved.offset + moved.filesz
    assert after.section(".uk.kernel.part0") and after.section(".text")
    assert appended(after) == 0


def test_sections_are_renumbered() -> None:
    def section(link: int, info: int = 0, kind: int = 1, flags: int = 0) -> Shdr:
        return Shdr(0, kind, flags, 0, 0, 8, link, info, 1, 0)

    new = [section(0)]
    old = [
        section(0), section(5, 7), *[section(0)] * 3, section(6), section(1, 4), section(1, 6, 4),
        section(99, 1, 1, 0x40),
    ]  # fmt: skip
    result, indices = renumbered(old, [2, 3, 4], new)
    assert indices == (0, 1, 2, 2, 2, 3, 4, 5, 6)
    assert [(s.link, s.info) for s in result] == [
        (0, 0), (3, 7), (0, 0), (4, 0), (1, 4), (1, 4), (99, 1),
    ]  # fmt: skip
    again, _ = renumbered(result, [2], [section(0)] * 3)
    assert again == old


def test_symbols_are_renumbered(tmp_path: Path, sysroot: Path) -> None:
    image = packed(tmp_path, sysroot)
    fd, found = open_headers(str(image))
    try:
        assert renumbered_symbols(fd, found, tuple(range(len(found.shdrs)))) == []
        indices = (0, 1, 2, 9, *range(10, len(found.shdrs) + 6))
        ((offset, data),) = renumbered_symbols(fd, found, indices)
    finally:
        os.close(fd)
    symtab = found.section(".symtab")
    assert symtab and (offset, len(data)) == (symtab.offset, symtab.size)
    assert [s[3] for s in struct.iter_unpack("<IBBHQQ", data)] == [0, 1, 9, 9, 1]
