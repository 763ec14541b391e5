"""What a snapshot says of itself, and what is refused before any machine starts."""

import os
from dataclasses import replace
from pathlib import Path

import click.testing
import pytest
from support.machine_samples import change_machine

from ukcc.cli import main
from ukcc.errors import MachineError, UkccError
from ukcc.snapshots import check, memory
from ukcc.snapshots.manifest import Manifest, SnapshotPart, Stamp, read_manifest, write_manifest
from ukcc.snapshots.qemu_args import continued_argv, fingerprint, forward_rules, saved_argv
from ukcc.tables import plain, record
from ukcc.vm.hypervisor.qemu import Endpoints
from ukcc.vm.machine import (
    Address,
    Attached,
    Forward,
    GuestPorts,
    Hardware,
    Machine,
    Network,
    Share,
)
from ukcc.vm.storage.disks import Disk

NETWORK = Network("user", Address("10.0.2.15/24", "10.0.2.2", ("10.0.2.3",)))
DHCP = Network("user", Address("dhcp"))
MACHINE = Machine(
    "app",
    128,
    "tcg",
    Hardware(cpus=2),
    Attached((NETWORK,)),
    GuestPorts(stdin_port=True, output_ports=True),
    vmgenid=True,
)
PART = SnapshotPart("crc32 0", Stamp(1, 2, 3))
SAVED = replace(MACHINE, image="")
MEMORY = SnapshotPart("crc32 0", Stamp(128 << 20, 2, 3))
MANIFEST = Manifest(1, "/app", PART, SAVED, fingerprint(SAVED), "7.2.22", "", MEMORY, PART)


def test_manifest_round_trip(tmp_path: Path) -> None:
    write_manifest(tmp_path, MANIFEST)
    assert read_manifest(str(tmp_path)) == MANIFEST


@pytest.mark.parametrize(
    "change",
    [
        {"machine": None},
        {"qemu": 7},
        {"more": 1},
        {"memory": {"checksum": "x"}},
        {"machine": {**plain(MACHINE), "memory_mib": "128"}},
    ],
)
def test_bad_manifests(change: dict[str, object]) -> None:
    with pytest.raises(UkccError):
        record(Manifest, {**plain(MANIFEST), **change}, whole=True)


def test_the_machine_s_parts_are_no_tables_of_their_own() -> None:
    """A snapshot of before the parts, too, is continued."""
    flat = plain(MACHINE)
    assert flat["cpus"] == 2 and flat["stdin_port"] is True and flat["vsock_cid"] is None
    assert len(flat["networks"]) == 1 and flat["disks"] == flat["shares"] == []
    assert not {"hardware", "attached", "ports"} & flat.keys()
    assert record(Machine, flat, whole=True) == MACHINE


def test_fingerprint_follows_the_machine_and_not_its_image() -> None:
    assert fingerprint(MACHINE) == fingerprint(replace(MACHINE, image="other"))
    assert fingerprint(MACHINE) != fingerprint(replace(MACHINE, hardware=Hardware()))


def test_memory_is_written_once_and_then_private() -> None:
    endpoints = Endpoints(initrd="/i", record="/r")
    saved = " ".join(saved_argv(MACHINE, endpoints, Path("/s,1/memory")))
    continued = " ".join(continued_argv(MACHINE, endpoints, Path("/s,1/memory"), 9))
    assert "size=134217728,mem-path=/s,,1/memory,share=on" in saved
    assert "mem-path=/s,,1/memory,share=off" in continued and "fd=9" in continued
    assert "-incoming" in continued and "-incoming" not in saved


def test_forward_rules() -> None:
    forwards = (Forward("127.0.0.1", 80, 8080), Forward("0.0.0.0", 53, 53, "udp"))
    assert forward_rules(MACHINE, forwards) == [
        "net0 tcp:127.0.0.1:80-10.0.2.15:8080",
        "net0 udp:0.0.0.0:53-10.0.2.15:53",
    ]
    dhcp = replace(MACHINE, attached=Attached((Network("tap", Address("dhcp")), DHCP)))
    assert forward_rules(dhcp, forwards)[0] == "net1 tcp:127.0.0.1:80-:8080"
    assert forward_rules(replace(MACHINE, attached=Attached()), forwards) == []


def test_holes_and_checksum(tmp_path: Path) -> None:
    file, full = tmp_path / "memory", tmp_path / "full"
    file.write_bytes(bytes(1 << 20) + os.urandom(4096) + bytes(1 << 20))
    full.write_bytes(file.read_bytes())
    before = memory.checksum(file)
    memory.make_sparse(file)
    assert memory.bytes_held(file) <= 65536 and file.read_bytes() == full.read_bytes()
    assert memory.checksum(file) == memory.checksum(full) == before
    full.write_bytes(full.read_bytes()[4096:] + bytes(4096))
    assert memory.checksum(full) != before


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--from", "s", "-m", "64"], "--from: -m cannot change"),
        (["run", "--from", "s", "--smp", "1"], "--from: --smp cannot change"),
        (["run", "--from", "s", "-v", "/a:/b"], "--from: -v is for a machine that boots"),
        (["run", "--from", "s", "--dry-run"], "--from: --dry-run is for a machine that boots"),
        (["run", "--from", "s", "app", "x"], "the arguments (x) cannot change"),
        (["run", "--from", "/nowhere/s"], "/nowhere/s: not a snapshot"),
        (["snapshot", "app", "-o", "s", "--when", ""], "--when ''"),
        (["snapshot", "app", "-o", "s", "--when", "x", "-p", "1:2"], "-p 127.0.0.1:1:2"),
        (["snapshot", "app", "-o", "s", "--when", "x", "-v", "/a:/b"], "-v /a: QEMU cannot save"),
    ],
)
def test_refusals(words: list[str], said: str) -> None:
    result = click.testing.CliRunner().invoke(main, words)
    assert result.exit_code == 125 and said in result.output


