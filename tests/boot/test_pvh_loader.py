"""The packer alone, with the host's compiler and libc and a kernel of thirty instructions: every
image must run on Linux and boot in QEMU, and still do both after what builds do to their outputs.
"""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from ukcc import paths
from ukcc.image.closure import find_closure
from ukcc.image.headers import EHDR_SIZE, read_headers
from ukcc.image.kernelbin import split_kernel
from ukcc.image.pack import pack_image

TOOLS = ("gcc", "g++", "ld", "strip", "objcopy", "install", "qemu-system-x86_64")
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason=f"needs {', '.join(TOOLS)}"
)

DEADLINE = 60  # seconds; a boot takes one
FIXED = ["-static", "-no-pie", "-Wl,-Ttext-segment=0x10000000"]

# What a program sees of its own headers in memory, by AT_PHDR and by the C library.
HEADERS_C = r"""
#define _GNU_SOURCE
#include <link.h>
#include <stdio.h>
#include <sys/auxv.h>

#ifdef BIG
static char array[1ul << 30];
#endif
static __thread int tls = 7;

static int count(struct dl_phdr_info *info, size_t size, void *loads)
{
    for (int i = 0; i < info->dlpi_phnum; i++)
        *(int *)loads += info->dlpi_phdr[i].p_type == PT_LOAD;
    return 1; /* the program itself comes first */
}

int main(int argc, char **argv)
{
    const ElfW(Phdr) *phdr = (void *)getauxval(AT_PHDR);
    int own = 0, seen = 0;
    for (unsigned long i = 0; i < getauxval(AT_PHNUM); i++)
        own += phdr[i].p_type == PT_LOAD;
    dl_iterate_phdr(count, &seen);
#ifdef BIG
    for (unsigned long i = 0; i < sizeof array; i += 1 << 20)
        if (array[i])
            return 1;
    array[sizeof array - 1] = 1;
#endif
    printf("%s %d %d\n", argv[1], own > 6 && own == seen, tls);
    return 42;
}
"""

THROW_CC = r"""
#include <exception>
#include <iostream>
#include <stdexcept>
#include <thread>

int main()
{
    std::exception_ptr caught;
    std::thread thread([&] {
        try { throw std::runtime_error("thrown"); } catch (...) { caught = std::current_exception(); }
    });
    thread.join();
    try { std::rethrow_exception(caught); } catch (std::exception &e) { std::cout << e.what() << "\n"; }
    return 42;
}
"""  # noqa: E501

# ROOM is the object that uk-gcc has in its links; what was linked elsewhere has none.
ROOM = "room.o"
PROGRAMS = {
    "static": ("c", ["-g", ROOM, *FIXED]),
    "static, 1 GiB array": ("c", ["-g", ROOM, "-DBIG", *FIXED]),
    "static PIE": ("c", ["-g", ROOM, "-static-pie"]),
    "dynamic": ("c", ["-g", ROOM, "-pie"]),
    "dynamic, not PIE": ("c", ["-g", ROOM, "-no-pie"]),
    "C++": ("cc", ["-g", ROOM, *FIXED]),
    "static, linked elsewhere": ("c", ["-g", *FIXED]),
    "static, 1 GiB array, linked elsewhere": ("c", ["-g", "-DBIG", *FIXED]),
    "static PIE, linked elsewhere": ("c", ["-g", "-static-pie"]),
    "dynamic, linked elsewhere": ("c", ["-g", "-pie"]),
}

# What builds do to a program before it is installed: IMAGE and OUT are put in.
TREATMENTS = {
    "nothing": ["cp", "IMAGE", "OUT"],
    "strip": ["strip", "-o", "OUT", "IMAGE"],
    "strip -g": ["strip", "-g", "-o", "OUT", "IMAGE"],
    "strip, as Debian does": [
        "strip",
        "--remove-section=.comment",
        "--remove-section=.note",
        "-o",
        "OUT",
        "IMAGE",
    ],
    "install -s": ["install", "-s", "IMAGE", "OUT"],
    "objcopy": ["objcopy", "IMAGE", "OUT"],
    "objcopy -N": ["objcopy", "--strip-symbol=main", "IMAGE", "OUT"],
    "objcopy --add-section": ["objcopy", "--add-section", ".mine=/etc/passwd", "IMAGE", "OUT"],
    "objcopy --compress-debug-sections": ["objcopy", "--compress-debug-sections", "IMAGE", "OUT"],
}

# These write anew what they do not know: only a table in its usual place survives it.
THOROUGH = {
    "eu-strip": ["eu-strip", "-o", "OUT", "IMAGE"],
    "eu-elfcompress": ["eu-elfcompress", "-o", "OUT", "IMAGE"],
}  # fmt: skip


