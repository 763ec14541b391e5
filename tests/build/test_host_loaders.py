"""Those who load a program themselves, and find its headers in memory by e_phoff: valgrind and
qemu-user run what uk-gcc links, whatever linker and kind, and still do after strip.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.host_loaders import LOADERS, PROGRAM
from support.hypervisor import is_image
from support.twin import BIN, DEADLINE

SAYS = "1 1 7 word\n"

KINDS = {
    "static": [],
    "static PIE": ["-fPIE", "-pie"],
    "dynamic PIE": ["-fPIE", "-pie", "-DPLUGINS", "-rdynamic"],
    "dynamic": ["-DPLUGINS", "-rdynamic"],
    "gold": ["-fuse-ld=gold"],
    "one segment for text and headers": ["-Wl,-z,noseparate-code"],
    "pages of 2 MiB": ["-Wl,-z,max-page-size=0x200000"],
    "elsewhere": ["-Wl,-Ttext-segment=0x40000000"],
    "text elsewhere": ["-Wl,-Ttext=0x20000000"],
    "stripped by the linker": ["-s", "-Wl,--gc-sections"],
    "no build id": ["-Wl,--build-id=none"],
}


def link(where: Path, *flags: str) -> Path:
    (where / "p.c").write_text(PROGRAM)
    argv = [BIN / "uk-gcc", "-g", "p.c", "-o", "p", *flags]
    subprocess.run(argv, cwd=where, check=True, timeout=DEADLINE)
    return where / "p"


def check(program: Path, loader: str) -> None:
    if loader != "Linux" and not shutil.which(LOADERS[loader][0]):
        pytest.skip(f"needs {LOADERS[loader][0]}")
    argv = [*LOADERS[loader], program, "word"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout) == (42, SAYS), done.stderr
    # valgrind does not know the string functions of a static libc, and takes them for mistakes
    assert loader == "valgrind" or done.stderr == ""


@pytest.fixture(scope="module", params=KINDS)
def program(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    flags = KINDS[request.param]
    if "-fuse-ld=gold" in flags and not shutil.which("ld.gold"):
        pytest.skip("needs ld.gold")
    return link(tmp_path_factory.mktemp("program"), *flags)


@pytest.mark.parametrize("loader", LOADERS)
def test_runs(program: Path, loader: str) -> None:
    check(program, loader)
    assert is_image(program)


@pytest.mark.parametrize("kind", ["static", "static PIE", "dynamic PIE"])
@pytest.mark.parametrize("tool", ["strip", "objcopy", "eu-strip"])
def test_runs_after(kind: str, tool: str, tmp_path: Path) -> None:
    if not shutil.which(tool):
        pytest.skip(f"needs {tool}")
    program, out = link(tmp_path, *KINDS[kind]), tmp_path / "out"
    argv = [tool, program, out] if tool == "objcopy" else [tool, "-o", out, program]
    done = subprocess.run(argv, capture_output=True, timeout=DEADLINE)
    assert (done.returncode, done.stdout + done.stderr) == (0, b"")
    assert is_image(out)
    for loader in LOADERS:
        check(out, loader)


@pytest.mark.parametrize("flags", [["-static"], ["-static-pie"], [], ["-no-pie"]])
def test_runs_when_it_was_linked_elsewhere(flags: "list[str]", tmp_path: Path) -> None:
    """Without room for the table, which lies behind the program's memory then."""
    (tmp_path / "p.c").write_text(PROGRAM)
    for argv in (["gcc", "-O2", "p.c", "-o", "p", *flags], [BIN / "ukcc", "pack", "p", "-o", "i"]):
        subprocess.run(argv, cwd=tmp_path, check=True, timeout=DEADLINE)
    for loader in LOADERS:
        check(tmp_path / "i", loader)


def test_a_big_bss_makes_no_long_file(tmp_path: Path) -> None:
    for kind in (["-no-pie"], ["-fPIE", "-pie"]):
        program = link(tmp_path, "-DBIG", *kind)
        check(program, "qemu-user")
        assert program.stat().st_size < 64 << 20


def test_a_program_that_names_its_own_note_keeps_it(tmp_path: Path) -> None:
    """Its code knows the address: nothing may move, and the table goes elsewhere."""
    (tmp_path / "n.c").write_text(
        '#include <stdio.h>\n__attribute__((section(".note.ABI-tag"), used, aligned(4)))\n'
        'static const struct { int n[3]; char who[4]; int data; } mine = {{4, 4, 9}, "ME", 77};\n'
        "int main(void) { const volatile int *p = &mine.data; printf("
        '"%d\\n", *p); return 42; }\n'
    )
    argv = [BIN / "uk-gcc", "n.c", "-o", "n"]
    subprocess.run(argv, cwd=tmp_path, check=True, timeout=DEADLINE)
    for words in ([], LOADERS["qemu-user"] if shutil.which("qemu-x86_64") else []):
        done = subprocess.run([*words, tmp_path / "n"], capture_output=True, timeout=DEADLINE)
        assert (done.returncode, done.stdout) == (42, b"77\n")


def test_notes_are_found_as_the_linker_wrote_them(tmp_path: Path) -> None:
    program = link(tmp_path)
    said = subprocess.run(["readelf", "-nW", program], capture_output=True, text=True, check=True)
    assert said.stderr == ""
    assert re.search(r"Build ID: [0-9a-f]{40}\n", said.stdout)
    assert "NT_GNU_ABI_TAG" in said.stdout


def test_features_of_all_objects_stay_the_programs(tmp_path: Path) -> None:
    """An object of ours without the property would take it from the program."""
    from ukcc.cc.toolchain import find_shims, find_sysroot

    room = f"{find_shims(find_sysroot({}))}/room.o"
    (tmp_path / "f.c").write_text("int f(void) { return 1; }\n")
    for argv in (
        ["gcc", "-fcf-protection=full", "-c", "f.c"],
        ["ld", "-r", "f.o", "-o", "without.o"],
        ["ld", "-r", room, "f.o", "-o", "with.o"],
    ):
        subprocess.run(argv, cwd=tmp_path, check=True)
    said = [
        subprocess.run(["readelf", "-n", name], cwd=tmp_path, capture_output=True, text=True).stdout
        for name in ("without.o", "with.o")
    ]
    assert "IBT, SHSTK" in said[0]
    assert "IBT, SHSTK" in said[1]
    headers = subprocess.run(["readelf", "-SW", room], capture_output=True, text=True).stdout
    assert ".note.GNU-stack" in headers, "the linker would make the stack executable"
