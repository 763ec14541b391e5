"""What lies beside a dynamic program: found by the loaders' rules, and nothing of it run."""

import os
import stat
from pathlib import Path

import pytest
from support.library_samples import LOADER, cache_file, library, write

from ukcc.errors import UkccError
from ukcc.image import cpio, search
from ukcc.image.closure import Closure, find_closure
from ukcc.image.loader_tags import LoaderTags
from ukcc.image.search import Glibc, Loaded, Musl
from ukcc.image.shared_object import open_shared

DF_1_NODEFLIB = 0x800


@pytest.fixture
def sysroot(tmp_path: Path) -> Path:
    home = tmp_path / "sysroot" / "usr" / "lib"
    for name in ("ld-linux-x86-64.so.2", "libc.so.6"):
        write(home / name, library(soname=name, pad=3))
    return tmp_path / "sysroot"


@pytest.fixture(autouse=True)
def nothing_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """What this machine has installed decides nothing here."""
    monkeypatch.setattr(Glibc.__init__, "__defaults__", ((), "", "/nonexistent", ()))


def found(where: Path, program: bytes, sysroot: Path, **environ: str) -> "dict[str, str]":
    """{name: path below `where`} of the libraries."""
    path = write(where / "bin" / "program", program)
    closure = find_closure(str(path), str(sysroot), (), environ)
    return {
        lib.soname: os.path.relpath(os.path.normpath(lib.path), where) for lib in closure.libraries
    }


def program(*needed: str, **more: str) -> bytes:
    return library(needed, interpreter=LOADER, **more)  # type: ignore[arg-type]


def test_run_paths(tmp_path: Path, sysroot: Path) -> None:
    """DT_RPATH is inherited, DT_RUNPATH is not, and it switches DT_RPATH off."""
    write(tmp_path / "a" / "libb.so", library())
    write(tmp_path / "a" / "liba.so", library(["libb.so"]))
    inherited = program("liba.so", rpath=f"{tmp_path}/a")
    assert found(tmp_path, inherited, sysroot) == {"liba.so": "a/liba.so", "libb.so": "a/libb.so"}
    with pytest.raises(UkccError, match=r"needs libb.so for liba.so, which is not found"):
        found(tmp_path, program("liba.so", runpath=f"{tmp_path}/a"), sysroot)
    with pytest.raises(UkccError, match=r"needs liba.so, which is not found"):
        found(tmp_path, program("liba.so", rpath=f"{tmp_path}/a", runpath="/none"), sysroot)
    write(tmp_path / "a" / "liba.so", library(["libb.so"], runpath="/none"))
    with pytest.raises(UkccError, match=r"needs libb.so for liba.so"):
        found(tmp_path, inherited, sysroot)


def test_order(tmp_path: Path, sysroot: Path) -> None:
    """DT_RPATH, LD_LIBRARY_PATH, DT_RUNPATH."""
    for name in ("rpath", "env", "runpath"):
        write(tmp_path / name / "liba.so", library())
    env = f"/none;{tmp_path}/env/"
    rpath = program("liba.so", rpath=f"/none:{tmp_path}/rpath")
    assert found(tmp_path, rpath, sysroot, LD_LIBRARY_PATH=env) == {"liba.so": "rpath/liba.so"}
    runpath = program("liba.so", runpath=f"{tmp_path}/runpath")
    assert found(tmp_path, runpath, sysroot, LD_LIBRARY_PATH=env) == {"liba.so": "env/liba.so"}
    assert found(tmp_path, runpath, sysroot) == {"liba.so": "runpath/liba.so"}


def test_the_linkers_own_files(tmp_path: Path, sysroot: Path) -> None:
    """As if by LD_LIBRARY_PATH, before it: after DT_RPATH, before DT_RUNPATH. Never glibc's."""
    for place in ("rpath", "runpath", "env"):
        write(tmp_path / place / "libx.so.1", library(soname="libx.so.1"))
    linked = [
        write(tmp_path / "build" / "script.so", b"INPUT(libx.so)"),
        write(tmp_path / "build" / "libx.so", library(soname="libx.so.1", pad=5)),
        write(tmp_path / "build" / "libx-old.so", library(soname="libx.so.1")),
        write(tmp_path / "build" / "libc.so.6", library(soname="libc.so.6")),
    ]

    def taken(**tags: str) -> "dict[str, str]":
        path = write(tmp_path / "bin" / "p", program("libx.so.1", "libc.so.6", **tags))
        env = {"LD_LIBRARY_PATH": f"{tmp_path}/env"}
        closure = find_closure(
            str(path), str(sysroot), (f"{tmp_path}/runpath",), env, linked=list(map(str, linked))
        )
        return {lib.soname: os.path.relpath(lib.path, tmp_path) for lib in closure.libraries}

    glibc = "sysroot/usr/lib/libc.so.6"
    assert taken() == {"libx.so.1": "build/libx.so", "libc.so.6": glibc}
    assert taken(runpath=f"{tmp_path}/runpath")["libx.so.1"] == "build/libx.so"
    assert taken(rpath=f"{tmp_path}/rpath")["libx.so.1"] == "rpath/libx.so.1"


