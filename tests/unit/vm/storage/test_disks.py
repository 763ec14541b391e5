"""`--disk`: its words, what a file holds, and what QEMU and init are told."""

import json
import os
import stat
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from support import qcow2_samples
from support.machine_samples import make_machine

from ukcc.errors import MachineError
from ukcc.image.facts import ImageMetadata
from ukcc.image.files import FileSpec
from ukcc.vm.boot.init_archive import Terminal, settings_lines
from ukcc.vm.hypervisor.disk_qemu import descriptors, with_names
from ukcc.vm.hypervisor.qemu import Endpoints, qemu_argv
from ukcc.vm.machine import Share
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import plan_machine
from ukcc.vm.storage import diskfile, superblock
from ukcc.vm.storage.disks import Disk, Layer, parse_disk, parse_size, size_word, with_create
from ukcc.vm.storage.trail import check_sources, trail
from ukcc.vm.storage.volumes import check_places, check_shares

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
        ("/d.img,format=qcow2", Disk("/d.img", format="qcow2")),
        ("/d.img,format=raw", Disk("/d.img", format="raw")),
        ("/d.qcow2,backing=/b", Disk("/d.qcow2", backing=("/b",))),
        (
            "/d:/data,backing=/b=c,format=qcow2,backing=/d:e,ro",
            Disk("/d", "/data", readonly=True, format="qcow2", backing=("/b=c", "/d:e")),
        ),
    ],
)
def test_disk(text: str, disk: Disk) -> None:
    assert parse_disk(text) == disk


def test_disk_of_a_relative_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse_disk("d.img:/data").file == str(tmp_path / "d.img")
    # never what QEMU would take for a protocol
    for name in ("nbd:localhost:1", 'json:{"driver":"raw"}', "fat:rw:etc", "file:shadow"):
        assert parse_disk(name).file == str(tmp_path / name)
    assert parse_disk("d.qcow2,backing=nbd:x").backing == (str(tmp_path / "nbd:x"),)


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
        ("/d.img:/data,readonly", "not understood"),
        ("/d.img:/data,craete=1G", "not understood"),
        ("/d.img:/data:xfs", "xfs is not a supported file system"),
        ("/d.img:/data:", "not a supported file system"),
        ("/d.img,cache=fast", "cache=fast: no such mode"),
        ("/d.img,create=big", "invalid disk size 'big'"),
        ("/d.img,ro,create=1G", "read-only"),
        ("/d.img,format=vmdk", "format=vmdk: no such format"),
        ("/d.img,format", "not understood"),
        ("/d.img,format=raw,format=qcow2", "not understood"),
        ("/d.qcow2,backing=", "not understood"),
        ("/d.img,backing=/b", "only a qcow2 image"),
        ("/d.img,format=raw,backing=/b", "only a qcow2 image"),
        # its guest would write the header that counts when format is left out
        ("/d.qcow2:/data,format=raw", "must not be named .qcow2"),
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
    layers = (Layer("/c", "qcow2", fd=7), Layer("/b1", "qcow2", fd=9), Layer("/b2", "raw", True))
    disks = (
        Disk('/a,b"', "/data/sub", cache="unsafe"),
        Disk("/c", readonly=True, format="qcow2", cache="none", layers=layers),
        Disk("/e", "/ro", readonly=True, cache="directsync"),
    )
    shares = (Share("/h", "/data"), Share("/h", "/data/sub/more"))
    machine = make_machine(shares=shares, disks=disks, readonly_root=True)
    argv = qemu_argv(machine, Endpoints("/i", "/r"))
    assert "-drive" not in argv
    nodes = [json.loads(argv[i + 1]) for i, word in enumerate(argv) if word == "-blockdev"]
    shared = {"read-only": False, "discard": "unmap", "cache": {"direct": False, "no-flush": True}}
    assert nodes[0] == {
        "node-name": "disk0",
        "driver": "raw",
        **shared,
        "file": {"driver": "file", "filename": '/a,b"', **shared},
    }
    # each layer has its driver, and none may follow what an image says
    below = nodes[1]["backing"]
    assert [node["driver"] for node in (nodes[1], below, below["backing"])] == [
        "qcow2",
        "qcow2",
        "raw",
    ]
    assert nodes[1]["file"]["filename"] == "/dev/fdset/1" and nodes[1]["cache"]["direct"]
    assert below["file"]["filename"] == "/dev/fdset/2" and below["read-only"]
    assert below["backing"]["file"]["driver"] == "host_device"
    assert below["backing"]["file"]["filename"] == "/b2"
    sets = [argv[i + 1] for i, word in enumerate(argv) if word == "-add-fd"]
    assert sets == ["fd=7,set=1", "fd=9,set=2"] and descriptors(disks) == [7, 9]
    told = "Is another process using the image [/dev/fdset/2]? /dev/fdset/9"
    assert diskfile.in_use(with_names(told, disks)) == "/b1"
    devices = [word for word in argv if word.startswith("virtio-blk-pci,")]
    reports = "werror=report,rerror=report,write-cache="
    assert devices == [
        f"virtio-blk-pci,drive=disk{n},{reports}{cache}"
        for n, cache in enumerate(("on", "on", "off"))
    ]
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
        plan_machine(options, ImageMetadata(program="/app/x"), "tcg")
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