def run(argv: "list[str | Path]") -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        list(map(str, argv)), capture_output=True, text=True, timeout=DEADLINE, check=False
    )


def must(*argv: "str | Path") -> None:
    done = run(list(argv))
    assert done.returncode == 0, f"{argv}: {done.stderr}"
    assert done.stderr == "", f"{argv} complained: {done.stderr}"


@pytest.fixture(scope="module")
def sysroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    where = tmp_path_factory.mktemp("sysroot")
    source = Path(__file__).with_name("pvh_kernel.S")
    must("gcc", "-c", source, "-o", where / "kernel.o")
    must("ld", "-z", "noexecstack", "-Ttext-segment=0x1000000", where / "kernel.o",
         "-o", where / "vmlinux")  # fmt: skip
    for directory in ("kernel", "boot"):
        (where / directory).mkdir()
    (where / "config").write_text("")
    must("as", Path(paths.data_dir("sysroot")) / "link" / "room.s", "-o", where / "room.o")
    (where / "boot" / "init").write_bytes(b"init")
    (where / "sysroot.json").write_text(json.dumps({"id": "t", "inputs": {}, "versions": {}}))
    split_kernel(where / "vmlinux", where / "kernel", config=where / "config", source_version="0.0")
    return where


@pytest.fixture(scope="module", params=PROGRAMS)
def image(
    request: pytest.FixtureRequest, sysroot: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    where = tmp_path_factory.mktemp("program")
    suffix, words = PROGRAMS[request.param]
    flags = [str(sysroot / ROOM) if word == ROOM else word for word in words]
    source = where / f"source.{suffix}"
    source.write_text(HEADERS_C if suffix == "c" else THROW_CC)
    compiler = "gcc" if suffix == "c" else "g++"
    must(compiler, "-O2", source, "-o", where / "linked", *flags)
    pack_image(
        str(where / "linked"),
        str(where / "image"),
        sysroot=str(sysroot),
        link_command=[compiler],
        name="program",
        files=find_closure(str(where / "linked"), str(paths.current_sysroot()), (), {}).entries(),
    )
    return where / "image"


def check_process(path: Path) -> None:
    done = run([path, "hello"])
    assert done.returncode == 42, done
    assert done.stdout in ("hello 1 7\n", "thrown\n")


def check_boot(path: Path) -> None:
    argv = [
        "qemu-system-x86_64", "-accel", "tcg", "-m", "64", "-display", "none", "-nodefaults",
        "-no-reboot", "-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=4",
        "-kernel", path,
    ]  # fmt: skip
    done = run(argv)
    assert "OK 070701" in done.stdout, done
    assert done.returncode == 0x10 << 1 | 1


@pytest.mark.parametrize("treatment", TREATMENTS)
def test_runs_and_boots_after(image: Path, treatment: str, tmp_path: Path) -> None:
    words = {"IMAGE": str(image), "OUT": str(tmp_path / "out")}
    must(*(words.get(word, word) for word in TREATMENTS[treatment]))
    check_process(tmp_path / "out")
    check_boot(tmp_path / "out")


@pytest.mark.parametrize("tool", THOROUGH)
def test_runs_and_boots_after_elfutils(image: Path, tool: str, tmp_path: Path) -> None:
    argv = [
        {"IMAGE": str(image), "OUT": str(tmp_path / "out")}.get(word, word)
        for word in THOROUGH[tool]
    ]
    if not shutil.which(argv[0]):
        pytest.skip(f"needs {argv[0]}")
    with image.open("rb") as file:
        headers = read_headers(file.fileno(), image.stat().st_size, str(image))
    if headers.ehdr.phoff != EHDR_SIZE:
        return  # docs/image.md: these destroy an image of a program that was linked elsewhere
    assert run(argv).returncode == 0
    check_process(tmp_path / "out")
    check_boot(tmp_path / "out")


def test_tools_read_it_without_a_warning(image: Path) -> None:
    for argv in (["readelf", "-lSnW", image], ["size", image], ["nm", "-C", image]):
        done = run(argv)
        assert (done.returncode, done.stderr) == (0, "")
    assert " T main" in run(["nm", image]).stdout


def test_debug_information_can_be_split_off(image: Path, tmp_path: Path) -> None:
    """As dh_strip does it; objcopy says that it moves the notes (docs/image.md)."""
    debug, out = tmp_path / "debug", tmp_path / "out"
    assert run(["objcopy", "--only-keep-debug", image, debug]).returncode == 0
    must("strip", "-g", "-o", out, image)
    assert run(["objcopy", f"--add-gnu-debuglink={debug}", out]).returncode == 0
    check_process(out)
    check_boot(out)
    assert b"main" in debug.read_bytes()
    assert debug.stat().st_size < image.stat().st_size // 2
