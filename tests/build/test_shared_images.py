"""The program's code and constants lie once in an image: after what builds and users do to it, it
is the same process, and the same archive boots.
"""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.hypervisor import load
from support.image_files import archive, headers
from support.once_program import SOURCE, says
from support.twin import BIN, DEADLINE

from ukcc import paths
from ukcc.image.archive_file import archive_sections
from ukcc.image.headers import PF_W, PT_LOAD

# Flags, and how many pieces the archive has; gold and -z noseparate-code have text and ELF header
# in one segment, lld and mold constants and ELF header.
KINDS = {
    "static": (["-static"], 3),
    "static PIE": (["-fPIE", "-static-pie"], 3),
    "dynamic PIE": (["-fPIE", "-pie", "-DPLUGINS", "-rdynamic"], 3),
    "dynamic": (["-DPLUGINS", "-rdynamic"], 3),
    "1 GiB BSS": (["-static", "-DBIG"], 3),
    "pages of 2 MiB": (["-static", "-Wl,-z,max-page-size=0x200000"], 3),
    "lld": (["-static", "-fuse-ld=lld"], 2),
    "mold": (["-static", "-fuse-ld=mold"], 2),
    "gold": (["-static", "-fuse-ld=gold"], 1),
    "one segment for text and headers": (["-static", "-Wl,-z,noseparate-code"], 1),
}
ELSEWHERE = {
    "static, elsewhere": (["-static"], 3),
    "static PIE, elsewhere": (["-static-pie"], 3),
    "dynamic PIE, elsewhere": ([], 3),
}

# IMAGE becomes `out`.
TREATMENTS = {
    "nothing": "cp IMAGE out",
    "strip": "strip -o out IMAGE",
    "strip -g": "strip -g -o out IMAGE",
    "strip -x": "strip -x -o out IMAGE",
    "strip --strip-unneeded": "strip --strip-unneeded -o out IMAGE",
    "strip, some sections": "strip --remove-section=.comment --remove-section=.note -o out IMAGE",
    "install -s": "install -s IMAGE out",
    "objcopy": "objcopy IMAGE out",
    "objcopy, debug compressed": "objcopy --compress-debug-sections IMAGE out",
    "objcopy, a section more": "echo hello >n; objcopy --add-section .mine=n IMAGE out",
    "objcopy, a prefix": "objcopy --prefix-symbols=x_ IMAGE out",
    "debug information split off": "objcopy --only-keep-debug IMAGE d 2>w;"
    " objcopy --strip-debug --add-gnu-debuglink=d IMAGE out",
    "one after the other": "strip -g -o a IMAGE; echo x >n; objcopy --add-section .n=n a b;"
    " strip -o out b; echo appended >>out",
    "eu-strip": "eu-strip -o out IMAGE",
    "eu-strip -g": "eu-strip -g -o out IMAGE",
    "eu-elfcompress": "eu-elfcompress -q -o out IMAGE",
}


def needs(flags: "list[str]") -> None:
    for flag in flags:
        if flag.startswith("-fuse-ld="):
            linker = flag.partition("=")[2]
            if not shutil.which("mold" if linker == "mold" else f"ld.{linker}"):
                pytest.skip(f"needs {linker}")


def run(*argv: "str | Path", where: "Path | None" = None) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(argv, capture_output=True, text=True, cwd=where, timeout=DEADLINE)


def quiet(*argv: "str | Path", where: "Path | None" = None) -> None:
    done = run(*argv, where=where)
    assert (done.returncode, done.stdout + done.stderr) == (0, ""), argv


def link(where: Path, flags: "list[str]", name: str = "p") -> Path:
    (where / "p.cc").write_text(SOURCE)
    quiet(BIN / "uk-g++", "-O1", "-g", "p.cc", "-o", name, *flags, where=where)
    return where / name


def check_process(image: Path) -> None:
    done = run(image, "word")
    assert (done.returncode, done.stdout, done.stderr) == (42, says("word"), "")