def test_an_image_is_needed_without_a_snapshot() -> None:
    result = click.testing.CliRunner().invoke(main, ["run", "-m", "64"])
    assert result.exit_code == 2 and "Missing argument" in result.output


def test_no_snapshot_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="not a snapshot"):
        read_manifest(str(tmp_path))


def test_a_clock_that_would_go_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "host_tsc_khz", lambda: 3_000_000)
    check._check_counter("s", 2_990_000)
    check._check_counter("s", None)
    with pytest.raises(MachineError, match="goes at 2100 MHz, and here it is 3000"):
        check._check_counter("s", 2_100_000)


STRANGE = {
    "a directory of the host": {"shares": (Share("/", "/host"),)},
    "a disk of the host": {"disks": (Disk("/etc/shadow"),)},
    "a debugger's port": {"gdb_port": 1234},
    "a file of the host": {"image": "/etc/shadow"},
    "QEMU's options": {"accel": "tcg,thread=single"},
    "a machine": {"kind": "microvm"},
    "a firmware": {"firmware": "/etc/shadow"},
    "no word of its being continued": {"vmgenid": False},
    "no ACPI": {"acpi": False},
    "memory": {"memory_mib": 1 << 40},
    "CPUs": {"cpus": 0},
    "a tap": {"networks": (replace(NETWORK, kind="tap", interface="tap0"),)},
    "the loopback": {"networks": (replace(NETWORK, host=True),)},
    "a port": {"networks": (replace(NETWORK, forwards=(Forward("0.0.0.0", 22, 22),)),)},
    "words in an Ethernet address": {"networks": (replace(NETWORK, mac="x,script=/bin/sh"),)},
    "words in a gateway": {
        "networks": (replace(NETWORK, address=replace(NETWORK.address, gateway="1.1.1.1,smb=/")),)
    },
    "words in a name server": {
        "networks": (
            replace(NETWORK, address=replace(NETWORK.address, nameservers=("fe80::1%x,smb=/",))),
        )
    },
    "words in a network": {"networks": (replace(NETWORK, address=Address("10.0.2.15/24,smb=/")),)},
}


@pytest.mark.parametrize("what", STRANGE)
def test_a_strangers_machine_names_nothing_of_the_host(what: str, tmp_path: Path) -> None:
    machine = change_machine(SAVED, **STRANGE[what])
    size = (machine.memory_mib << 20) % (1 << 60)
    part = SnapshotPart("crc32 0", Stamp(size, 2, 3))
    write_manifest(tmp_path, replace(MANIFEST, machine=machine, memory=part))
    with pytest.raises(MachineError, match="not as `ukcc snapshot` makes"):
        read_manifest(str(tmp_path))


def test_memory_of_another_size(tmp_path: Path) -> None:
    """QEMU would make the file as large as the machine."""
    write_manifest(tmp_path, replace(MANIFEST, memory=SnapshotPart("crc32 0", Stamp(4096, 2, 3))))
    with pytest.raises(MachineError, match="another size"):
        read_manifest(str(tmp_path))


@pytest.mark.parametrize(
    "text", ["[" * 100_000, "{}", "[]", "\xff", '{"format": 1}', " " * (2 << 20)]
)
def test_a_manifest_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(MachineError):
        read_manifest(str(tmp_path))


def test_a_manifest_that_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "manifest.json")
    with pytest.raises(MachineError, match="not a regular file"):
        read_manifest(str(tmp_path))


def test_links_to_files_of_the_host(tmp_path: Path) -> None:
    (tmp_path / "memory").symlink_to("/etc/passwd")
    part = SnapshotPart("crc32 0", check.stamp(Path("/etc/passwd")))
    with pytest.raises(MachineError, match="not a regular file"):
        check.check_part(str(tmp_path), "memory", part, of_memory=True)


@pytest.mark.parametrize(("size", "said"), [(0, 0), (4096, 4096), (1 << 41, 1 << 41), (100, 99)])
def test_a_file_that_cannot_be_the_image_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, said: int
) -> None:
    """The manifest names it: /proc/kmsg, say, of no size and without an end."""
    image = tmp_path / "image"
    image.touch()
    os.truncate(image, size)
    read: list[Path] = []
    monkeypatch.setattr(check, "digest", lambda path: read.append(path) or "sha256 x")
    saved = SnapshotPart("sha256 other", Stamp(said, 2, 3))
    with pytest.raises(MachineError, match="a snapshot of another image"):
        check.check_image("snap", str(image), saved, "")
    assert read == ([image] if size == 4096 else [])
