"""`ukcc size` of real images: every byte is in one place, and the places are right."""

import json
import os
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ukcc.errors import UkccError
from ukcc.pictures.box import Box
from ukcc.pictures.kernel import find_vmlinux
from ukcc.pictures.size import file_tree

BIN = Path(sys.executable).parent

OWN = """
#include <stdio.h>
static char table[%d] = { 1 };
int own_function(int n) { return table[n] + n; }
"""
MAIN = """
#include <dlfcn.h>
#include <stdio.h>
int own_function(int n);
int main(int argc, char **argv)
{
#ifdef DYNAMIC
	dlopen(argv[0], RTLD_NOW);
#endif
	printf("%d %s\\n", own_function(argc), argv[0]);
	return 0;
}
"""


def link(directory: Path, name: str, size: int, *flags: str) -> Path:
    own, main, out = directory / "own.c", directory / "main.c", directory / name
    own.write_text(OWN % size)
    main.write_text(MAIN)
    argv = [BIN / "uk-gcc", "-O1", *flags, own, main, "-o", out]
    subprocess.run(argv, check=True, capture_output=True)
    return out


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    directory = tmp_path_factory.mktemp("size")
    return {
        "static": link(directory, "static", 1000),
        "larger": link(directory, "larger", 50_000),
        "pie": link(directory, "pie", 1000, "-static-pie", "-g"),
        "dynamic": link(directory, "dynamic", 1000, "-DDYNAMIC"),
        "stripped": link(directory, "stripped", 1000, "-s"),
    }


def ukcc(*words: "str | Path", status: int = 0) -> str:
    done = subprocess.run([BIN / "ukcc", *words], capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    return done.stdout if not status else done.stderr


def inner(tree: "Box | None", *path: str) -> Box:
    for name in path:
        assert tree is not None
        tree = tree.child(name)
    assert tree is not None, path
    return tree


@pytest.mark.parametrize("kind", ["static", "larger", "pie", "dynamic", "stripped"])
def test_the_boxes_are_the_files_bytes(images: dict[str, Path], kind: str) -> None:
    image = images[kind]
    tree = file_tree(image, find_vmlinux(image))
    assert tree.size == image.stat().st_size
    assert {"kernel", "archive", "application"} <= {box.name for box in tree.children}
    assert inner(tree, "archive", "(program)").size > 4096
    is_dynamic = any("/libc.so.6" in box.name for box in inner(tree, "archive").children)
    assert is_dynamic == (kind == "dynamic")


def test_symbols_are_where_they_come_from(images: dict[str, Path]) -> None:
    image = images["static"]
    tree = file_tree(image, find_vmlinux(image))
    assert inner(tree, "application", "own.c", "table").size == 1000
    assert inner(tree, "application", "libc.a", "vfprintf-internal.o").size > 1000
    assert inner(tree, "application", "libc.a", "malloc.o", "_int_malloc").size > 100
    kernel = inner(tree, "kernel")
    assert inner(kernel, "init", "initramfs.c", "unpack_to_rootfs").size > 100
    assert inner(kernel, "kernel", "fork.c", "copy_process").size > 1000
    known = sum(box.size for box in kernel.children if not box.name.startswith("("))
    assert known > 0.8 * kernel.size


def test_the_kernel_without_its_symbols_is_by_section(images: dict[str, Path]) -> None:
    tree = file_tree(images["static"], None)
    assert tree.size == images["static"].stat().st_size
    assert {"text", "rodata", "data"} <= {box.name for box in inner(tree, "kernel").children}


def test_a_vmlinux_of_another_kernel_is_refused(images: dict[str, Path], tmp_path: Path) -> None:
    vmlinux = find_vmlinux(images["static"])
    assert vmlinux is not None
    other = tmp_path / "vmlinux"
    data = bytearray(vmlinux.read_bytes())
    data[0x200000 + 4096] ^= 1  # in its text
    other.write_bytes(data)
    assert "not the kernel of" in ukcc("size", "--vmlinux", other, images["static"], status=1)
    ukcc("size", "--vmlinux", vmlinux, images["static"])


def total(box: dict[str, Any]) -> int:
    assert box["size"] >= sum(map(total, box.get("children", ())))
    return int(box["size"])


def test_the_table_and_json(images: dict[str, Path]) -> None:
    size = images["static"].stat().st_size
    lines = ukcc("size", images["static"], "--depth", "1").splitlines()
    assert lines[0] == f"static: {size:,} bytes"
    assert [line.split()[-1] for line in lines[1:4]] == ["kernel", "application", "archive"]
    assert total(json.loads(ukcc("size", "--json", images["static"]))) == size


def test_two_images_show_what_has_changed(images: dict[str, Path]) -> None:
    static, larger = images["static"], images["larger"]
    difference = larger.stat().st_size - static.stat().st_size
    lines = ukcc("size", "--depth", "3", static, larger).splitlines()
    assert lines[0] == f"static to larger: {difference:+,} bytes"
    assert any(line.endswith("+49,000  application > own.c > table") for line in lines)
    found = json.loads(ukcc("size", "--json", static, larger))
    assert found["after"] - found["before"] == difference
    assert sum(c["after"] - c["before"] for c in found["changes"] if len(c["path"]) == 1) == (
        difference
    )
    assert ukcc("size", static, static).splitlines()[1] == "no difference"


def test_a_thin_image_has_no_kernel_and_another_file_is_refused(tmp_path: Path) -> None:
    thin, plain = tmp_path / "thin", tmp_path / "plain"
    (tmp_path / "main.c").write_text("int main(void) { return 0; }")
    for out, variable in ((thin, {"UKCC_IMAGE": "thin"}), (plain, {"UKCC_PLAIN": "1"})):
        argv = [BIN / "uk-gcc", tmp_path / "main.c", "-o", out]
        subprocess.run(argv, check=True, env=os.environ | variable)
    lines = ukcc("size", "--depth", "1", thin).splitlines()
    assert lines[0] == f"thin: {thin.stat().st_size:,} bytes"
    assert "kernel" not in {line.split()[-1] for line in lines}
    assert "not an image" in ukcc("size", plain, status=1)
    assert "not an ELF file" in ukcc("size", tmp_path / "main.c", status=1)
    assert "No such file" in ukcc("size", tmp_path / "nothing", status=1)


def test_a_picture_is_written_whole(images: dict[str, Path], tmp_path: Path) -> None:
    pytest.importorskip("vl_convert")
    picture = tmp_path / "size.svg"
    assert ukcc("size", images["static"], "-o", picture) == ""
    text = picture.read_text()
    assert text.startswith("<svg") and text.rstrip().endswith("</svg>") and "libc.a" in text
    assert [path.name for path in tmp_path.iterdir()] == ["size.svg"]


def test_a_damaged_image_is_measured_or_refused(images: dict[str, Path], tmp_path: Path) -> None:
    """Bytes of headers, tables and the archive changed: one clear error, or a sum that is right."""
    whole = images["static"].read_bytes()
    choose = random.Random(1)
    image = tmp_path / "damaged"
    shutil.copy(images["static"], image)
    for _ in range(12):
        data = bytearray(whole[: choose.choice((len(whole), len(whole) - 1000, 70_000))])
        for _ in range(3):
            at = choose.choice((choose.randrange(0, 0x800), choose.randrange(len(data))))
            data[at : at + 8] = choose.randbytes(8)
        image.write_bytes(data)
        try:
            assert file_tree(image, None).size == len(data)
        except UkccError as error:
            assert error.line("ukcc").isprintable()
