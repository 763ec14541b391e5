"""`--disk`: its words, what a file holds, and what QEMU and init are told."""

import os
import struct
from dataclasses import replace
from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.vm import diskfile, superblock
from ukcc.vm.disks import Disk, parse_disk, parse_size, size_word, with_create
from ukcc.vm.facts import ImageFacts
from ukcc.vm.machine import Machine, Share
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import plan_machine
from ukcc.vm.qemu import Endpoints, qemu_argv
from ukcc.vm.settings import Terminal, settings_lines
from ukcc.vm.volumes import check_places, check_shares

MIB = 1 << 20


@pytest.mark.parametrize(
    ("text", "disk"),
    [
        ("/d.img", Disk("/d.img")),
        ("/d.img:/data", Disk("/d.img", "/data")),
        ("/d.img:/data:ext4", Disk("/d.img", "/data")),
        ("/d.img:/data,ro", Disk("/d.img", "/data", readonly=True)),
        ("/d.img,rw", Disk("/d.img")),
        ("/d.img:/data,create=64M", Disk("/d.img", "/data", create=64 * MIB)),
        ("/d.img,cache=none,create=1g", Disk("/d.img", create=1024 * MIB, cache="none")),
        ("/a,b:c,ro.img:/my data", Disk("/a,b:c,ro.img", "/my data")),
    ],
)
def test_disk(text: str, disk: Disk) -> None:
    assert parse_disk(text) == disk


def test_disk_of_a_relative_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_disk("d.img:/data").file == str(tmp_path / "d.img")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not understood"),
        (":/data", "not understood"),
        ("/d.img:/", "not understood"),
        ("/d.img,ro,ro", "not understood"),
        ("/d.img,ro,rw", "not understood"),
        ("/d.img,ro=1", "not understood"),
        ("/d.img,create", "not understood"),
        ("/d.img:/a\nb", "not understood"),
        ("/d.img:/data:xfs", "xfs is no file system"),
        ("/d.img:/data:", "no file system"),
        ("/d.img,cache=fast", "cache=fast: no such mode"),
        ("/d.img,create=big", "big is no size"),
        ("/d.img,ro,create=1G", "read-only"),
    ],
)
def test_disk_refused(text: str, said: str) -> None:
    with pytest.raises(MachineError) as caught:
        parse_disk(text)
    assert said in caught.value.message and caught.value.hint and caught.value.status == 125


@pytest.mark.parametrize(("text", "size"), [("16M", 16 * MIB), ("3g", 3072 * MIB), ("1T", 1 << 40)])
def test_size(text: str, size: int) -> None:
    assert parse_size(text, "x") == size
    assert size_word(size) == text.upper()


@pytest.mark.parametrize(
    "text", ["", "0G", "1", "15M", "1K", "-1G", "1.5G", "1GB", "9999999G", "१G"]
)
def test_size_refused(text: str) -> None:
    with pytest.raises(MachineError):
        parse_size(text, "x")


def test_create_goes_with_one_disk() -> None:
    one, other = Disk("/a", "/a"), Disk("/b", "/b")
    assert with_create((one, other), None) == (one, other)
    assert with_create((one,), "1G") == (Disk("/a", "/a", create=1024 * MIB),)
    for disks in ((), (one, other), (Disk("/a", readonly=True),), (Disk("/a", create=MIB),)):
        with pytest.raises(MachineError):
            with_create(disks, "1G")


def test_argv_and_settings_of_disks() -> None:
    disks = (
        Disk("/a,b", "/data/sub"),
        Disk("/c", readonly=True, format="qcow2", cache="none"),
        Disk("/e", "/ro", readonly=True),
    )
    shares = (Share("/h", "/data"), Share("/h", "/data/sub/more"))
    machine = Machine("app", 128, 1, "tcg", (), shares, disks=disks, readonly_root=True)
    argv = qemu_argv(machine, Endpoints("/i", "/r"))
    drives = [argv[i + 1] for i, word in enumerate(argv) if word == "-drive"]
    assert drives[0] == (
        "file=/a,,b,format=raw,if=none,id=disk0,cache=writeback,"
        "discard=unmap,werror=report,rerror=report"
    )
    assert "format=qcow2" in drives[1] and "cache=none" in drives[1]
    assert drives[1].endswith(",readonly=on")
    assert argv.index("virtio-blk-pci,drive=disk0") < argv.index("virtio-blk-pci,drive=disk1")
    # a place is mounted before what is in it
    assert settings_lines(machine, Terminal())[2:] == (
        "mount=share0:/data:rw",
        "disk=/dev/vdc:/ro:ro",
        "disk=/dev/vda:/data/sub:rw",
        "mount=share1:/data/sub/more:rw",
        "root=ro",
    )


