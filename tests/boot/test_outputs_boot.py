"""A few of the outputs of tests/build booted: one for each way of rewriting, one instrumented."""

import subprocess
from pathlib import Path

import pytest

# What is read shows that the machine has the program as it was linked: its data, and its BSS.
SOURCE = r"""
#include <stdio.h>
static char big[1 << 21];
static const char *names[] = {"zero", "one", "two"};
__thread int tls = 42;

int main(int argc, char **argv)
{
    for (unsigned long i = 0; i < sizeof big; i += 4096)
        if (big[i])
            return 1;
    printf("%s %s\n", names[argc], argv[1]);
    return tls;
}
"""

# Every line begins with IMAGE and ends with `out`; more than one treatment where they add up.
TREATMENTS = {
    "static, stripped, compressed": (
        ["-static"],
        "objcopy --only-keep-debug IMAGE out.debug 2>/dev/null; strip -g -o out IMAGE;"
        " objcopy --add-gnu-debuglink=out.debug out; objcopy --compress-debug-sections out",
    ),
    "static, stripped twice, sparse": (
        ["-static"],
        "strip --strip-unneeded -o half IMAGE; install -s half out;"
        " tar cSf t.tar out; rm out; tar xSf t.tar",
    ),
    "static PIE, rewritten": (["-fPIE", "-static-pie"], "objcopy -N main IMAGE half; strip half;"
                              " cp --sparse=always half out"),
}  # fmt: skip


@pytest.mark.parametrize(("flags", "line"), TREATMENTS.values(), ids=TREATMENTS)
def test_boots_after(build_image, boot, tmp_path: Path, flags: "list[str]", line: str) -> None:
    image = build_image(SOURCE, *flags)
    line = line.replace("IMAGE", str(image))
    done = subprocess.run(["bash", "-ec", line], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "out").read_bytes() != image.read_bytes()
    status, stdout, _ = boot(tmp_path / "out", "word")
    assert (status, stdout) == (42, b"two word\n")


def test_undefined_behaviour_is_reported(build_image, boot) -> None:
    source = "int main(int c, char **v) { return (0x7fffffff + c) != 42 ? 42 : 1; }\n"
    image = build_image(source, "-fsanitize=undefined", name="undefined")
    status, _, stderr = boot(image, "x")
    assert status == 42
    assert b"undefined.c:1:48: runtime error: signed integer overflow" in stderr
