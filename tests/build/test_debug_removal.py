"""Our own removal of debug information against strip's: what is loaded, symbols, a run."""

import subprocess
from pathlib import Path

import pytest

from ukcc.image.debug import without_debug

SOURCE = """
#include <stdio.h>
static int counter = 41;
__attribute__((noinline)) static int next(void) { return ++counter; }
int main(void) { printf("%d\\n", next()); return 0; }
"""

FLAGS = [
    ["-g"],
    ["-g3", "-gz"],
    ["-gdwarf-4", "-static"],
    ["-g", "-static-pie", "-fPIE"],
    ["-g", "-gsplit-dwarf"],
    ["-g", "-Wl,--emit-relocs"],
    ["-gstabs", "-no-pie"],
    ["-g", "-Wl,--gdb-index", "-fuse-ld=gold"],
    [],
    ["-g", "-s"],
]


def run(*argv, cwd):
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=True).stdout


def addresses(name, cwd):
    """Symbol -> address, as nm prints it."""
    return {line.split()[-1]: line.split()[0] for line in run("nm", name, cwd=cwd).splitlines()}


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: " ".join(flags) or "none")
def test_against_strip(tmp_path: Path, flags):
    (tmp_path / "a.c").write_text(SOURCE)
    run("gcc", "-w", "a.c", "-o", "a", *flags, cwd=tmp_path)
    ours = tmp_path / "ours"
    ours.write_bytes(without_debug(str(tmp_path / "a")))
    ours.chmod(0o755)
    run("strip", "--strip-debug", "a", "-o", "theirs", cwd=tmp_path)
    assert run("./ours", cwd=tmp_path) == "42\n"
    sections = run("readelf", "-SW", "ours", cwd=tmp_path)
    for name in (".debug_", ".zdebug_", ".stab", ".gdb_index"):
        assert name not in sections
    assert ours.stat().st_size <= (tmp_path / "theirs").stat().st_size * 1.1 + 1024
    assert run("readelf", "-lW", "ours", cwd=tmp_path).split("Program Headers")[1].count(
        "LOAD"
    ) == run("readelf", "-lW", "a", cwd=tmp_path).split("Program Headers")[1].count("LOAD")
    if "-s" in flags:
        return
    symbols = {
        line.split()[-1]: line.split()[0] for line in run("nm", "a", cwd=tmp_path).splitlines()
    }
    kept = {
        line.split()[-1]: line.split()[0] for line in run("nm", "ours", cwd=tmp_path).splitlines()
    }
    assert kept["next"] == symbols["next"]
    assert kept["counter"] == symbols["counter"]
    assert set(kept) <= set(symbols)
    # Names of sections, and the numbers in symbols that mean them, still fit together.
    table = run("readelf", "-sW", "ours", cwd=tmp_path)
    number = next(line.split()[6] for line in table.splitlines() if line.endswith(" next"))
    assert f"[{number:>2}] .text" in sections


def test_shared_library(tmp_path: Path):
    (tmp_path / "l.c").write_text("int seven(void) { return 7; }\n")
    (tmp_path / "m.c").write_text("int seven(void); int main(void) { return seven() - 7; }\n")
    run("gcc", "-g", "-shared", "-fPIC", "l.c", "-o", "libl.so", cwd=tmp_path)
    run("gcc", "m.c", "-o", "m", "./libl.so", cwd=tmp_path)
    (tmp_path / "libl.so").write_bytes(without_debug(str(tmp_path / "libl.so")))
    run("./m", cwd=tmp_path)
