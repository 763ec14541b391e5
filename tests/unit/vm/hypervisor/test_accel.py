"""The probe: what it makes of what a guest did, and what it remembers."""

import subprocess
from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.vm.hypervisor import accel, probe_guest


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


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"sleep 0.3; printf '{ANSWER}'; exit 85", ""),
        ("sleep 0.3; printf 12345678; exit 85", "calculated wrongly"),
        ("exec sleep 60", "hung"),
    ],
)
def test_a_slow_host_has_a_yardstick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, words: str
) -> None:
    fake_qemu(tmp_path, monkeypatch, body)
    asked: list[float] = []
    limit = 1.0 if words == "hung" else 30.0
    reason = accel.boot_guest("kvm", 0.01, lambda: asked.append(limit) or limit)
    assert words in reason and bool(words) == bool(reason)
    assert asked == [limit]


def test_the_yardstick_is_the_time_under_tcg(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = tmp_path / "said"
    fake_qemu(tmp_path, monkeypatch, f'echo "$@" >>{said}; sleep 0.2')
    assert accel._time_under_tcg() >= 0.2
    assert "-accel tcg" in said.read_text()


def test_an_answer_in_time_needs_no_yardstick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_qemu(tmp_path, monkeypatch, f"printf '{ANSWER}'; exit 85")
    assert accel.boot_guest("kvm", 30.0, None) == ""
    fake_qemu(tmp_path, monkeypatch, "echo KVM internal error. >&2; exec sleep 60")
    assert "internal error" in accel.boot_guest("kvm", 30.0, lambda: pytest.fail("asked"))


def test_it_is_asked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_qemu(tmp_path, monkeypatch, "exec sleep 60")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(accel, "cannot_open", lambda: "")
    monkeypatch.setattr(accel, "boot_guest", lambda *words: "it is broken")
    assert accel.probe() == accel.KvmVerdict(False, "it is broken", fresh=True)
    monkeypatch.setattr(accel, "boot_guest", None)
    assert accel.probe() == accel.KvmVerdict(False, "it is broken")


def test_kvm_that_is_wanted_must_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake_qemu(tmp_path, monkeypatch, "exit 1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(accel, "cannot_open", lambda: "/dev/kvm: Permission denied")
    with pytest.raises(MachineError, match="Permission denied"):
        accel.choose("kvm")
    assert accel.choose("auto") == "tcg"
    assert accel.choose("tcg") == "tcg"


def test_a_broken_kvm_is_said_once_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_qemu(tmp_path, monkeypatch, "exit 1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(accel, "cannot_open", lambda: "")
    monkeypatch.setattr(accel, "boot_guest", lambda *words: "it is broken")
    assert [accel.choose("auto"), accel.choose("auto")] == ["tcg", "tcg"]
    line = "ukcc run: KVM does not work here (it is broken); using TCG, which is slower\n"
    assert capsys.readouterr().err == line
    with pytest.raises(MachineError, match=r"KVM does not work here \(it is broken\)"):
        accel.choose("kvm")


def test_a_kvm_that_is_not_there_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    fake_qemu(tmp_path, monkeypatch, "exit 1")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    monkeypatch.setattr(accel, "_DEVICE", str(tmp_path / "kvm"))
    assert accel.choose("auto") == "tcg"
    assert "kvm: No such file or directory); using TCG" in capsys.readouterr().err


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
