"""A core by hand against real images: functions and lines without a machine."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.core_samples import core, files, process, prstatus, siginfo

from ukcc.failures import explain as module
from ukcc.failures import libdw
from ukcc.failures.core import parse_core
from ukcc.failures.modules import GuestFiles, modules_of
from ukcc.failures.show import resolve
from ukcc.failures.stuck import explain_panic
from ukcc.image.elf import open_elf
from ukcc.image.thin import completed

BIN = Path(sys.executable).parent


def explain(data: bytes, image: str, shares: "list[tuple[str, str]]") -> "list[str]":
    return module.explain(parse_core(data), image, shares)


SOURCE = """
volatile int counter;

__attribute__((noipa)) int target(void)
{
	return counter + 1; /* line 6 */
}

int main(void)
{
	return target() + 1; /* line 11 */
}
"""
BASE = 0x7F1234560000
STACK = 0x7FFE0000

KINDS = {
    "static": ["-g"],
    "pie": ["-g", "-static-pie", "-fPIE"],
    "compressed": ["-g", "-gz"],
    "a large array": ["-g", "-DLARGE"],
    "DWARF 4": ["-gdwarf-4"],
}


def link(directory: Path, *flags: str, **environ: str) -> Path:
    (directory / "code.c").write_text(SOURCE + "\n#ifdef LARGE\nchar large[1 << 24];\n#endif\n")
    command = [BIN / "uk-gcc", "-O2", *flags, "code.c", "-o", "app"]
    subprocess.run(command, check=True, cwd=directory, env={"PATH": "/usr/bin:/bin", **environ})
    return directory / "app"


def crash(image: Path) -> bytes:
    """As if `target` had crashed at its first instruction, called by main."""
    names = subprocess.run(["nm", image], capture_output=True, text=True, check=True).stdout
    addresses = {line.split()[-1]: int(line.split()[0], 16) for line in names.splitlines()}
    with open_elf(image) as elf:
        moved = BASE if elf.kind == "ET_DYN" else 0
        loads = [s for s in elf.loads() if s.flags & 1 and s.vaddr <= addresses["main"]]
        text = loads[-1]
    start = moved + text.vaddr // 4096 * 4096
    return core(
        prstatus(9, rip=moved + addresses["target"], rsp=STACK),
        process(9, "app"),
        siginfo(11, 1, 0x18),
        files((start, start + text.memsz, text.offset // 4096, "/app/app")),
        memory={STACK: (moved + return_into_main(image)).to_bytes(8, "little") + bytes(4088)},
    )


def return_into_main(image: Path) -> int:
    """The address behind the call of `target`."""
    words = ["objdump", "-d", "--no-show-raw-insn", "--disassemble=main", image]
    lines = subprocess.run(words, capture_output=True, text=True, check=True).stdout.splitlines()
    (at,) = (n for n, line in enumerate(lines) if "call" in line and "<target>" in line)
    return int(lines[at + 1].partition(":")[0], 16)


@pytest.mark.parametrize("kind", KINDS)
def test_functions_and_lines(tmp_path: Path, kind: str) -> None:
    image = link(tmp_path, *KINDS[kind])
    lines = explain(crash(image), str(image), [])
    where = [line.rpartition("/")[2] for line in lines if "code.c:" in line]
    # GCC opens a function at its brace or its first statement
    assert where[0] in ("code.c:5", "code.c:6") and where[1:] == ["code.c:11"]
    assert [line.split()[2] for line in lines if "code.c:" in line] == ["target", "main"]


def test_a_thin_image(tmp_path: Path) -> None:
    image = link(tmp_path, "-g", UKCC_IMAGE="thin")
    lines = explain(crash(image), completed(str(image)), [])
    assert any("main at" in line and line.endswith("code.c:11") for line in lines)


@pytest.mark.parametrize("words", [["uk-strip", "-g"], ["uk-strip"]])
def test_a_stripped_image_has_functions(tmp_path: Path, words: "list[str]") -> None:
    """They are in the archive's copy of the program."""
    image = link(tmp_path, "-g")
    data = crash(image)
    subprocess.run([BIN / words[0], *words[1:], image], check=True)
    lines = explain(data, str(image), [])
    found = [line.split()[2] for line in lines if "#" in line]
    assert found[0] == "target+0x0" and found[1].startswith("main+0x")


def test_without_libdw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The function that was running, and what to install for the rest."""
    image = link(tmp_path, "-g", "-static-pie", "-fPIE")
    monkeypatch.setattr(module.libdw, "available", lambda: False)
    lines = explain(crash(image), str(image), [])
    assert sum("#" in line for line in lines) == 1
    assert any("target+0x0 in app" in line for line in lines)
    assert lines[-1].endswith(f"apt-get install {libdw.PACKAGE}")


def test_a_program_on_a_shared_directory(tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    image = link(tmp_path / "image", "-g")
    program = link(tmp_path, "-g", "-static-pie", "-fPIE", UKCC_PLAIN="1")
    data = crash(program).replace(b"/app/app\0", b"/mnt/app\0")
    for shares, known in (([(str(tmp_path), "/mnt")], True), ([], False)):
        lines = explain(data, str(image), shares)
        assert any("main at" in line for line in lines) is known


def test_a_kernel_that_is_not_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    image = link(tmp_path)
    console = b"RIP: 0010:0xffffffff80200000\nKernel panic - not syncing: x\n\0"
    assert any(" in vmlinux" in line for line in explain_panic(console, str(image)))
    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    lines = explain_panic(console, str(image))
    assert any("is not in the store" in line for line in lines)


@pytest.mark.skipif(sys.version_info < (3, 11), reason="needs PYTHONSAFEPATH")
def test_modules_of_the_users_directory_are_not_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = link(tmp_path, "-g")
    (tmp_path / "struct.py").write_text("raise SystemExit('not this one')")
    monkeypatch.chdir(tmp_path)
    lines = resolve("core", crash(image), "app")
    assert lines[0].startswith("app (process 9) crashed: SIGSEGV")
    # relative to where the user is
    assert any(line.endswith("  main at code.c:11") for line in lines)


def test_what_is_mapped_but_not_on_the_host(tmp_path: Path) -> None:
    image = link(tmp_path, "-g")
    data = core(process(1, "x"), files((BASE, BASE + 4096, 0, "/tmp/made-in-the-guest")))
    assert modules_of(parse_core(data), GuestFiles(str(image))) == []
