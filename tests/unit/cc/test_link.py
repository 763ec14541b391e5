"""The link step around a pretended compiler and packer: what is left, and which status."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from support.image_samples import make_shims

ROOT = Path(__file__).resolve().parents[3]

# Stands for uk-gcc: the real driver, with a packer that does what PACK says.
DRIVER = """
import errno, os, sys, types
from ukcc.errors import UkccError
def pack_program(linked, output, *, sysroot, name, **_):
    with open("packed", "a") as file:
        file.write(name + " " + sysroot + "\\n")
    behaviour = os.environ.get("PACK", "ok")
    if behaviour == "error":
        raise UkccError("no room", "make room")
    if behaviour == "full":
        raise OSError(errno.ENOSPC, "No space left on device")
    with open(output + ".new", "w") as file:
        file.write("image of " + open(linked).read())
    os.rename(output + ".new", output)
    return ()
module = types.ModuleType("ukcc.image.pack")
module.pack_program = pack_program
sys.modules["ukcc.image.pack"] = module
sys.argv = ["uk-gcc", *sys.argv[1:]]
from ukcc.cc.driver import main
sys.exit(main())
"""

GCC = """#!/bin/sh
echo "gcc says" >&2
while [ $# -gt 0 ]; do [ "$1" = -o ] && output=$2; shift; done
case $GCC in
fails) exit 3 ;;
silent) exit 0 ;;
slow) echo half >"$output"; echo started >started; exec sleep 60 ;;
crashes) echo half >"$output"; kill -SEGV $$ ;;
*) echo program >"${output:-a.out}" ;;
esac
"""


def hear_signals():
    """What nohup and a shell's background jobs have ignored would be inherited."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)


@pytest.fixture
def start(tmp_path):
    """Starts the driver in `tmp_path` with a compiler that behaves as told."""
    compiler = tmp_path / "gcc"
    compiler.write_text(GCC)
    compiler.chmod(0o755)

    def starter(*words, **environ):
        return subprocess.Popen(
            [sys.executable, "-c", DRIVER, *words],
            cwd=tmp_path,
            env={
                "PATH": "/usr/bin:/bin",
                "PYTHONPATH": str(ROOT),
                "UKCC_CC": str(compiler),
                "UKCC_SYSROOT": str(make_shims(tmp_path / "root-of-it")),
                **environ,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=hear_signals,
        )

    return starter


@pytest.fixture
def drive(start):
    def driver(*words, **environ):
        process = start(*words, **environ)
        out, err = process.communicate(timeout=60)
        return process.returncode, out, err

    return driver


def test_the_image_takes_the_programs_place(drive, tmp_path):
    assert drive("a.c", "-o", "x") == (0, "", "gcc says\n")
    assert (tmp_path / "x").read_text() == "image of program\n"
    assert (tmp_path / "packed").read_text() == f"x {tmp_path}/root-of-it\n"


def test_without_o_it_is_a_out(drive, tmp_path):
    assert drive("a.c")[0] == 0
    assert (tmp_path / "a.out").read_text() == "image of program\n"


def test_a_failed_link_passes_its_status(drive, tmp_path):
    assert drive("a.c", "-o", "x", GCC="fails") == (3, "", "gcc says\n")
    assert not (tmp_path / "packed").exists()


def test_a_link_that_makes_nothing_packs_nothing(drive, tmp_path):
    (tmp_path / "a.out").write_text("old")
    assert drive("-Wl,--version", GCC="silent")[0] == 0
    assert (tmp_path / "a.out").read_text() == "old"
    assert not (tmp_path / "packed").exists()


def test_a_device_is_no_program(drive, tmp_path):
    assert drive("a.c", "-o", "/dev/null")[0] == 0
    assert not (tmp_path / "packed").exists()


@pytest.mark.parametrize(
    ("behaviour", "line"),
    [
        ("error", "uk-gcc: error: no room; make room"),
        ("full", "uk-gcc: error: cannot write 'x': No space left on device"),
    ],
)
def test_a_failed_packing_is_one_line_and_leaves_nothing(drive, tmp_path, behaviour, line):
    assert drive("a.c", "-o", "x", PACK=behaviour) == (1, "", f"gcc says\n{line}\n")
    assert not (tmp_path / "x").exists()


def test_a_compiler_that_crashes_leaves_nothing(drive, tmp_path):
    assert drive("a.c", "-o", "x", GCC="crashes")[0] == -signal.SIGSEGV
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_the_middle_leaves_nothing(start, tmp_path, number):
    process = start("a.c", "-o", "x", GCC="slow")
    began = time.monotonic()
    while not (tmp_path / "started").exists():
        assert time.monotonic() - began < 30
        time.sleep(0.01)
    process.send_signal(number)
    process.wait(timeout=30)
    assert process.returncode == -number
    assert time.monotonic() - began < 30
    assert not (tmp_path / "x").exists()


def test_plain_packs_nothing(drive, tmp_path):
    assert drive("a.c", "-o", "x", UKCC_PLAIN="1")[0] == 0
    assert (tmp_path / "x").read_text() == "program\n"