@pytest.mark.parametrize(
    "disk", ["s/d.img", "s/below/d.img", "link", "aside/d.img", "in.img", "through/d.img"]
)
def test_a_disk_that_the_guest_could_replace_is_refused(tmp_path: Path, disk: str) -> None:
    """By a link to any file of the host, which the next run would let it write to."""
    (tmp_path / "s" / "below").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    (tmp_path / "link").symlink_to("s/d.img")
    (tmp_path / "aside").symlink_to("s/below")
    (tmp_path / "s" / "d.img").symlink_to("../out/d.img")
    (tmp_path / "in.img").symlink_to("s/below/d.img")
    (tmp_path / "s" / "away").symlink_to(tmp_path / "out")
    (tmp_path / "through").symlink_to(tmp_path / "s" / "below" / ".." / "away")
    share = Share(str(tmp_path / "s"), "/data")
    disks = [Disk(str(tmp_path / disk), "/disk")]
    with pytest.raises(MachineError, match="where the guest could replace it"):
        check_places([share], disks)
    check_places([replace(share, readonly=True)], disks)
    check_places([share], [Disk(str(tmp_path / "out" / "d.img"), "/disk")])
    check_places([share], [Disk(str(tmp_path / "so.img"), "/disk")])


def test_a_share_that_the_guest_of_another_could_lead_elsewhere_is_refused(tmp_path: Path) -> None:
    (tmp_path / "s" / "below").mkdir(parents=True)
    (tmp_path / "s" / "link").symlink_to("/etc")
    (tmp_path / "ours").symlink_to("s/below")
    outer = Share(str(tmp_path / "s"), "/data")
    for name in ("s/link", "s/link/ssl", "s/below/../link"):
        for readonly in (False, True):
            inner = Share(f"{tmp_path}/{name}", "/inner", readonly)
            with pytest.raises(MachineError, match="it is found by a link in -v"):
                check_places([outer, inner], [])
            check_places([replace(outer, readonly=True), inner], [])
    # directories, and a link of ours, are what they are
    for name in ("s/below", "ours", "s"):
        check_places([outer, Share(f"{tmp_path}/{name}", "/inner")], [])


def test_files_that_the_guest_could_lead_elsewhere_are_refused(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "link").symlink_to("/etc")
    (tmp_path / "s" / "file").touch()
    shares = [Share(str(tmp_path / "s"), "/data")]
    with pytest.raises(MachineError, match="s/link/shadow:/x: it is found by a link"):
        check_sources(shares, [FileSpec(f"{tmp_path}/s/link/shadow", "/x")])
    check_sources(shares, [FileSpec(f"{tmp_path}/s/{name}", "/x") for name in ("file", "link")])
    check_sources([replace(shares[0], readonly=True)], [FileSpec(f"{tmp_path}/s/link/x", "/x")])


def test_a_name_without_end_is_followed_to_an_end(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop/loop")
    assert len(list(trail(str(tmp_path / "loop")))) < 200


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
        diskfile.prepare_disk(Disk(str(file), "/data"))
    assert said in caught.value.line("x") and caught.value.hint
    # without a place in the guest it is a block device, whatever it holds
    assert diskfile.prepare_disk(Disk(str(file))).format == "raw"
    with file.open("rb") as disk:
        assert disk.read(len(head)) == head


def test_a_journal_to_replay(tmp_path: Path) -> None:
    file = written(tmp_path / "d.img", ext(incompat=0x44), 16 * MIB)
    assert diskfile.prepare_disk(Disk(str(file), "/data")).format == "raw"
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(file), "/data", readonly=True))
    assert "journal" in caught.value.message


