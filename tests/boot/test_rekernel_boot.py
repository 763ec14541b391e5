"""An image that other tools have rewritten gets its kernel anew, and boots."""

import subprocess
from pathlib import Path

import pytest
from support.boots import Boot, Build

from ukcc import paths
from ukcc.image.rekernel import replace_kernel

# What is read shows that the machine has the program: its data, its BSS, and its own file.
SOURCE = r"""
#include <stdio.h>
#include <string.h>
static char big[1 << 21];
static const char *names[] = {"zero", "one", "two"};
__thread int tls = 42;

int main(int argc, char **argv)
{
    FILE *f = fopen("/proc/self/exe", "rb");
    char end[9] = "";

    for (unsigned long i = 0; i < sizeof big; i += 4096)
        if (big[i])
            return 1;
    if (!f || fseek(f, -8, SEEK_END) || fread(end, 1, 8, f) != 8)
        return 2;
    printf("%s %s %s\n", names[argc], argv[1], end);
    return tls;
}
"""

KINDS = {"static": [], "static PIE": ["-fPIE", "-static-pie"]}


@pytest.mark.parametrize("flags", KINDS.values(), ids=KINDS)
def test_a_stripped_image_with_its_kernel_replaced_boots(
    build_image: Build, boot: Boot, tmp_path: Path, flags: "list[str]"
) -> None:
    image, out = build_image(SOURCE, *flags), tmp_path / "out"
    subprocess.run(["strip", "-o", out, image], check=True)
    with out.open("ab") as file:
        file.write(b"appended")
    sysroot = paths.current_sysroot()
    assert sysroot is not None
    replace_kernel(str(out), str(out), str(Path(sysroot) / "kernel"))
    status, stdout, _ = boot(out, "word")
    assert (status, stdout) == (42, b"two word appended\n")
