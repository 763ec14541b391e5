"""An image is the same bytes wherever, whenever and by whomever it is built."""

import os
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

import pytest
from support.other_clock import build_clock
from support.twin import BIN, DEADLINE

from ukcc import paths

SOURCES = {
    "main.c": "#include <stdio.h>\nint own(void);\n"
    'int main(void) { printf("%s %d\\n", __FILE__, own()); return 0; }\n',
    "own.c": "int own(void) { return 42; }\n",
    "main.cc": "#include <iostream>\n#include <stdexcept>\nextern \"C\" int own(void);\n"
    'int main() { try { throw std::runtime_error("right"); }'
    " catch (const std::exception &e) { std::cout << e.what() << own() << std::endl; } }\n",
    "uk.toml": 'memory = 64\nargs = ["world"]\n[files]\n"/etc/tree" = "tree"\n'
    '"/etc/one" = {source = "one", mode = "0640", owner = "www-data"}\n',
    "one": "one\n",
    "tree/b": "b\n",
    "tree/a": "a\n",
    "tree/sub/c": "c\n",
}  # fmt: skip

# What makes `image`, in a directory that has the sources. $MAP names the directory to gcc, as one
# does to keep it out of debug information.
BUILDS = {
    "static": "uk-gcc -O2 main.c own.c -o image",
    "static, thin": "UKCC_IMAGE=thin uk-gcc -O2 main.c own.c -o image",
    "static PIE": "uk-gcc -O2 -fPIE -static-pie main.c own.c -o image",
    "dynamic": "uk-gcc -O2 -no-pie -fPIC -shared own.c -o libown.so && "
    "uk-gcc -O2 -no-pie main.c -L. -lown -o image",
    "dynamic PIE": "uk-gcc -O2 -fPIC -shared own.c -o libown.so && "
    "uk-gcc -O2 -fPIE -pie main.c '-L.' -lown -Wl,-rpath,'$ORIGIN' -o image",
    "C++": "uk-gcc -c -O2 own.c && uk-g++ -O2 main.cc own.o -o image",
    "C++, dynamic": "uk-gcc -fPIC -shared own.c -o libown.so && "
    "uk-g++ -O2 main.cc -L. -lown -Wl,-rpath,/opt/own -o image",
    "debug information": "uk-gcc -g $MAP main.c own.c -o image",
    "debug information, C++": "uk-gcc -c -g $MAP own.c && uk-g++ -g $MAP main.cc own.o -o image",
    "LTO": "uk-gcc -O2 -flto main.c own.c -o image",
    "objects apart": "uk-gcc -g $MAP -c main.c own.c && uk-gcc main.o own.o -o image",
    "archive": "uk-gcc -c own.c && uk-ar rcs libown.a own.o && "
    'uk-gcc main.c "$PWD/libown.a" "-L$PWD" -o image',
    "settings and files": "UKCC_CONFIG=uk.toml uk-gcc -O2 main.c own.c -o image",
    "pack": "gcc -O2 main.c own.c -o plain && ukcc pack plain -o image -f tree:/etc/tree",
    "pack, distribution's": "ukcc pack /bin/bash -o image -f one:/srv/one --config uk.toml",
}  # fmt: skip


class Place(NamedTuple):
    """Where and as what a build goes on."""

    directory: Path
    umask: str
    environ: "dict[str, str]"
    prefix: "tuple[str, ...]" = ()


def _may_be_another_user() -> bool:
    try:
        return subprocess.run([*AS_ANOTHER, "true"], capture_output=True).returncode == 0
    except OSError:
        return False


# Who builds is then user 4321 to himself, and so are the files that are his.
AS_ANOTHER = ("unshare", "--user", "--map-user=4321", "--map-group=8765")


@pytest.fixture(scope="module")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_clock(tmp_path_factory.mktemp("clock"))


@pytest.fixture
def places(tmp_path: Path, clock: Path) -> "tuple[Place, Place]":
    """Two that differ in all that must not matter."""
    here, there = tmp_path / "here", tmp_path / "there, by a link"
    there_really = tmp_path / "another" / "much longer" / "there"
    there_really.mkdir(parents=True)
    there.symlink_to(there_really)
    sysroot = paths.current_sysroot()
    assert sysroot, "there is no sysroot to link against: run `make setup`"
    moved = tmp_path / "store" / "sysroots" / Path(sysroot).resolve().name
    moved.parent.mkdir(parents=True)
    shutil.copytree(sysroot, moved, symlinks=True, copy_function=_link)
    for directory, names, age in ((here, list(SOURCES), 0), (there, [*SOURCES][::-1], 10**8)):
        _write_sources(directory, names, age)
    return (
        Place(here, "022", {"UKCC_SYSROOT": sysroot}),
        Place(
            there,
            "077",
            {
                "UKCC_SYSROOT": str(moved),
                "UKCC_HOME": str(tmp_path / "store"),
                "HOME": str(there),
                "TMPDIR": str(there),
                "USER": "somebody",
                "LC_ALL": "C.UTF-8",
                "TZ": "Asia/Tokyo",
                "PYTHONHASHSEED": "7",
                "LD_PRELOAD": str(clock),
                "CLOCK": "400000000",
            },
            AS_ANOTHER if _may_be_another_user() else (),
        ),
    )


