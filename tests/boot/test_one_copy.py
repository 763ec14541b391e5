"""Files whose pages were the archive's are ordinary files, and the stated memory is enough."""

import hashlib
import os
import random
import re
import struct
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Boot, Build

from ukcc.image.archive_file import open_archive
from ukcc.image.facts import read_facts
from ukcc.image.headers import open_headers
from ukcc.vm.hypervisor.board import Q35_WORDS

PROGRAMS = Path(__file__).parent / "programs"
MIB = 1 << 20

# Sums up each file below argv[1]: how many, their bytes, and the sum of 64-bit words times place.
READER = r"""
#define _GNU_SOURCE
#include <ftw.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t words[8192], files, bytes, total;

static int add(const char *path, const struct stat *status, int kind, struct FTW *where)
{
	ssize_t n;
	int fd;

	if (kind != FTW_F)
		return 0;
	fd = open(path, O_RDONLY);
	files++;
	while ((n = read(fd, words, sizeof(words))) > 0) {
		bytes += n;
		while (n % 8)
			((char *)words)[n++] = 0;
		for (ssize_t i = 0; i < n / 8; i++)
			total = total * 3 + words[i];
	}
	return close(fd) || n;
}

int main(int argc, char **argv)
{
	if (nftw(argv[1], add, 16, FTW_PHYS))
		return 1;
	printf("%lu files, %lu bytes, %lu\n", files, bytes, total);
	return 42;
}
"""


@pytest.fixture(scope="module")
def reader(build_image: Build) -> Path:
    return build_image(READER, name="reader")


def packed(linked: Path, out: Path, files: Sequence[str], tmp_path: Path) -> Path:
    """An image of the program with further files, each HOST:GUEST."""
    program = tmp_path / "program"
    subprocess.run(["cp", str(linked), str(program)], check=True)
    argv = [str(BIN / "ukcc"), "pack", str(program), "-o", str(out)]
    done = subprocess.run([*argv, *(w for f in files for w in ("-f", f))], capture_output=True)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> "dict[str, Path]":
    """The programs as they are linked, without an image."""
    directory = tmp_path_factory.mktemp("plain")
    (directory / "reader.c").write_text(READER)
    found = {}
    for name, source in (("reader", directory / "reader.c"), ("own", PROGRAMS / "own_file.c")):
        found[name] = directory / name
        subprocess.run(
            [BIN / "uk-gcc", "-O1", "-I", PROGRAMS, source, "-o", found[name]],
            env={**os.environ, "UKCC_PLAIN": "1"},
            check=True,
        )
    return found


