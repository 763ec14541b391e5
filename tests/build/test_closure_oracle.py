"""The libraries that we find for a program are those that the host's own loader finds.

It is asked with `--list`, for real programs, and for some that are built to have it search oddly.
"""

import os
import subprocess
from pathlib import Path

import pytest

from ukcc.errors import UkccError
from ukcc.image.closure import LOADER, find_closure
from ukcc.image.headers import open_headers, reader
from ukcc.image.loader_tags import read_loader_tags
from ukcc.image.search import Glibc, Loaded, load
from ukcc.image.shared_object import open_shared

LIBRARY = "int {name}(void) {{ return 1; }}\n"
PROGRAM = "int main(void) { return 0; }\n"
PLACES = ("/usr/bin", "/usr/sbin", "/usr/libexec", "/usr/lib/git-core")

pytestmark = pytest.mark.skipif(not Path(LOADER).exists(), reason="no glibc of the host's")


def by_the_loader(program: str, **environ: str) -> "list[tuple[str, str]] | None":
    """[(name, path)], or None where a library is not found."""
    done = subprocess.run(
        [LOADER, "--list", program], env=environ, capture_output=True, text=True, check=False
    )
    pairs = [line.strip().partition(" => ") for line in done.stdout.splitlines()]
    found = [(name, rest.partition(" (0x")[0]) for name, arrow, rest in pairs if arrow]
    if done.returncode or any(path == "not found" for _, path in found):
        return None
    return [(name, path) for name, path in found if name != LOADER]


def by_us(program: str, **environ: str) -> "list[tuple[str, str]] | None":
    fd, headers = open_headers(program)
    try:
        dynamic = read_loader_tags(reader(fd), headers, program)
    finally:
        os.close(fd)
    loader = open_shared(LOADER)
    assert loader is not None
    started = Loaded(program, dynamic, str(Path(program).parent))
    rules = Glibc("", library_path=environ.get("LD_LIBRARY_PATH", ""))
    try:
        found = load(started, rules, Loaded(Path(LOADER).name, loader.dynamic, "/", None, loader))
    except UkccError:
        return None
    # one that is asked for by its path the loader lists without an arrow
    return [(one.name, one.path) for one in found if "/" not in one.name]


def dynamic_programs() -> "list[str]":
    found = []
    for place in map(Path, PLACES):
        for path in sorted(place.iterdir()) if place.is_dir() else []:
            if path.is_file() and not path.is_symlink() and os.access(path, os.R_OK):
                with path.open("rb") as file:
                    start = file.read(4096)
                if start[:5] == b"\x7fELF\x02" and LOADER.encode() in start:
                    found.append(str(path))
    return found


def test_programs_of_the_host() -> None:
    """Every eighth, and those with the most libraries that a development machine has."""
    programs = dynamic_programs()
    some = {*programs[::8], *(p for p in programs if Path(p).name in ("gdb", "cmake", "git"))}
    assert len(some) > 20
    differ = [p for p in sorted(some) if by_us(p) != by_the_loader(p)]
    assert differ == []


