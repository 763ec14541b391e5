"""Which CPU TCG is told to emulate, by what this QEMU knows."""

import stat
from pathlib import Path

import pytest

from ukcc.vm.hypervisor.emulated_cpu import emulated_cpu, is_emulated_cpu

HELP = "Available CPUs:\n  x86 fsrs a model\nRecognized CPUID flags:\n"


@pytest.fixture
def qemu(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    program = tmp_path / "qemu-system-x86_64"
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    return program


def write(program: Path, body: str) -> None:
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)


@pytest.mark.parametrize(
    ("flags", "cpu"),
    [
        ("aes erms fsgsbase fsrm\n  fxsr", "max,erms=off,fsrm=off"),
        ("erms fsrc fsrm fsrs\n  fzrm sse", "max,erms=off,fsrm=off,fsrs=off,fzrm=off"),
        ("fpu", "max"),
    ],
)
def test_what_is_taken_away_is_what_this_qemu_knows(qemu: Path, flags: str, cpu: str) -> None:
    write(qemu, f"echo x >>{qemu}.asked\ncat <<'E'\n{HELP}{flags}\nE")
    assert emulated_cpu() == cpu == emulated_cpu()
    assert Path(f"{qemu}.asked").read_text() == "x\n"
    assert is_emulated_cpu(cpu)


@pytest.mark.parametrize("body", ["exit 1", "echo Available CPUs:", "kill $$"])
def test_a_qemu_that_does_not_say(qemu: Path, body: str) -> None:
    write(qemu, body)
    assert emulated_cpu() == "max"
    write(qemu, f"# it works now\ncat <<'E'\n{HELP}erms\nE")
    assert emulated_cpu() == "max,erms=off"


def test_no_qemu(qemu: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(qemu.parent))
    assert emulated_cpu() == "max"


@pytest.mark.parametrize(
    "text", ["", "host", "max,", "max,aes=off", "max,fsrm=off,erms=off", "erms"]
)
def test_what_nobody_said(text: str) -> None:
    assert not is_emulated_cpu(text)