def content(size: int) -> bytes:
    """Bytes that no page has twice, quickly."""
    block = hashlib.shake_128(b"seed").digest(997)  # a prime, so that pages differ
    return (block * (size // len(block) + 1))[:size]


def total(data: bytes) -> int:
    """As the program's, of one file."""
    words = struct.unpack(f"<{-(-len(data) // 8)}Q", data + bytes(-len(data) % 8))
    found = 0
    for word in words:
        found = (found * 3 + word) & 0xFFFFFFFFFFFFFFFF
    return found


@pytest.mark.parametrize("disk", [False, True], ids=["", "swap"])
def test_what_is_done_to_files(
    plain: dict[str, Path], boot: Boot, tmp_path: Path, disk: bool
) -> None:
    (tmp_path / "data").write_bytes(content(8 * MIB - 1000))
    files = [f"{tmp_path / 'data'}:/data/big"]
    image = packed(plain["own"], tmp_path / "image", files, tmp_path)
    options = ["-m", "64"]
    if disk:
        (tmp_path / "disk").touch()
        os.truncate(tmp_path / "disk", 64 * MIB)
        subprocess.run(["/sbin/mkswap", "-q", tmp_path / "disk"], check=True, capture_output=True)
        options += ["--disk", str(tmp_path / "disk")]
    status, stdout, _ = boot(image, "/data/big", options=options)
    assert (status, stdout) == (42, b"all as with any file\n")


@pytest.mark.parametrize("megabytes", [1, 10, 100, 500])
def test_the_stated_memory_is_enough(
    plain: dict[str, Path], boot: Boot, tmp_path: Path, megabytes: int
) -> None:
    data = content(megabytes * 1_000_000)
    (tmp_path / "data").write_bytes(data)
    files = [f"{tmp_path / 'data'}:/data/file"]
    image = packed(plain["reader"], tmp_path / "image", files, tmp_path)
    stated = read_facts(str(image)).memory_min_mib
    assert stated * MIB <= 1.1 * (15 * MIB + len(data)) + 20 * MIB
    done = boot(image, "/data", options=["-m", str(stated)], timeout=DEADLINE + megabytes)
    wanted = f"1 files, {len(data)} bytes, "
    assert (done.status, done.stdout.decode()[: len(wanted)]) == (42, wanted)
    if megabytes <= 10:
        assert done.stdout.decode() == f"{wanted}{total(data)}\n"
    image.unlink()


@pytest.mark.parametrize(("count", "size"), [(6000, 100), (1500, 5000)])
def test_many_files_fit_into_the_stated_memory(
    plain: dict[str, Path], boot: Boot, tmp_path: Path, count: int, size: int
) -> None:
    """A page each, however short, and an inode."""
    for number in range(count):
        (tmp_path / "files" / f"{number // 100}").mkdir(parents=True, exist_ok=True)
        (tmp_path / "files" / f"{number // 100}" / f"{number}").write_bytes(bytes(size))
    files = [f"{tmp_path / 'files'}:/data"]
    image = packed(plain["reader"], tmp_path / "image", files, tmp_path)
    stated = read_facts(str(image)).memory_min_mib
    status, stdout, _ = boot(image, "/data", options=["-m", str(stated)])
    assert (status, stdout.decode()) == (42, f"{count} files, {count * size} bytes, 0\n")


@pytest.mark.parametrize("cpus", [1, 2, 4])
def test_the_stated_memory_is_enough_for_each_cpu(reader: Path, boot: Boot, cpus: int) -> None:
    words = ("--smp", str(cpus))
    asked = boot(reader, options=["-m", "8", *words])
    stated = re.search(rb"needs at least (\d+) MiB", asked.stderr)
    assert stated
    done = boot(reader, "/app", options=["-m", stated[1].decode(), *words])
    assert done.status == 42


def test_a_changed_image_fits_into_what_it_says(
    plain: dict[str, Path], boot: Boot, tmp_path: Path
) -> None:
    """Its file is sent along and put together in the machine, around a large hole: the archive."""
    (tmp_path / "data").write_bytes(content(60_000_000))
    files = [f"{tmp_path / 'data'}:/data/file"]
    image = packed(plain["reader"], tmp_path / "image", files, tmp_path)
    with image.open("ab") as file:
        file.write(content(50_000_000))
    asked = boot(image, options=["-m", "8"])
    stated = re.search(rb"needs at least (\d+) MiB", asked.stderr)
    assert stated
    done = boot(image, "/app", options=["-m", stated[1].decode()], timeout=2 * DEADLINE)
    wanted = f"1 files, {image.stat().st_size} bytes, "
    assert (done.status, done.stdout.decode()[: len(wanted)]) == (42, wanted)


def by_hand(image: Path, cpu: str, more: str = "") -> bytes:
    """What the console shows of a machine with that CPU; the kernel's command line has `more`."""
    argv: list[str | Path] = ["qemu-system-x86_64", "-machine", Q35_WORDS, "-cpu", cpu, "-m", "128"]
    argv += ["-nodefaults", "-no-reboot", "-display", "none", "-serial", "stdio", "-kernel", image]
    argv += ["-append", f"console=ttyS0 loglevel=1 panic=-1 {more}"]
    done = subprocess.run(
        argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE * FACTOR
    )
    return done.stdout


@pytest.mark.parametrize("cpu", ["max", "max,-pclmulqdq"])
def test_each_byte_of_the_archive_is_checked(
    plain: dict[str, Path], tmp_path: Path, cpu: str
) -> None:
    """By the CPU's multiplication and by tables, from the first byte to the last."""
    (tmp_path / "data").write_bytes(content(3_000_001))
    files = [f"{tmp_path / 'data'}:/data/file"]
    image = packed(plain["reader"], tmp_path / "image", files, tmp_path)
    assert b"1 files, 3000001 bytes, " in by_hand(image, cpu, "-- /data")
    descriptor, headers = open_headers(str(image))
    os.close(descriptor)
    intact = image.read_bytes()
    archive = open_archive(lambda at, size: intact[at : at + size], headers, str(image))
    last = archive.read(0, archive.size).rindex(b"TRAILER!!!") + 10
    shared = next(extent.start for extent in archive.extents if extent.is_shared)
    for place in (0, random.Random(cpu).randrange(last), shared, last):
        ((offset, _),) = archive.places(place, 1)
        changed = bytearray(intact)
        changed[offset] ^= 1
        image.write_bytes(changed)
        assert b"does not fit into this machine's memory" in by_hand(image, cpu, "-- /data"), place


def test_a_ramfs_takes_the_pages_as_well(plain: dict[str, Path], tmp_path: Path) -> None:
    (tmp_path / "data").write_bytes(content(3_000_001))
    files = [f"{tmp_path / 'data'}:/data/file"]
    image = packed(plain["reader"], tmp_path / "image", files, tmp_path)
    shown = by_hand(image, "max", "rootfstype=ramfs -- /data")
    assert f"1 files, 3000001 bytes, {total(content(3_000_001))}".encode() in shown