@pytest.mark.parametrize(
    ("shares", "disks", "said"),
    [
        (["/proc"], [], "/proc is the kernel's"),
        (["/dev/shm"], [], "/dev is the kernel's"),
        (["/tmp/../sys/x"], [], "/sys is the kernel's"),
        (["/"], [], "the root is the image's own"),
        (["//data/."], ["/data"], "-v /h is there already"),
        (["/data", "/data/"], [], "is there already"),
        (["/app"], [], "would hide the program, /app/x"),
        ([f"/{n}" for n in range(17)], [], "16 are the most"),
    ],
)
def test_places_refused(shares: list[str], disks: list[str], said: str) -> None:
    options = RunOptions(
        "x",
        shares=tuple(Share("/h", guest) for guest in shares),
        disks=tuple(Disk("/d", guest) for guest in disks),
    )
    with pytest.raises(MachineError) as caught:
        plan_machine(options, ImageFacts(program="/app/x"), "tcg")
    assert said in caught.value.message and caught.value.status == 125


def test_places_that_are_free() -> None:
    shares = [Share("/h", guest) for guest in ("/data", "/devices", "/tmp/x", "/run", "/app/y")]
    check_places(shares, [Disk("/d", "/data/sub"), Disk("/e"), Disk("/f")], "/app/x")