def test_what_is_missing_is_told_and_not_raised(tmp_path: Path, sysroot: Path) -> None:
    write(tmp_path / "a" / "liba.so", library(["libb.so"]))
    write(tmp_path / "a" / "libtext.so", b"text")
    path = write(tmp_path / "p", program("liba.so", "libtext.so", "libc1.so"))
    closure = find_closure(str(path), str(sysroot), (f"{tmp_path}/a",), {}, partial=True)
    assert [lib.soname for lib in closure.libraries] == ["liba.so"]
    said = [error.message.replace(f"{tmp_path}/", "") for error in closure.missing]
    assert said == [
        "a/libtext.so: not an ELF file",
        "p: needs libc1.so, which is not found",
        "p: needs libb.so for liba.so, which is not found",
    ]
    path = write(
        tmp_path / "p", library(["libc.so.6"], interpreter="relative/ld-linux-x86-64.so.2")
    )
    closure = find_closure(str(path), str(sysroot), (), {}, partial=True)
    assert closure.entries() == [] and "not an absolute path" in closure.missing[0].message


def test_tokens(tmp_path: Path, sysroot: Path) -> None:
    write(tmp_path / "own" / "liba.so", library(["libb.so"], runpath="$ORIGIN/more"))
    write(tmp_path / "own" / "more" / "libb.so", library())
    write(tmp_path / "own" / "lib64" / "x86_64" / "libc1.so", library())
    asked = program("liba.so", "libc1.so", runpath="$ORIGIN/../own:${ORIGIN}/../own/$LIB/$PLATFORM")
    assert found(tmp_path, asked, sysroot) == {
        "liba.so": "own/liba.so",
        "libc1.so": "own/lib64/x86_64/libc1.so",
        "libb.so": "own/more/libb.so",
    }
    with pytest.raises(UkccError, match="not found"):
        found(tmp_path, program("liba.so", runpath="$ORIGINAL/../own:$ORIGIN_/../own"), sysroot)


def test_tokens_without_end(tmp_path: Path, sysroot: Path) -> None:
    """Each may mean three things, and a stranger's program may have thousands."""
    with pytest.raises(UkccError, match="not found"):
        found(tmp_path, program("liba.so", runpath="$LIB/" * 12000), sysroot)


def test_origin_behind_a_symbolic_link(tmp_path: Path, sysroot: Path) -> None:
    """Linux tells the loader where the program really is."""
    write(tmp_path / "real" / "liba.so", library())
    write(tmp_path / "real" / "program", program("liba.so", runpath="$ORIGIN"))
    (tmp_path / "link").symlink_to("real/program")
    closure = find_closure(str(tmp_path / "link"), str(sysroot), (), {})
    assert [lib.path for lib in closure.libraries] == [f"{tmp_path}/real/liba.so"]


def test_the_sysroots_glibc_comes_first(tmp_path: Path, sysroot: Path) -> None:
    """Another libc would not fit the loader, nor enter the kernel by the gate."""
    write(tmp_path / "host" / "libc.so.6", library(soname="libc.so.6"))
    ours = {"libc.so.6": "sysroot/usr/lib/libc.so.6"}
    asked = program("libc.so.6", rpath=f"{tmp_path}/host")
    assert found(tmp_path, asked, sysroot, LD_LIBRARY_PATH=f"{tmp_path}/host") == ours
    by_path = found(tmp_path, program(f"{tmp_path}/host/libc.so.6"), sysroot)
    assert list(by_path.values()) == ["sysroot/usr/lib/libc.so.6"]


def test_what_is_loaded_once(tmp_path: Path, sysroot: Path) -> None:
    """A name that a loaded file answers to is not looked for; a file has one place in the image."""
    write(tmp_path / "a" / "libx.so.1.2", library(soname="libx.so.1"))
    (tmp_path / "a" / "libx.so").symlink_to("libx.so.1.2")
    (tmp_path / "a" / "other.so").symlink_to("libx.so.1.2")
    write(tmp_path / "b" / "libx.so.1", library(soname="libx.so.1"))
    write(tmp_path / "a" / "liby.so", library(["libx.so.1"], runpath=f"{tmp_path}/b"))
    asked = program("libx.so", "liby.so", "other.so", rpath=f"{tmp_path}/a")
    assert found(tmp_path, asked, sysroot) == {"libx.so": "a/libx.so", "liby.so": "a/liby.so"}
    closure = find_closure(str(tmp_path / "bin" / "program"), str(sysroot), (), {})
    links = [e for e in closure.entries() if stat.S_ISLNK(e.mode)]
    assert [(e.path, e.data) for e in links] == [("usr/lib/other.so", b"/usr/lib/libx.so")]


