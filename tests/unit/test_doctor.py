"""`ukcc doctor` on machines that lack something: it says so, and what fixes it, and never dies."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.image_samples import make_sysroot

from ukcc import proc
from ukcc.vm.hypervisor.tried import TRIED

Findings = dict[str, dict[str, object]]


def doctor(*, path: str, status: int = 1, **environ: str) -> Findings:
    """The findings by name, with those programs and nothing else."""
    done = subprocess.run(
        [*proc.UKCC, "doctor", "--json"],
        env={**os.environ, "PATH": path, **environ},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert (done.returncode, done.stderr) == (status, "")
    return {finding["name"]: finding for finding in json.loads(done.stdout)}


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A directory with the compiler and its tools; no QEMU."""
    directory = tmp_path / "tools"
    directory.mkdir()
    for name in ("gcc", "g++", "as", "ld", "dpkg-query"):
        found = shutil.which(name)
        assert found is not None
        (directory / name).symlink_to(found)
    return directory


def test_nothing_at_all(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    home = str(tmp_path / "home")
    found = doctor(path=str(tmp_path / "empty"), UKCC_HOME=home)
    lacking = {name for name, finding in found.items() if finding["needed"] and not finding["ok"]}
    assert {"C compiler", "assembler", "linker", "QEMU"} <= lacking
    assert all(found[name]["fix"] for name in lacking)
    assert not Path(home).exists()


def test_no_qemu(tools: Path) -> None:
    """It ended with one line and without all that it had found."""
    found = doctor(path=str(tools))
    assert found["C compiler"]["ok"] and found["QEMU"] == {
        "name": "QEMU",
        "ok": False,
        "needed": True,
        "found": "qemu-system-x86_64: no such program",
        "fix": "apt-get install qemu-system-x86",
    }
    assert "unwinder" in found and "KVM" not in found


def test_a_qemu_that_does_not_start(tools: Path) -> None:
    qemu = tools / "qemu-system-x86_64"
    qemu.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho 'no room' >&2; exit 1\n")
    qemu.chmod(0o755)
    found = doctor(path=f"{tools}:/bin")
    assert found["confinement"]["found"] == "QEMU does not start: no room"
    assert found["confinement"]["fix"] and not found["confinement"]["ok"]


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("", "UKCC_SYSROOT is empty: programs are linked against none"),
        ("/nonexistent", "UKCC_SYSROOT=/nonexistent: no such directory"),
        (os.path.devnull, "UKCC_SYSROOT=/dev/null: no such directory"),
        ("/usr", "UKCC_SYSROOT=/usr: not a sysroot of this ukcc: it has no sysroot.json"),
    ],
)
def test_a_wrong_sysroot_in_the_environment(tools: Path, named: str, said: str) -> None:
    """Every link would fail, and the store's sysroot is not looked at."""
    found = doctor(path=str(tools), UKCC_SYSROOT=named)
    assert found["sysroot"]["found"] == said
    assert found["sysroot"]["needed"] and not found["sysroot"]["ok"]
    assert "unset UKCC_SYSROOT" in str(found["sysroot"]["fix"])


@pytest.mark.parametrize("record", ["{", "[]", "{}", '{"versions": {"linux": 1, "glibc": ""}}'])
def test_a_damaged_sysroot_in_the_store(tmp_path: Path, tools: Path, record: str) -> None:
    home = tmp_path / "home"
    sysroot = make_sysroot(home / "sysroots" / "0123456789abcdef")
    (home / "sysroots" / "current").symlink_to(sysroot.name)
    for name in ("kernel/kernel.bin", "shims/as", "shims/room.o", "boot/init", "usr/lib/crt1.o",
                 "usr/lib/libc.a", "usr/lib/libc.so.6", "usr/lib/inner-names"):  # fmt: skip
        place = sysroot / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.write_bytes(b"")
    (sysroot / "sysroot.json").write_text(record)
    environ = {name: text for name, text in os.environ.items() if name != "UKCC_SYSROOT"}
    done = subprocess.run(
        [*proc.UKCC, "doctor", "--json"],
        env={**environ, "PATH": str(tools), "UKCC_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.stderr == ""
    (found,) = (f for f in json.loads(done.stdout) if f["name"] == "sysroot")
    assert not found["ok"] and found["fix"] == "ukcc sysroot build"


def test_a_compiler_that_is_not_there(tools: Path) -> None:
    found = doctor(path=str(tools), UKCC_CC="gcc-99")
    assert found["C compiler"]["found"] == "UKCC_CC names 'gcc-99', which cannot be run"
    assert found["C compiler"]["fix"] == "unset it, or install gcc-99"


def test_people_read_the_same(tools: Path) -> None:
    done = subprocess.run(
        [*proc.UKCC, "doctor"],
        env={**os.environ, "PATH": str(tools)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert "MISSING QEMU          qemu-system-x86_64: no such program\n" in done.stdout
    assert "fix: apt-get install qemu-system-x86\n" in done.stdout


@pytest.mark.parametrize(
    ("says", "ok", "found"),
    [
        ("QEMU 11.1.3 monitor", True, "11.1: boot tests were run with it"),
        (
            "QEMU 8.2.1 monitor",
            False,
            "8.2: not tried; boot tests were run with 7.2, 10.0 and 11.1",
        ),
        (
            "QEMU 6.2.0 monitor",
            False,
            "6.2: not tried; boot tests were run with 7.2, 10.0 and 11.1,"
            " and ukcc is written for no older one",
        ),
    ],
)
def test_a_qemu_that_was_not_tried(
    tools: Path, tmp_path: Path, says: str, ok: bool, found: str
) -> None:
    qemu = tools / "qemu-system-x86_64"
    qemu.write_text(f"#!/bin/sh\necho '{says}'\n")
    qemu.chmod(0o755)
    finding = doctor(path=f"{tools}:/bin", UKCC_SYSROOT="", XDG_RUNTIME_DIR=str(tmp_path))[
        "QEMU version"
    ]
    assert (finding["ok"], finding["needed"], finding["found"]) == (ok, False, found)


def test_the_page_on_tests_has_the_versions_that_were_tried() -> None:
    page = Path(__file__).parents[2] / "docs" / "testing.md"
    rows = re.findall(r"^\| QEMU (\d+)\.(\d+)\.\d+ ", page.read_text(), re.MULTILINE)
    assert tuple((int(major), int(minor)) for major, minor in rows) == TRIED