def test_one_file_is_one_disk(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("file")
    for first, second in (("file", "file"), ("link", "file")):
        disks = [Disk(str(tmp_path / first), "/a"), Disk(str(tmp_path / second), "/b")]
        with pytest.raises(MachineError) as caught:
            check_places([], disks)
        assert "given twice" in caught.value.message
    (tmp_path / "loop").symlink_to("loop")
    check_places([], [Disk(str(tmp_path / "loop"))])
    both = [Disk(str(tmp_path / "file"), guest, readonly=True) for guest in ("/a", "/b")]
    check_places([], both)


def test_shares_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    check_shares([Share(str(tmp_path), "/data")])
    for name, said in (
        ("file", "a file"),
        ("absent", "no such directory"),
        ("x" * 300, "too long"),
    ):
        with pytest.raises(MachineError) as caught:
            check_shares([Share(str(tmp_path / name), "/data")])
        assert said in caught.value.message and caught.value.hint


def written(file: Path, head: bytes, size: int) -> Path:
    """A file that begins so; sparse up to `size` bytes."""
    file.write_bytes(head)
    os.truncate(file, max(size, len(head)))
    return file


def at(offset: int, magic: bytes) -> bytes:
    return (b"\0" * offset + magic).ljust(superblock.HEAD, b"\0")


def ext(compat: int = 4, incompat: int = 0x40, state: int = 1, blocks: int = 16384) -> bytes:
    """The beginning of a file system with blocks of 1 KiB, 16 MiB in all."""
    block = bytearray(1024)
    struct.pack_into("<I", block, 0x04, blocks)
    struct.pack_into("<HH", block, 0x38, 0xEF53, state)
    struct.pack_into("<II", block, 0x5C, compat, incompat)
    return at(1024, bytes(block))


@pytest.mark.parametrize(
    ("head", "said"),
    [
        (at(0, b""), "holds nothing yet"),
        (at(0, b"some text"), "data of an unknown kind"),
        (at(0, b"XFSB"), "an XFS file system"),
        (at(0x10040, b"_BHRfS_M"), "a btrfs file system"),
        (at(0x36, b"FAT16   ".ljust(0x1C8, b"\0") + b"\x55\xaa"), "a FAT file system"),
        (at(0x1FE, b"\x55\xaa"), "a partition table (MBR)"),
        (at(0x1FE, b"\x55\xaaEFI PART"), "a partition table (GPT)"),
        (at(4086, b"SWAPSPACE2"), "swap space"),
        (at(0x200, b"LABELONE".ljust(24, b"\0") + b"LVM2 001"), "a physical volume of LVM"),
        (at(0, b"LUKS\xba\xbe"), "an encrypted volume"),
        (ext(incompat=8), "the journal of another"),
        (ext(blocks=16385), "cut short"),
        (ext(state=2), "e2fsck -f"),
        (ext(compat=0), "tune2fs -j"),
        (b"short", "data of an unknown kind"),
    ],
)
def test_other_contents(tmp_path: Path, head: bytes, said: str) -> None:
    file = written(tmp_path / "d.img", head, 16 * MIB if len(head) == superblock.HEAD else 0)
    with pytest.raises(MachineError) as caught:
        diskfile.prepared(Disk(str(file), "/data"))
    assert said in caught.value.line("x") and caught.value.hint
    # without a place in the guest it is a block device, whatever it holds
    assert diskfile.prepared(Disk(str(file))).format == "raw"
    with file.open("rb") as disk:
        assert disk.read(len(head)) == head


def test_a_journal_to_replay(tmp_path: Path) -> None:
    file = written(tmp_path / "d.img", ext(incompat=0x44), 16 * MIB)
    assert diskfile.prepared(Disk(str(file), "/data")).format == "raw"
    with pytest.raises(MachineError) as caught:
        diskfile.prepared(Disk(str(file), "/data", readonly=True))
    assert "journal" in caught.value.message


def test_a_large_file_system_has_a_high_word(tmp_path: Path) -> None:
    head = bytearray(ext(incompat=0x80))
    struct.pack_into("<I", head, 1024 + 0x150, 1)
    found = superblock.read_ext(bytes(head))
    assert found is not None and found.size == ((1 << 32) + 16384) * 1024


def qcow2(version: int, backing: int, *extensions: tuple[int, bytes]) -> bytes:
    head = struct.pack(">4sIQIIQ", b"QFI\xfb", version, backing, 4, 16, 32 * MIB)
    head = head.ljust(100, b"\0")
    head = (head + struct.pack(">I", 104))[: 104 if version > 2 else 72]
    for kind, data in extensions:
        head += struct.pack(">II", kind, len(data)) + data.ljust((len(data) + 7) // 8 * 8, b"\0")
    return head.ljust(superblock.HEAD, b"\0")


@pytest.mark.parametrize(
    ("head", "guesses"),
    [
        (qcow2(2, 0), False),
        (qcow2(3, 0), False),
        (qcow2(2, 500), True),
        (qcow2(3, 500, (0x6803F857, b"x" * 48)), True),
        (qcow2(2, 500, (0xE2792ACA, b"raw")), False),
        (qcow2(3, 500, (0x6803F857, b"x" * 47), (0xE2792ACA, b"raw")), False),
    ],
)
def test_qcow2(tmp_path: Path, head: bytes, guesses: bool) -> None:
    file = tmp_path / "d.qcow2"
    file.write_bytes(head)
    if not guesses:
        for create in (0, 32 * MIB):
            disk = Disk(str(file), "/data", create=create)
            assert diskfile.prepared(disk) == replace(disk, format="qcow2")
        with pytest.raises(MachineError) as caught:
            diskfile.prepared(Disk(str(file), "/data", create=16 * MIB))
        assert "has 32M, not 16M" in caught.value.message
        return
    with pytest.raises(MachineError) as caught:
        diskfile.prepared(Disk(str(file), "/data"))
    assert "based on" in caught.value.message and "qemu-img rebase" in caught.value.hint


def test_files_that_are_no_disk(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to("nowhere")
    for name, said in (
        ("", "a directory; -v shares it"),
        ("absent", "no such file; add ,create=SIZE"),
        ("away", "a link to nowhere"),
        ("x" * 300, "File name too long"),
    ):
        with pytest.raises(MachineError) as caught:
            diskfile.prepared(
                Disk(str(tmp_path / name), "/data", create=16 * MIB if name == "away" else 0)
            )
        assert said in caught.value.line("x")


def test_one_that_is_there_is_not_made_anew(tmp_path: Path) -> None:
    file = written(tmp_path / "d.img", ext(), 16 * MIB)
    assert diskfile.prepared(Disk(str(file), "/data", create=16 * MIB)).format == "raw"
    with pytest.raises(MachineError) as caught:
        diskfile.prepared(Disk(str(file), "/data", create=32 * MIB))
    assert "has 16M, not 32M" in caught.value.message


def test_no_mkfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diskfile, "MKFS", "mkfs.ext4-that-is-not-there")
    with pytest.raises(MachineError) as caught:
        diskfile.prepared(Disk(str(tmp_path / "d.img"), "/data", create=16 * MIB))
    assert "no such program" in caught.value.message and "apt-get install" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_who_has_the_disk() -> None:
    said = (
        'qemu-system-x86_64: -device virtio-blk-pci,drive=disk0: Failed to get "write" lock\n'
        "Is another process using the image [/d.img]?\n"
    )
    assert diskfile.in_use(said) == "/d.img"
    assert diskfile.in_use("qemu-system-x86_64: no memory") == ""
