"""Images in which the program's bytes lie once boot, and the machine has the whole program."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Boot, Build
from support.once_program import SOURCE, says, total

from ukcc.image.archive_file import open_archive
from ukcc.image.facts import read_facts
from ukcc.image.headers import open_headers, reader
from ukcc.image.program_file import machine_copy
from ukcc.vm.hypervisor.board import Q35_WORDS

MIB = 1 << 20
# Nothing is measured, for an emulated microvm has nothing to measure by.
WORDS = (
    "console=ttyS0 loglevel=1 panic=-1 reboot=t no_timer_check"
    " tsc_early_khz=1000000 lapic_khz=1000000"
)
KINDS = {
    "static": ["-static"],
    "static PIE": ["-fPIE", "-static-pie"],
    "dynamic PIE": ["-fPIE", "-pie", "-DPLUGINS", "-rdynamic"],
    "lld": ["-static", "-fuse-ld=lld"],
    "1 GiB BSS": ["-static", "-DBIG"],
}

# Reads its constants page by page, as a program with large tables does.
READER = r"""
#include <stdint.h>
#include <stdio.h>

extern const uint8_t large[], large_end[];
asm(".section .rodata\n.balign 4096\n.globl large, large_end\nlarge:\n.incbin \"" LARGE "\"\n"
    "large_end:\n.text\n");

int main(void)
{
	uint64_t sum = 0;

	for (const uint8_t *at = large; at < large_end; at += 4096)
		sum = sum * 3 + *at;
	printf("%zu %lu\n", (size_t)(large_end - large), sum);
	return 42;
}
"""


def guest_copy(image: Path) -> bytes:
    """The program as the machine has it, and that it is shared."""
    fd, headers = open_headers(str(image))
    try:
        archive = open_archive(reader(fd), headers, str(image))
        assert any(extent.is_shared for extent in archive.extents)
        return next(archive.data(m) for m in archive.members() if m.path.startswith("app/"))
    finally:
        os.close(fd)


def as_sent(image: Path) -> bytes:
    """The file of a changed image, as `ukcc run` sends it: kernel and archive are holes."""
    fd, headers = open_headers(str(image))
    try:
        return machine_copy(fd, headers, sparse=False)
    finally:
        os.close(fd)


@pytest.mark.parametrize("flags", KINDS.values(), ids=KINDS)
def test_the_machine_has_the_whole_program(
    build_image: Build, boot: Boot, tmp_path: Path, flags: "list[str]"
) -> None:
    """Its own file is what the host says, byte by byte, and what is in its memory."""
    image = build_image(SOURCE, *flags, language="c++")
    status, stdout, _ = boot(image, "own")
    assert (status, stdout.decode()) == (42, total(guest_copy(image)) + says("own"))
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, image], check=True)
    status, stdout, _ = boot(stripped, "own")
    assert (status, stdout.decode()) == (42, total(as_sent(stripped)) + says("own"))


@pytest.mark.parametrize("machine", [Q35_WORDS, "microvm,rtc=on,isa-serial=on"])
def test_without_ukcc_run(build_image: Build, tmp_path: Path, machine: str) -> None:
    """By SeaBIOS, and by microvm's own firmware: the archive's copy boots, also after strip."""
    image = build_image(SOURCE, "-static", language="c++")
    stripped = tmp_path / "stripped"
    subprocess.run(["strip", "-o", stripped, image], check=True)
    wanted = (total(guest_copy(image)) + says("own")).encode()
    for one in (image, stripped):
        argv = ["qemu-system-x86_64", "-machine", machine, "-cpu", "max", "-m", "128", "-no-reboot"]
        argv += ["-nodefaults", "-display", "none", "-serial", "stdio", "-kernel", str(one)]
        argv += ["-append", f"{WORDS} -- own"]
        done = subprocess.run(
            argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=DEADLINE * FACTOR
        )
        assert wanted in done.stdout.replace(b"\r\n", b"\n"), done.stdout[-2000:]


def test_the_stated_memory_is_enough(tmp_path: Path, boot: Boot) -> None:
    """The whole program is in memory once, and a hypervisor loads it once."""
    size = 40 * MIB - 123
    content = os.urandom(size)
    (tmp_path / "large").write_bytes(content)
    (tmp_path / "p.c").write_text(READER)
    image = tmp_path / "p"
    argv = [BIN / "uk-gcc", "-O1", f'-DLARGE="{tmp_path / "large"}"', "p.c", "-o", "p"]
    subprocess.run(argv, cwd=tmp_path, check=True, timeout=DEADLINE * FACTOR)
    assert image.stat().st_size < size + 12 * MIB
    fd, headers = open_headers(str(image))
    os.close(fd)
    loaded = max(p.pend for p in headers.phdrs if p.type == 1 and p.pend < 1 << 40)
    assert loaded < size + 20 * MIB
    stated = read_facts(str(image)).memory_min_mib
    assert stated * MIB < size + 36 * MIB
    wanted = 0
    for byte in content[::4096]:
        wanted = (wanted * 3 + byte) & 0xFFFFFFFFFFFFFFFF
    status, stdout, _ = boot(image, options=["-m", str(stated)], timeout=2 * DEADLINE)
    assert (status, stdout.decode()) == (42, f"{size} {wanted}\n")


def test_patchelf(build_image: Build, boot: Boot, tmp_path: Path) -> None:
    if not shutil.which("patchelf"):
        pytest.skip("needs patchelf")
    image = build_image(SOURCE, *KINDS["dynamic PIE"], language="c++")
    patched = tmp_path / "patched"
    argv = ["patchelf", "--set-rpath", "/opt/lib", "--output", patched, image]
    subprocess.run(argv, check=True)
    status, stdout, _ = boot(patched, "own")
    assert (status, stdout.decode()) == (42, total(as_sent(patched)) + says("own"))