def test_places_in_the_image(tmp_path: Path, sysroot: Path) -> None:
    """Names with a path are looked for by that path in the machine as well."""
    write(tmp_path / "bin" / "liba.so", library())
    write(tmp_path / "lib" / "libb.so", library(["$ORIGIN/sub/libc1.so"]))
    write(tmp_path / "lib" / "sub" / "libc1.so", library())
    write(tmp_path / "opt" / "libd.so", library())
    by_path = f"{tmp_path}/opt/../opt/libd.so"
    asked = program("$ORIGIN/liba.so", "libb.so", by_path, rpath=f"{tmp_path}/lib")
    path = write(tmp_path / "bin" / "program", asked)
    closure = find_closure(str(path), str(sysroot), (), {})
    assert [entry.path for entry in closure.entries()] == [
        *(LOADER[1:], "app/liba.so", "usr/lib/libb.so", f"{tmp_path}/opt/libd.so"[1:]),
        "usr/lib/sub/libc1.so",
    ]


def test_what_loaders_pass_over(tmp_path: Path, sysroot: Path) -> None:
    write(tmp_path / "32" / "liba.so", library(bits=32, machine=3))
    write(tmp_path / "arm" / "liba.so", library(machine=183))
    write(tmp_path / "good" / "liba.so", library())
    (tmp_path / "dangling").mkdir()
    (tmp_path / "dangling" / "liba.so").symlink_to("nothing")
    path = ":".join(f"{tmp_path}/{name}" for name in ("none", "32", "arm", "dangling", "good"))
    assert found(tmp_path, program("liba.so", rpath=path), sysroot) == {"liba.so": "good/liba.so"}


@pytest.mark.parametrize("name", ["secret", "program", "object", "fifo", "directory", "short"])
def test_nothing_but_shared_libraries_is_read(tmp_path: Path, sysroot: Path, name: str) -> None:
    """A stranger's program could otherwise take any file of the host into its machine."""
    place = tmp_path / "dir"
    write(place / "secret", b"-----BEGIN OPENSSH PRIVATE KEY-----\n" * 4)
    write(place / "program", library(flags=0x08000000))
    write(place / "object", library(kind=1))
    write(place / "short", b"\x7fELF")
    (place / "directory").mkdir()
    os.mkfifo(place / "fifo")
    with pytest.raises(UkccError) as failure:
        found(tmp_path, program(name, runpath=str(place)), sysroot)
    assert f"{place}/{name}: " in failure.value.message


