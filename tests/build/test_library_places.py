"""A program's libraries, wherever the linker found them: what gcc links, uk-gcc links.

The image has the very files that the linker took; what is nowhere is told in one line.
"""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from support import twin

from ukcc.image import cpio
from ukcc.image.elf import open_elf
from ukcc.image.inspect import inspect_image

MAIN = "int x(void); int main(void) { return x(); }\n"
LIBRARIES = (
    "mkdir -p one two && gcc -shared -fPIC dep.c -o two/libdep.so.1 -Wl,-soname,libdep.so.1 &&"
    "gcc -shared -fPIC x.c -o one/libx.so -Wl,-soname,libx.so.1 two/libdep.so.1"
)

Link = Callable[..., "subprocess.CompletedProcess[bytes]"]


@pytest.fixture
def link(tmp_path: Path) -> Link:
    """Runs a line of shell beside one/libx.so, which is libx.so.1 and needs two/libdep.so.1."""
    (tmp_path / "dep.c").write_text("int dep(void) { return 3; }\n")
    (tmp_path / "x.c").write_text("int dep(void); int x(void) { return dep() + 1; }\n")
    (tmp_path / "m.c").write_text(MAIN)
    assert twin.shell(LIBRARIES, tmp_path).returncode == 0
    return lambda line, **environ: twin.shell(line, tmp_path, **environ)


def libraries(image: Path) -> "dict[str, bytes]":
    """path -> contents."""
    with open_elf(image) as elf:
        archive = elf.archive()
        members = list(cpio.members(archive.read(0, archive.size)))
    return {m.path: m.data for m in members if m.path.startswith("usr/lib/lib")}


@pytest.mark.parametrize("linker", ["bfd", "lld", "mold"])
@pytest.mark.parametrize("where", ["-rpath-link,two", "-rpath-link=none:two", "-rpath,two"])
def test_a_library_without_the_link_of_its_soname(
    link: Link, tmp_path: Path, linker: str, where: str
) -> None:
    """`make install` makes libx.so.1 later; libdep.so.1 is where only the linker is told."""
    done = link(f"uk-gcc -fuse-ld={linker} m.c -o m -Lone -lx -Wl,{where}")
    assert (done.returncode, done.stderr) == (0, b"")
    found = libraries(tmp_path / "m")
    assert {"usr/lib/libx.so.1", "usr/lib/libdep.so.1"} <= set(found)


def test_the_file_that_the_linker_took_is_taken(link: Link, tmp_path: Path) -> None:
    """Not an older one that has the soname for its name, in the same place or where -L leads."""
    (tmp_path / "x.c").write_text("int x(void) { return 99; }\n")
    made = link(
        "gcc -shared -fPIC x.c -o one/libx.so.1 -Wl,-soname,libx.so.1; cp one/libx.so.1 two"
    )
    assert made.returncode == 0
    done = link("uk-gcc m.c -o m -Ltwo -Lone -lx -Wl,-rpath-link,two")
    assert (done.returncode, done.stderr) == (0, b"")
    assert len(libraries(tmp_path / "m")["usr/lib/libx.so.1"]) > 0
    assert inspect_image(tmp_path / "m").linkage == "dynamic: it uses libx.so.1"
    assert b"dep" in libraries(tmp_path / "m")["usr/lib/libx.so.1"]


def test_a_library_by_another_name(link: Link, tmp_path: Path) -> None:
    done = link("mv one/libx.so x.module && uk-gcc m.c x.module -o m -Wl,-rpath-link,two")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "usr/lib/libx.so.1" in libraries(tmp_path / "m")


def test_what_can_be_read_only_once_is_not_read_again(link: Link, tmp_path: Path) -> None:
    """The linker opened it; it may be a pipe, and it is no library."""
    script = "-Wl,--version-script=<(echo '{ local: *; };')"
    done = link(f"uk-gcc m.c -o m -Lone -lx -Wl,-rpath-link,two {script}")
    assert (done.returncode, done.stderr) == (0, b"")
    assert "usr/lib/libx.so.1" in libraries(tmp_path / "m")


def test_a_thin_image_takes_the_same(link: Link, tmp_path: Path) -> None:
    done = link("uk-gcc m.c -o m -Lone -lx -Wl,-rpath-link,two", UKCC_IMAGE="thin")
    assert (done.returncode, done.stderr) == (0, b"")
    done = link("ukcc pack m -o whole")
    assert (done.returncode, done.stderr) == (0, b"")
    assert {"usr/lib/libx.so.1", "usr/lib/libdep.so.1"} <= set(libraries(tmp_path / "whole"))


def test_what_is_nowhere_is_said_once(link: Link, tmp_path: Path) -> None:
    """gcc links it, and its program would end at the loader; so it is here."""
    line = "$CC m.c -o m -Lone -lx -Wl,--allow-shlib-undefined; s=$?; rm -r two; exit $s"
    line = line.replace("$CC", "rm -rf two; $CC")
    for compiler in ("gcc", "uk-gcc"):
        done = link(line.replace("$CC", compiler))
        assert done.returncode == 0
    reason = "m: needs libdep.so.1 for libx.so.1, which is not found"
    hint = "name its directory in LD_LIBRARY_PATH"
    lines = done.stderr.decode().splitlines()
    said = [text for text in lines if text.startswith("uk-gcc: ")]
    head = f"uk-gcc: warning: the image will not start: {tmp_path}/"
    assert said == [f"{head}{reason}; {hint}"]
    assert "usr/lib/libx.so.1" in libraries(tmp_path / "m")


def test_a_loader_that_nobody_knows(link: Link, tmp_path: Path) -> None:
    (tmp_path / "m.c").write_text("int main(void) { return 0; }\n")
    done = link("uk-gcc m.c -o m -Wl,--dynamic-linker=/opt/ld.so.9")
    assert done.returncode == 0
    assert done.stderr.decode() == (
        f"uk-gcc: warning: the image will not start: {tmp_path}/m: its dynamic loader is "
        "/opt/ld.so.9; only glibc's and musl's are known; link it statically\n"
    )
    assert inspect_image(tmp_path / "m").interpreter == "/opt/ld.so.9"


def test_pack_wants_all_of_them(link: Link) -> None:
    """Its user asked for an image that boots."""
    done = link("gcc m.c -o m -Lone -lx -Wl,-rpath-link,two && ukcc pack m -o image")
    assert done.returncode == 1
    assert b"needs libx.so.1, which is not found" in done.stderr
