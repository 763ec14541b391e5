"""The probe: what it makes of what a guest did, and what it remembers."""

import subprocess
from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.vm import accel, probe_guest


def fake_qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """A program in the place of QEMU."""
    program = tmp_path / "qemu-system-x86_64"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")


ANSWER = "".join(f"\\{byte:03o}" for byte in probe_guest.answer())


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"printf '{ANSWER}'; exit 85", ""),
        (f"printf '{ANSWER}'; exit 1", "status 1"),
        ("printf 12345678; exit 85", "calculated wrongly"),
        ("exit 85", "calculated wrongly"),
        ("echo KVM internal error. >&2; exec sleep 60", "internal error"),
        ("exec sleep 60", "hung"),
        ("echo 'no such machine' >&2; exit 1", "no such machine"),
    ],
)
def test_verdicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str) -> None:
    fake_qemu(tmp_path, monkeypatch, body)
    reason = accel.boot_guest("kvm", 1.0)
    assert words in reason and bool(words) == bool(reason)


def test_it_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_qemu(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(accel, "cannot_open", lambda: "")
    monkeypatch.setattr(accel, "boot_guest", lambda accel, deadline: "it is broken")
    assert accel.probe() == accel.Verdict(False, "it is broken", fresh=True)
    monkeypatch.setattr(accel, "boot_guest", None)
    assert accel.probe() == accel.Verdict(False, "it is broken")


def test_kvm_that_is_wanted_must_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_qemu(tmp_path, monkeypatch, "exit 1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(accel, "cannot_open", lambda: "/dev/kvm: Permission denied")
    with pytest.raises(MachineError, match="Permission denied"):
        accel.choose("kvm")
    assert accel.choose("auto") == "tcg"
    assert accel.choose("tcg") == "tcg"


def test_the_code_is_what_the_source_says(tmp_path: Path) -> None:
    source = Path(probe_guest.__file__).with_suffix(".S")
    binary = tmp_path / "p.bin"
    try:
        subprocess.run(["as", "--64", str(source), "-o", str(tmp_path / "p.o")], check=True)
        link = ["ld", "-Ttext=0x100000", "--oformat=binary", "-o", str(binary)]
        subprocess.run([*link, str(tmp_path / "p.o")], check=True)
    except FileNotFoundError as error:
        pytest.skip(str(error))
    assert binary.read_bytes() == probe_guest.CODE