@pytest.fixture(scope="module", params=[*KINDS, *ELSEWHERE])
def image(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("image")
    if request.param in ELSEWHERE:
        flags, pieces = ELSEWHERE[request.param]
        (where / "p.cc").write_text(SOURCE)
        quiet("g++", "-O1", "-g", "p.cc", "-o", "linked", *flags, where=where)
        quiet(BIN / "ukcc", "pack", "linked", "-o", "elsewhere", where=where)
        made = where / "elsewhere"
    else:
        flags, pieces = KINDS[request.param]
        needs(flags)
        made = link(where, flags)
    assert len(archive_sections(headers(made))) == pieces
    return made


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_after(image: Path, treatment: str, tmp_path: Path) -> None:
    line = TREATMENTS[treatment]
    if line.startswith("eu-"):
        if not shutil.which(line.split()[0]):
            pytest.skip(f"needs {line.split()[0]}")
        if image.name == "elsewhere":
            return  # docs/image.md: elfutils destroy an image without room
    shutil.copy2(image, tmp_path / "IMAGE")
    quiet("bash", "-ec", line, where=tmp_path)
    out = tmp_path / "out"
    out.chmod(0o755)
    check_process(out)
    before, after = load(image), load(out)
    assert after.archive == before.archive
    assert after.entry == before.entry
    found = archive(out)
    assert found.read(0, len(after.archive)) == after.archive
    read = run("readelf", "-lSsnW", out)
    assert (read.returncode, read.stderr) == (0, "")
    if treatment == "one after the other":
        # the file is another one, and is sent along; the machine's own copy is intact
        done = run(BIN / "ukcc", "run", "--dry-run", out)
        assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", [["--set-rpath", "/opt/lib"], ["--add-needed", "libm.so.6"]])
def test_patchelf(line: "list[str]", tmp_path: Path) -> None:
    if not shutil.which("patchelf"):
        pytest.skip("needs patchelf")
    made = link(tmp_path, KINDS["dynamic PIE"][0])
    original = load(made).archive
    quiet("patchelf", *line, made)
    check_process(made)
    assert load(made).archive == original
    quiet("strip", "-g", made)
    check_process(made)
    assert load(made).archive == original


def test_the_file_is_smaller_by_code_and_constants(tmp_path: Path) -> None:
    made = link(tmp_path, ["-static"])
    subprocess.run(
        [BIN / "uk-g++", "-O1", "-g", "-static", "p.cc", "-o", "plain"],
        cwd=tmp_path, env={**os.environ, "UKCC_PLAIN": "1"}, check=True, timeout=DEADLINE,
    )  # fmt: skip
    found = archive(made)
    once = sum(extent.size for extent in found.extents if extent.is_shared)
    plain = headers(tmp_path / "plain")
    loads = [p for p in plain.phdrs if p.type == PT_LOAD]
    assert once == sum(p.filesz for p in loads[1:] if not p.flags & PF_W)
    sysroot = paths.current_sysroot()
    assert sysroot
    kernel = (Path(sysroot) / "kernel" / "kernel.bin").stat().st_size
    twice = (tmp_path / "plain").stat().st_size + kernel + found.size
    assert abs(twice - once - made.stat().st_size) < 64 << 10
    assert once > 500_000


def test_its_own_reports(tmp_path: Path) -> None:
    """No byte counts twice, and the program is found in the archive."""
    made = link(tmp_path, ["-static"])
    once = sum(extent.size for extent in archive(made).extents if extent.is_shared)
    sizes = json.loads(run(BIN / "ukcc", "inspect", "--json", made).stdout)["sizes"]
    assert sizes["archive"] == archive(made).size - once
    parts = ("application", "debug", "kernel", "archive")
    assert sum(sizes[part] for part in parts) < sizes["file"]
    done = run(BIN / "ukcc", "sbom", made)
    assert done.returncode == 0 and "/app/p" in done.stdout
    done = run(BIN / "ukcc", "needs", made)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("section", [".text", ".rodata"])
def test_other_code_or_constants_are_refused(section: str, tmp_path: Path) -> None:
    """In one line that says how to mend it; as a process it runs as it is."""
    made = link(tmp_path, ["-static"])
    quiet("objcopy", "-O", "binary", "-j", section, made, tmp_path / "content")
    content = bytearray((tmp_path / "content").read_bytes())
    at = content.rindex(b"\xcc\x90" * 9) if section == ".text" else content.index(b"mmap\0")
    content[at] ^= 1
    (tmp_path / "content").write_bytes(content)
    quiet("objcopy", "--update-section", f"{section}={tmp_path / 'content'}", made)
    check_process(made)
    for argv in (["run"], ["run", "--dry-run"], ["snapshot", "--when", "once", "-o", "s"]):
        done = run(BIN / "ukcc", *argv, made, where=tmp_path)
        assert done.returncode == 125, done.stderr
        assert "another tool has changed code or constants of the program" in done.stderr
        assert "UKCC_PLAIN=1" in done.stderr and done.stderr.count("\n") == 1
    shown = run(BIN / "ukcc", "inspect", made).stdout
    assert "its code or constants were changed since it was packed: it does not boot" in shown