def test_a_large_file_system_has_a_high_word(tmp_path: Path) -> None:
    head = bytearray(ext(incompat=0x80))
    struct.pack_into("<I", head, 1024 + 0x150, 1)
    found = superblock.read_ext(bytes(head))
    assert found is not None and found.size == ((1 << 32) + 16384) * 1024


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (qcow2_samples.header(MIB), "a qcow2 image"),
        (qcow2_samples.header(MIB, version=1), "a qcow2 image"),
        (b"QED\0", "a QED image"),
        (b"KDMV", "a VMDK image"),
        (b"# Disk DescriptorFile\nversion=1\n", "a VMDK image"),
        (at(0x40, b"\x7f\x10\xda\xbe")[:0x44], "a VDI image"),
        (b"vhdxfile", "a VHDX image"),
        (b"conectix", "a VHD image"),
        (b"WithoutFreeSpace", "a Parallels image"),
    ],
)
@pytest.mark.parametrize("guest", ["", "/data"])
def test_a_raw_disk_never_becomes_an_image(
    tmp_path: Path, head: bytes, kind: str, guest: str
) -> None:
    """A guest writes what it likes to the beginning of its disk, with a file system around it."""
    file = written(tmp_path / "d.img", (head + ext()[len(head) :]), 16 * MIB)
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(file), guest))
    assert f"it begins as {kind}" in caught.value.message and "format=raw" in caught.value.hint
    # whoever knows that it is raw can say so
    found = diskfile.prepare_disk(Disk(str(file), guest, format="raw"))
    assert found.format == "raw" and found.layers == (Layer(str(file), "raw"),)


def test_what_is_said_to_be_a_qcow2_image(tmp_path: Path) -> None:
    image = tmp_path / "image.QCOW2"
    image.write_bytes(qcow2_samples.empty(32 * MIB))
    for disk_format in ("", "qcow2"):
        for create in (0, 32 * MIB):
            disk = Disk(str(image), "/data", create=create, format=disk_format)
            layers = (Layer(str(image), "qcow2"),)
            assert diskfile.prepare_disk(disk) == replace(disk, format="qcow2", layers=layers)
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(image), "/data", create=16 * MIB))
    assert "has 32M, not 16M" in caught.value.message
    for name, disk_format, mend in (
        ("other.qcow2", "", "rename it"),
        ("other.qcow2", "qcow2", "rename it"),
        ("other.img", "qcow2", "leave format out"),
    ):
        other = written(tmp_path / name, ext(), 16 * MIB)
        with pytest.raises(MachineError) as caught:
            diskfile.prepare_disk(Disk(str(other), "/data", format=disk_format))
        assert "not a qcow2 image; it holds an ext file system" in caught.value.message
        assert mend in caught.value.hint
    # what is made is raw
    for name, disk_format in (("new.qcow2", ""), ("new.img", "qcow2")):
        with pytest.raises(MachineError) as caught:
            diskfile.prepare_disk(Disk(str(tmp_path / name), create=16 * MIB, format=disk_format))
        assert (
            "create makes a raw disk" in caught.value.message
            and "call it .img" in caught.value.hint
            and f"qemu-img create -f qcow2 {tmp_path / name} 16M" in caught.value.hint
        )
        assert not (tmp_path / name).exists()


def test_a_qcow2_image_that_is_not_there(tmp_path: Path) -> None:
    """create=SIZE, which makes a raw disk, was no help."""
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(tmp_path / "a b.qcow2")))
    assert caught.value.message == f"--disk {tmp_path}/a b.qcow2: no such file"
    assert caught.value.hint == f"make it: qemu-img create -f qcow2 '{tmp_path}/a b.qcow2' 1G"


@pytest.mark.parametrize(
    ("head", "command"),
    [
        (qcow2_samples.header(MIB, encryption=1), "qemu-img convert -O raw {} NEW.img"),
        (qcow2_samples.header(MIB, features=2), "qemu-img check -r all {}"),
        (qcow2_samples.header(MIB, features=1 << 5), "qemu-img convert -O qcow2 {} NEW.qcow2"),
        (qcow2_samples.header(MIB, b"base", {0xE2792ACA: b"vmdk"}), "add ,backing=FILE"),
    ],
)
def test_how_to_mend_a_qcow2_image(tmp_path: Path, head: bytes, command: str) -> None:
    """A line to paste, with the name of the image in it."""
    image = tmp_path / "{0} image.qcow2"
    image.write_bytes(head.ljust(1 << 16, b"\0"))
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(image), backing=("base",) if "vmdk" in command else ()))
    assert str(image) in caught.value.message
    assert command.format(f"'{image}'") in caught.value.hint