class Tree:
    """A directory with libraries and programs that gcc makes."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def library(self, path: str, *words: str, soname: str = "") -> str:
        """libNAME.so at `path`; each has a function of its file's name."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        source = target.with_suffix(".c")
        source.write_text(LIBRARY.format(name=target.name.split(".")[0]))
        given = [f"-Wl,-soname,{soname or target.name}"]
        self._gcc("-shared", "-fPIC", *given, str(source), *words, "-o", str(target))
        return str(target)

    def program(self, *words: str) -> str:
        (self.root / "main.c").write_text(PROGRAM)
        target = self.root / "main"
        self._gcc(str(self.root / "main.c"), *words, "-o", str(target))
        return str(target)

    def _gcc(self, *words: str) -> None:
        kept = ["-O", "-Wl,--no-as-needed", "-Wl,--allow-shlib-undefined"]
        subprocess.run(["gcc", *kept, *words], cwd=self.root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def agree(program: str, **environ: str) -> "list[str]":
    """The paths, on which both agree."""
    theirs = by_the_loader(program, **environ)
    assert by_us(program, **environ) == theirs
    return [path for _, path in theirs or ()]


OLD = "-Wl,--disable-new-dtags"
NEW = "-Wl,--enable-new-dtags"


@pytest.mark.parametrize("kind", [OLD, NEW])
@pytest.mark.parametrize("inner", ["", OLD, NEW])
def test_inheritance(tree: Tree, kind: str, inner: str) -> None:
    """main → a/liba.so → b/libb.so, found by main's run path, or by that of liba.so, or not."""
    b = tree.library("b/libb.so")
    more = [inner, "-Wl,-rpath,$ORIGIN/../b"] if inner else []
    a = tree.library("a/liba.so", b, *more)
    main = tree.program(a, kind, f"-Wl,-rpath,{tree.root}/a:{tree.root}/b")
    paths = agree(main)
    assert bool(paths) == (kind == OLD or bool(inner))


def test_one_name_in_two_places(tree: Tree) -> None:
    first = tree.library("one/libx.so")
    second = tree.library("two/libx.so")
    y = tree.library("y/liby.so", second, NEW, f"-Wl,-rpath,{tree.root}/two")
    main = tree.program(first, y, f"-Wl,-rpath,{tree.root}/one:{tree.root}/y")
    assert first in agree(main) and second not in agree(main)
    swapped = tree.program(y, first, f"-Wl,-rpath,{tree.root}/y:{tree.root}/one")
    agree(swapped)


def test_one_file_by_two_names(tree: Tree) -> None:
    """By its soname, and by a symbolic link."""
    real = tree.library("lib/libreal.so.1.0", soname="libreal.so.1")
    for name in ("libreal.so.1", "libother.so"):
        (tree.root / "lib" / name).symlink_to("libreal.so.1.0")
    asks = tree.library("lib/libasks.so", real)
    second = tree.library("second/libother.so", soname="libother.so")
    main = tree.program(second, asks, real, f"-Wl,-rpath,{tree.root}/lib")
    assert sum("/lib/lib" in path and str(tree.root) in path for path in agree(main)) == 2


def test_ld_library_path(tree: Tree) -> None:
    a = tree.library("a/liba.so")
    other = tree.library("other/liba.so")
    new = tree.program(a, NEW, f"-Wl,-rpath,{tree.root}/a")
    assert other in agree(new, LD_LIBRARY_PATH=f"/none:{tree.root}/other")
    assert other in agree(new, LD_LIBRARY_PATH="/none;$ORIGIN/other/;/usr/lib")
    old = tree.program(a, OLD, f"-Wl,-rpath,{tree.root}/a")
    assert a in agree(old, LD_LIBRARY_PATH=f"{tree.root}/other")


def test_tokens_in_names(tree: Tree) -> None:
    path = tree.library("lib/x86_64-linux-gnu/liba.so")
    for run_path in ("$ORIGIN/$LIB", "${ORIGIN}/lib/x86_64-linux-gnu", "$ORIGINS/$LIB", "$LIBS"):
        main = tree.program(path, f"-Wl,-rpath,{run_path}")
        assert bool(agree(main)) == (run_path[:8] in ("$ORIGIN/", "${ORIGIN"))


def test_what_is_not_there_or_not_for_us(tree: Tree) -> None:
    a = tree.library("a/liba.so")
    main = tree.program(a)
    assert agree(main) == []
    wrong = tree.root / "wrong" / "liba.so"
    wrong.parent.mkdir()
    wrong.write_bytes(b"\x7fELF\x01\x01\x01" + bytes(9) + b"\x03\0\x03\0" + bytes(99))
    assert a in agree(main, LD_LIBRARY_PATH=f"{tree.root}/wrong:{tree.root}/a")
    wrong.write_bytes(b"GROUP ( liba.so.1 )\n" * 8)
    assert agree(main, LD_LIBRARY_PATH=f"{tree.root}/wrong:{tree.root}/a") == []


def test_no_default_directories(tree: Tree) -> None:
    a = tree.library("a/liba.so", "-lz", "-Wl,-z,nodefaultlib")
    main = tree.program(a, f"-Wl,-rpath,{tree.root}/a")
    agree(main)
    agree(tree.program("-lz"))


MUSL = "/lib/ld-musl-x86_64.so.1"


@pytest.mark.skipif(not Path(MUSL).exists(), reason="musl is not installed")
def test_musl(tree: Tree) -> None:
    """Both kinds of run path are inherited, and the loader is the C library."""
    b = tree.library("b/libb.so")
    a = tree.library("a/liba.so", b, "-nostdlib")
    words = ["-nostdlib", f"-Wl,--dynamic-linker={MUSL}", "-Wl,-e,main", NEW]
    main = tree.program(a, f"-Wl,-rpath,$ORIGIN/a:{tree.root}/b", *words)
    done = subprocess.run(
        [MUSL, "--list", main], env={}, capture_output=True, text=True, check=True
    )
    pairs = [line.strip().partition(" => ") for line in done.stdout.splitlines()]
    theirs = [rest.partition(" (0x")[0] for _, arrow, rest in pairs if arrow]
    found = find_closure(main, "/nonexistent", (), {})
    assert [lib.path for lib in found.libraries] == [path for path in theirs if path != MUSL]
    assert [entry.path for entry in found.entries()] == [MUSL[1:], "lib/liba.so", "lib/libb.so"]