def _link(original: str, copy: str) -> None:
    try:
        os.link(original, copy)
    except OSError:
        shutil.copy2(original, copy)


def _write_sources(directory: Path, names: "list[str]", age: int) -> None:
    """In this order, which a directory's listing may show, and so many seconds old."""
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(SOURCES[name])
        path.chmod(0o644)
        os.utime(path, (path.stat().st_mtime - age,) * 2)
    for path in (directory / "tree", directory / "tree" / "sub"):
        path.chmod(0o755)


def build(place: Place, line: str) -> bytes:
    """The image that the line makes there."""
    # `cd`, so that a shell knows the directory by the name that it has here
    shell = f"cd '{place.directory}'; umask {place.umask}; MAP=-ffile-prefix-map=$PWD=.; {line}"
    kept = {k: v for k, v in os.environ.items() if k not in ("LC_ALL", "LANG", "UKCC_CONFIG")}
    unset = {"LC_ALL": "C", "UKCC_PLAIN": "", "UKCC_IMAGE": "", "PYTHONHASHSEED": "1"}
    done = subprocess.run(
        [*place.prefix, "bash", "-ec", shell.replace("$MAP", '"$MAP"')],
        cwd=place.directory,
        env={**kept, **unset, "PATH": f"{BIN}:{os.environ['PATH']}", **place.environ},
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    return (place.directory / "image").read_bytes()


def same(one: bytes, other: bytes) -> bool:
    """Whether they are; if not, says where not, since pytest would compare them at length."""
    if one == other:
        return True
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), -1)
    around = slice(max(at - 60, 0), at + 60)
    print(f"{len(one)} and {len(other)} bytes, at {at:#x}:\n{one[around]!r}\n{other[around]!r}")
    return False


@pytest.mark.parametrize("name", BUILDS)
def test_same_bytes(places: "tuple[Place, Place]", name: str) -> None:
    here, there = (build(place, BUILDS[name]) for place in places)
    assert same(here, there)
    for place in (places[1].directory, places[1].directory.resolve()):
        assert str(place).encode() not in there


def test_same_bytes_beside_each_other(places: "tuple[Place, Place]") -> None:
    """Links at the same time in one directory, as make -j has them, of one name after the other."""
    here, _ = places
    line = BUILDS["settings and files"]
    build(here, "mkdir 9; " + line.replace("-o image", "-o 9/image") + "; cp 9/image .")
    alone = (here.directory / "image").read_bytes()
    links = (line.replace("-o image", f"-o {number}/image") for number in range(4))
    build(here, "mkdir 0 1 2 3; " + "".join(f"{link} & " for link in links) + "wait; cp 0/image .")
    images = [(here.directory / str(n) / "image").read_bytes() for n in range(4)]
    for number, image in enumerate(images):
        # the output's path is one of the command's words
        assert same(alone, image.replace(b'"%d/image"' % number, b'"9/image"'))


def test_same_init(places: "tuple[Place, Place]") -> None:
    """PID 1, as ukcc/sysroot/build.py has it compiled."""
    sources = Path(paths.data_dir("sysroot")) / "init"
    made = []
    for place in places:
        copy = place.directory / "init of a sysroot"
        shutil.copytree(sources, copy)
        names = " ".join(sorted(path.name for path in copy.glob("*.c")))
        line = f"cd 'init of a sysroot'; uk-gcc -Os -static -s -o ../image {names}"
        plain = place._replace(environ={**place.environ, "UKCC_PLAIN": "1"})
        made.append(build(plain, line))
    assert same(*made)


def test_kernel_and_libc_name_no_place() -> None:
    """What is built once for all images has neither the store's path in it nor the build's."""
    sysroot = Path(paths.current_sysroot() or "").resolve()
    store = str(sysroot.parent.parent).encode()
    for name in ("kernel/vmlinux", "kernel/kernel.bin", "boot/init", "usr/lib/libc.a"):
        data = (sysroot / name).read_bytes()
        assert store not in data, name
        assert len(data) > 1 << 14