def test_the_cache(tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What only ldconfig knows of; not for `-z nodefaultlib`, where it is a default directory."""
    write(tmp_path / "only" / "liba.so", library())
    entry = ("liba.so", f"{tmp_path}/only/liba.so", 0x303, 0)
    cache = write(tmp_path / "cache", cache_file([entry]))
    defaults = ((), "", str(cache), (f"{tmp_path}/only",))
    monkeypatch.setattr(Glibc.__init__, "__defaults__", defaults)
    assert found(tmp_path, program("liba.so"), sysroot) == {"liba.so": "only/liba.so"}
    with pytest.raises(UkccError, match="not found"):
        found(tmp_path, library(["liba.so"], interpreter=LOADER, flags=DF_1_NODEFLIB), sysroot)
    cache.write_bytes(b"")
    assert found(tmp_path, program("liba.so"), sysroot) == {"liba.so": "only/liba.so"}


def test_what_may_be_missing(tmp_path: Path, sysroot: Path) -> None:
    write(tmp_path / "liba.so", library())
    asked = library(["liba.so"], optional=["libfilter.so"], interpreter=LOADER, rpath=str(tmp_path))
    assert found(tmp_path, asked, sysroot) == {"liba.so": "liba.so"}


def test_the_unwinder_comes_along(tmp_path: Path, sysroot: Path) -> None:
    write(tmp_path / "liba.so", library())
    write(tmp_path / "libgcc_s.so.1", library())
    names = list(found(tmp_path, program("liba.so", rpath=str(tmp_path)), sysroot))
    assert names == ["libgcc_s.so.1", "liba.so"]


def test_libraries_that_need_each_other(tmp_path: Path, sysroot: Path) -> None:
    write(tmp_path / "liba.so", library(["libb.so", "ld-linux-x86-64.so.2"]))
    write(tmp_path / "libb.so", library(["liba.so"]))
    asked = program("liba.so", rpath=str(tmp_path))
    assert list(found(tmp_path, asked, sysroot)) == ["liba.so", "libb.so"]


@pytest.mark.parametrize(
    ("interpreter", "says"),
    [
        ("./ld-evil.so", "its dynamic loader is ./ld-evil.so; only glibc's and musl's are known"),
        ("./ld-linux-x86-64.so.2", "is './ld-linux-x86-64.so.2', not an absolute path"),
        ("/lib64/../tmp/ld-linux-x86-64.so.2", "not an absolute path in its short form"),
        ("/.uk/ld-linux-x86-64.so.2", "a place that the image needs for itself"),
        ("/system/bin/linker64", "only glibc's and musl's are known"),
        ("/lib/nowhere/ld-musl-x86_64.so.1", "is not on this machine"),
        (b"no end", "damaged ELF file: the name of its dynamic loader"),
        (b"\0\0", "damaged ELF file: the name of its dynamic loader"),
        ("/" + "a" * 5000, "damaged ELF file: the name of its dynamic loader"),
    ],
)
def test_no_interpreter_is_run(
    tmp_path: Path,
    sysroot: Path,
    monkeypatch: pytest.MonkeyPatch,
    interpreter: "str | bytes",
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("ld-evil.so", "ld-linux-x86-64.so.2"):
        write(tmp_path / name, b"#!/bin/sh\ntouch ran\n").chmod(0o755)
    path = write(tmp_path / "program", library(["libc.so.6"], interpreter=interpreter))
    with pytest.raises(UkccError, match=says):
        find_closure(str(path), str(sysroot), (), {})
    assert not (tmp_path / "ran").exists()


def test_no_sysroots_loader_is_run(tmp_path: Path, sysroot: Path) -> None:
    script = b"#!/bin/sh\ntouch " + bytes(tmp_path / "ran") + b"\n"
    write(sysroot / "usr" / "lib" / "ld-linux-x86-64.so.2", script).chmod(0o755)
    path = write(tmp_path / "program", program("libc.so.6"))
    with pytest.raises(UkccError, match="not an ELF file"):
        find_closure(str(path), str(sysroot), (), {})
    assert not (tmp_path / "ran").exists()


def test_a_relative_sysroot(tmp_path: Path, sysroot: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "program", program("libc.so.6"))
    absolute = find_closure(str(path), str(sysroot), (), {})
    monkeypatch.chdir(tmp_path)
    assert find_closure("program", "sysroot", (), {}) == absolute
    assert [lib.soname for lib in absolute.libraries] == ["libc.so.6"]


def musl_found(where: Path, asked: bytes, library_path: str = "") -> "list[tuple[str, str]]":
    """(name, path) as musl's loader finds them, whose configuration is in `where`."""
    interpreter = "/lib/ld-musl-x86_64.so.1"
    own = open_shared(str(write(where / "lib" / "ld-musl-x86_64.so.1", library(pad=7))))
    start = open_shared(str(write(where / "program.so", asked)))
    assert own and start
    started = Loaded("program", start.dynamic, str(where))
    rules = Musl(interpreter, library_path, root=str(where))
    loader = Loaded("ld-musl-x86_64.so.1", LoaderTags(), "/lib", None, own)
    pairs = search.load(started, rules, loader)
    return [(one.name, os.path.relpath(one.path, where)) for one in pairs]


def test_musl(tmp_path: Path) -> None:
    """LD_LIBRARY_PATH first, run paths of both kinds inherited, then its own configuration."""
    for name in ("env", "run", "system"):
        write(tmp_path / name / "liba.so", library(["libb.so", "libc.so"], soname="libz.so"))
    write(tmp_path / "run" / "libb.so", library(["libz.so"]))
    write(tmp_path / "system" / "libz.so", library(["libm.so.6", "libpthread.so.0"]))
    write(tmp_path / "etc" / "ld-musl-x86_64.path", f"/none\n{tmp_path}/system\n".encode())
    asked = library(["liba.so", "libc.musl-x86_64.so.1"], runpath="$ORIGIN/run")
    rest = [("libb.so", "run/libb.so"), ("libz.so", "system/libz.so")]
    assert musl_found(tmp_path, asked) == [("liba.so", "run/liba.so"), *rest]
    env = musl_found(tmp_path, asked, f"{tmp_path}/env")
    assert env == [("liba.so", "env/liba.so"), *rest]
    with pytest.raises(UkccError, match=r"needs libb.so for liba.so"):
        musl_found(tmp_path, library(["liba.so"], runpath="$LIB:$ORIGIN/run"))


def test_members(sysroot: Path, tmp_path: Path) -> None:
    closure = Closure(LOADER, b"loader", ())
    assert closure.entries() == [cpio.regular(LOADER, b"loader", 0o755)]
