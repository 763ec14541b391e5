"""How PID 1 puts a program's file together from its parts (sysroot/init/sparse.c)."""

import random
import subprocess
from pathlib import Path

import pytest
from support.init_driver import build_driver

# The arguments are those of spread_file().
DRIVER = r"""
#include "init.h"
#include <stdio.h>

void complain(const char *what, const char *which, int error)
{
	(void)what, (void)which, (void)error;
}

int main(int argc, char **argv)
{
	(void)argc;
	if (spread_file(argv + 1) == 0)
		return 0;
	perror("spread_file");
	return 1;
}
"""


# A file system without holes, as ramfs.
NO_HOLES = (
    DRIVER
    + r"""
#include <errno.h>
#include <fcntl.h>

int __wrap_fallocate(int fd, int mode, off_t offset, off_t len)
{
	(void)fd, (void)mode, (void)offset, (void)len;
	errno = EOPNOTSUPP;
	return -1;
}
"""
)

PARTS = ["sparse.c", "config.c"]


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_driver(tmp_path_factory.mktemp("init"), DRIVER, PARTS)


@pytest.fixture(scope="module")
def driver_without_holes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("init")
    return build_driver(directory, NO_HOLES, PARTS, "-Wl,--wrap=fallocate")


def spread(driver: Path, *words: "str | Path") -> "subprocess.CompletedProcess[str]":
    return subprocess.run([driver, *words], capture_output=True, text=True)


LAYOUTS = [
    (30, [(0, 10), (20, 10)]),
    (30, [(5, 10)]),
    (30, [(0, 30)]),
    (30, [(30, 0)]),
    (10_000_000, [(0, 300_000), (300_001, 200_000), (9_000_000, 999_999)]),
    (5_000_000, [(1, 4_000_000), (4_000_002, 65_537)]),
    (40_000_000, [(0, 4096), (39_995_904, 4096)]),
    (900_000, [(100_000, 200_000), (310_000, 90_000), (800_000, 7)]),
]


@pytest.mark.parametrize("has_holes", [True, False], ids=["holes", "no holes"])
@pytest.mark.parametrize(("size", "extents"), LAYOUTS)
def test_parts_go_to_their_offsets(
    driver: Path,
    driver_without_holes: Path,
    tmp_path: Path,
    size: int,
    extents: "list[tuple[int, int]]",
    has_holes: bool,
) -> None:
    """Whether they overlap their old place or not; what lies between is zero, and no blocks."""
    content = random.Random(size)
    wanted, packed = bytearray(size), b""
    for offset, length in extents:
        part = content.randbytes(length)
        wanted[offset : offset + length] = part
        packed += part
    file = tmp_path / "file"
    file.write_bytes(packed)
    program = driver if has_holes else driver_without_holes
    done = spread(program, file, str(size), *(f"{o} {n}" for o, n in extents))
    assert (done.returncode, done.stderr) == (0, "")
    assert file.read_bytes() == bytes(wanted)
    most = len(packed) * (1 if has_holes else 2) + 4 * 65536
    assert file.stat().st_blocks * 512 <= most


@pytest.mark.parametrize(
    "words",
    [
        ["10"],
        ["-1", "0 5"],
        ["x", "0 5"],
        ["10", "0"],
        ["10", "0 x"],
        ["10", "0 11"],
        ["10", "5 5", "0 5"],
        ["10", "0 6", "5 2"],
        ["10", "-1 5"],
        ["10", "0 -5"],
        ["10", "0 9223372036854775807"],
        ["10", "0 4", "5 2"],
    ],
)
def test_damaged_lists_change_nothing(driver: Path, tmp_path: Path, words: "list[str]") -> None:
    file = tmp_path / "file"
    file.write_bytes(b"12345")
    done = spread(driver, file, *words)
    assert (done.returncode, done.stderr) == (1, "spread_file: Invalid argument\n")
    assert file.read_bytes() == b"12345"


def test_no_file(driver: Path, tmp_path: Path) -> None:
    done = spread(driver, tmp_path / "none", "10", "0 5")
    assert done.stderr == "spread_file: No such file or directory\n"