def test_a_qcow2_image_that_the_guest_cannot_mount() -> None:
    disks = [Disk("/d.img", "/raw"), Disk("/my disk.qcow2", "/data")]
    said = diskfile.why_not_mounted("cannot mount the disk at /data: Invalid argument", disks)
    assert "--disk /my disk.qcow2: the qcow2 image holds no ext4" in said
    assert said.endswith("qemu-img convert -O qcow2 RAW '/my disk.qcow2'")
    for other in ("cannot mount the disk at /raw: Invalid argument", "cannot mount /tmp: x", ""):
        assert diskfile.why_not_mounted(other, disks) == ""


def overlay(directory: Path, backing: bytes, kind: bytes = b"qcow2", name: str = "o.qcow2") -> Path:
    file = directory / name
    file.write_bytes(qcow2_samples.empty(16 * MIB, backing, kind))
    return file


@pytest.mark.parametrize(
    ("backing", "kind", "said"),
    [
        (b"/etc/passwd", b"qcow2", "not beside it"),
        (b"../secret", b"qcow2", "not beside it"),
        (b"sub/../../secret", b"qcow2", "not beside it"),
        (b'json:{"driver":"nbd","host":"localhost"}', b"raw", "of raw format"),
        (b'json:{"driver":"nbd","host":"localhost"}', b"qcow2", "not the name of a file"),
        (b"nbd:localhost:10809", b"qcow2", "not the name of a file"),
        (b"fat:rw:sub", b"qcow2", "not the name of a file"),
        (b"file:base.qcow2", b"qcow2", "not the name of a file"),
        (b"http://localhost/x", b"qcow2", "not the name of a file"),
        (b"secret", b"raw", "of raw format"),
        (b"secret", b"", "of unsaid format"),
        (b"secret", b"vmdk", "of vmdk format"),
        (b"secret", b"qcow2", "not a qcow2 image"),
        (b"link.qcow2", b"qcow2", "a link that leads elsewhere"),
        (b"deep/base.qcow2", b"qcow2", "a link that leads elsewhere"),
        (b"absent.qcow2", b"qcow2", "No such file"),
        (b"sub", b"qcow2", "a directory"),
        (b"o.qcow2", b"qcow2", "based on itself"),
        (b"\x1b[2J", b"raw", r"'\x1b[2J'"),
    ],
)
def test_an_image_does_not_choose_files(
    tmp_path: Path, backing: bytes, kind: bytes, said: str
) -> None:
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    (place / "sub").mkdir(parents=True)
    elsewhere.mkdir()
    (elsewhere / "base.qcow2").write_bytes(qcow2_samples.empty(16 * MIB))
    (place / "secret").write_text("of the host")
    (place / "link.qcow2").symlink_to(elsewhere / "base.qcow2")
    (place / "deep").symlink_to(elsewhere)
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(overlay(place, backing, kind))))
    assert said in caught.value.message
    assert caught.value.line("x").isprintable()


def test_layers_beside_each_other(tmp_path: Path) -> None:
    names = ["o.qcow2", "sub/middle.qcow2", "sub/base.qcow2"]
    (tmp_path / "sub").mkdir()
    (tmp_path / names[2]).write_bytes(qcow2_samples.empty(16 * MIB))
    overlay(tmp_path, b"base.qcow2", name=names[1])
    found = diskfile.prepare_disk(Disk(str(overlay(tmp_path, b"./sub/middle.qcow2"))))
    assert [layer.format for layer in found.layers] == ["qcow2"] * 3
    assert [os.path.realpath(layer.file) for layer in found.layers] == [
        str(tmp_path / name) for name in names
    ]
    # the deepest is no better than the first
    overlay(tmp_path / "sub", b"/etc/passwd", b"raw", name="base.qcow2")
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(tmp_path / "o.qcow2")))
    assert "sub/base.qcow2: it is based on '/etc/passwd', of raw format" in caught.value.message


