"""What a snapshot says of itself, and what is refused before any machine starts."""

import os
from dataclasses import replace
from pathlib import Path

import click.testing
import pytest

from ukcc.cli import main
from ukcc.errors import MachineError
from ukcc.snapshots import check, memory
from ukcc.snapshots.data import plain, typed
from ukcc.snapshots.manifest import Manifest, Part, Stamp, read_manifest, write_manifest
from ukcc.snapshots.words import continued_argv, fingerprint, forward_rules, saved_argv
from ukcc.vm.machine import Address, Forward, Machine, Network
from ukcc.vm.qemu import Endpoints

NETWORK = Network("user", Address("10.0.2.15/24", "10.0.2.2", ("10.0.2.3",)))
DHCP = Network("user", Address("dhcp"))
MACHINE = Machine("app", 128, 2, "tcg", (NETWORK,), stdin_port=True, output_ports=True)
PART = Part("crc32 0", Stamp(1, 2, 3))
MANIFEST = Manifest(1, "/app", PART, MACHINE, fingerprint(MACHINE), "7.2.22", "", PART, PART)


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
    with pytest.raises(ValueError):
        typed(Manifest, {**plain(MANIFEST), **change})


def test_fingerprint_follows_the_machine_and_not_its_image() -> None:
    assert fingerprint(MACHINE) == fingerprint(Machine(**{**vars(MACHINE), "image": "other"}))
    assert fingerprint(MACHINE) != fingerprint(Machine(**{**vars(MACHINE), "cpus": 1}))


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
    dhcp = replace(MACHINE, networks=(Network("tap", Address("dhcp")), DHCP))
    assert forward_rules(dhcp, forwards)[0] == "net1 tcp:127.0.0.1:80-:8080"
    assert forward_rules(replace(MACHINE, networks=()), forwards) == []


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
        (["run", "--from", "s", "-v", "/a:/b"], "--from: -v cannot change"),
        (["run", "--from", "s", "--dry-run"], "--from: --dry-run cannot change"),
        (["run", "--from", "s", "app", "x"], "the arguments (x) cannot change"),
        (["run", "--from", "/nowhere/s"], "/nowhere/s: no snapshot"),
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
    with pytest.raises(MachineError, match="no snapshot"):
        read_manifest(str(tmp_path))


def test_a_clock_that_would_go_wrong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "host_tsc_khz", lambda: 3_000_000)
    check._check_counter("s", 2_990_000)
    check._check_counter("s", None)
    with pytest.raises(MachineError, match="goes at 2100 MHz, and here it is 3000"):
        check._check_counter("s", 2_100_000)
