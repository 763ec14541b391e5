"""Shared libraries that a build links its programs with, and the archives beside them."""

from pathlib import Path

import pytest

from ukcc.cc import plan
from ukcc.cc.linkage import Lookup
from ukcc.cc.parse import parse
from ukcc.cc.shared import stand_in
from ukcc.cc.toolchain import Toolchain
from ukcc.light.sonames import is_shared

NAMES = [
    # path, is it a shared library
    ("libz.so", True),
    (".libs/liblzma.so.5.4.1", True),
    ("/usr/lib/libc.so.6", True),
    ("libz.a", False),
    ("main.o", False),
    ("a.sort", False),
    (".so", False),
    ("x.so.c/main.c", False),
]


@pytest.mark.parametrize(("path", "wanted"), NAMES)
def test_is_shared(path: str, wanted: bool) -> None:
    assert is_shared(path) is wanted


def test_without_an_archive(tmp_path: Path) -> None:
    (tmp_path / "libz.so").touch()
    assert stand_in(str(tmp_path / "libz.so")) == ()


def test_libtools_closure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What libcurl's archive needs is in its .la, as words and as other .la files."""
    monkeypatch.chdir(tmp_path)
    for directory in ("lib/.libs", "dep/.libs"):
        Path(directory).mkdir(parents=True)
    for name in ("lib/.libs/libcurl.so", "lib/.libs/libcurl.a", "dep/.libs/libdep.a"):
        Path(name).touch()
    Path("lib/libcurl.la").write_text(
        "dlname='libcurl.so.4'\nold_library='libcurl.a'\n"
        "dependency_libs=' -L/opt/lib -lz ./dep/libdep.la ./dep/libdep.la'\n"
    )
    Path("dep/libdep.la").write_text("old_library='libdep.a'\ndependency_libs=' -lm'\n")
    wanted = ("lib/.libs/libcurl.a", "-L/opt/lib", "-lz", "./dep/.libs/libdep.a", "-lm")
    assert stand_in("lib/.libs/libcurl.so") == wanted


def test_its_place_among_the_words_is_kept() -> None:
    toolchain = Toolchain(
        name="uk-gcc",
        compiler="/bin/gcc",
        sysroot="/root",
        plain=False,
        thin=False,
        linkage="",
        kernel="",
    )
    argv = ["a.o", "x/libb.so.1", "-lc", "-o", "p"]
    made = plan.make_plan(
        argv,
        parse(argv),
        toolchain,
        Lookup(
            stand_in=lambda path: ("x/libb.a", "-lm"),
            has_libc=lambda directory: False,
            has_linker=lambda directory: False,
            is_read_once=lambda path: False,
        ),
    )
    assert " a.o x/libb.so.1 -lc -o p -no-pie " in " ".join(made.command)
    assert " a.o x/libb.a -lm -lc -o p -static " in " ".join(made.static)