def test_layers_that_the_user_names(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    base = tmp_path / "elsewhere" / "base.img"
    base.write_bytes(bytes(MIB))
    middle = overlay(tmp_path / "elsewhere", b"/anything", b"raw", name="middle")
    top = overlay(tmp_path, b"nbd:elsewhere", b"qcow2")
    named = (str(middle), str(base))
    found = diskfile.prepare_disk(Disk(str(top), backing=named))
    assert found.layers == (
        Layer(str(top), "qcow2"),
        Layer(str(middle), "qcow2"),
        Layer(str(base), "raw"),
    )
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(top), backing=named[:1]))
    assert "/anything" in caught.value.message and "backing=FILE once more" in caught.value.hint
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(top), backing=(*named, "/more")))
    assert "backing=/more: " in caught.value.message
    # whose format nobody says: by its name, and not by what a guest may have written
    silent = overlay(tmp_path, b"x", b"", name="silent.qcow2")
    assert diskfile.prepare_disk(Disk(str(silent), backing=(str(base),))).layers[1].format == "raw"
    base.write_bytes(qcow2_samples.empty(16 * MIB))
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(silent), backing=(str(base),)))
    assert "it begins as a qcow2 image" in caught.value.message


def test_too_many_layers(tmp_path: Path) -> None:
    for number in range(40):
        overlay(tmp_path, b"%d.qcow2" % (number + 1), name=f"{number}.qcow2")
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(tmp_path / "0.qcow2")))
    assert "more than 32 images" in caught.value.message


def test_what_was_looked_at_is_what_stays_open(tmp_path: Path) -> None:
    """Whoever puts another file in its place between the look and QEMU's start has no luck."""
    file = written(tmp_path / "d.img", ext(), 16 * MIB)
    with diskfile.open_disks([Disk(str(file), "/data"), Disk(str(file), readonly=True)]) as disks:
        (tmp_path / "other").write_text("another")
        (tmp_path / "other").rename(file)
        first, second = (disk.layers[0].fd for disk in disks)
        assert first is not None and second is not None
        assert os.pread(first, 2, 1024 + 0x38) == struct.pack("<H", 0xEF53)
        os.pwrite(first, b"x", 0)
        with pytest.raises(OSError, match="Bad file"):
            os.pwrite(second, b"x", 0)
        assert not os.get_inheritable(first)
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(first)


def test_files_that_are_no_disk(tmp_path: Path) -> None:
    (tmp_path / "away").symlink_to("nowhere")
    (tmp_path / "null").symlink_to("/dev/null")
    os.mkfifo(tmp_path / "fifo")
    os.mknod(tmp_path / "socket", stat.S_IFSOCK | 0o600)
    for name, said in (
        ("", "a directory; -v shares it"),
        ("absent", "no such file; add ,create=SIZE"),
        ("away", "a link to nowhere"),
        ("x" * 300, "File name too long"),
        ("fifo", "neither a file nor a disk"),
        ("socket", "neither a file nor a disk"),
        ("null", "neither a file nor a disk"),
    ):
        with pytest.raises(MachineError) as caught:
            diskfile.prepare_disk(
                Disk(str(tmp_path / name), "/data", create=16 * MIB if name == "away" else 0)
            )
        assert said in caught.value.line("x")


def test_one_that_is_there_is_not_made_anew(tmp_path: Path) -> None:
    file = written(tmp_path / "d.img", ext(), 16 * MIB)
    assert diskfile.prepare_disk(Disk(str(file), "/data", create=16 * MIB)).format == "raw"
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(file), "/data", create=32 * MIB))
    assert "has 16M, not 32M" in caught.value.message


def test_no_mkfs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(diskfile, "MKFS", "mkfs.ext4-that-is-not-there")
    with pytest.raises(MachineError) as caught:
        diskfile.prepare_disk(Disk(str(tmp_path / "d.img"), "/data", create=16 * MIB))
    assert "no such program" in caught.value.message and "apt-get install" in caught.value.hint
    assert list(tmp_path.iterdir()) == []


def test_who_has_the_disk() -> None:
    said = (
        'qemu-system-x86_64: -device virtio-blk-pci,drive=disk0: Failed to get "write" lock\n'
        "Is another process using the image [/d.img]?\n"
    )
    assert diskfile.in_use(said) == "/d.img"
    assert diskfile.in_use("qemu-system-x86_64: no memory") == ""
