"""The operations of programs/file_operations.c in shares and on a disk, compared with the host's.

The same file runs as a process in a directory of the host, and in a machine in another one. What
may differ is in tests/support/file_differences.py, and has to.
"""

import os
import subprocess
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Boot, Build, needs_mounts
from support.file_differences import DIFFERENCES, DISK, NINE_P, VIRTIOFS

HERE = Path(__file__).parent / "programs"
DEVICE = "device_node"  # which an ordinary user cannot make on the host either


@pytest.fixture(scope="module")
def program(build_image: Build) -> Path:
    return build_image((HERE / "file_operations.c").read_text(), name="file_operations")


def results(output: bytes) -> dict[str, str]:
    """Operation -> what came of it. Says that all have run."""
    *lines, last = output.decode().splitlines()
    assert last == "all"
    return dict(line.split(": ", 1) for line in lines)


def expected(way: str, on_host: dict[str, str]) -> dict[str, str]:
    """What the machine shall say, from what the host's file system gives."""
    found = dict(on_host)
    for one in DIFFERENCES:
        if way in one.results and (os.geteuid() == 0 or not one.by_root):
            found[one.operation] = one.results[way]
    return found


@pytest.mark.parametrize("way", [NINE_P, pytest.param(VIRTIOFS, marks=needs_mounts), DISK])
def test_as_on_the_host(program: Path, boot: Boot, tmp_path: Path, way: str) -> None:
    host, shared = tmp_path / "host", tmp_path / "shared"
    host.mkdir()
    shared.mkdir()
    done = subprocess.run([program, host], capture_output=True, timeout=DEADLINE * FACTOR)
    on_host = results(done.stdout)
    options = ["--share-by", way, "-v", f"{shared}:/data"]
    if way == DISK:
        options = ["--disk", f"{tmp_path}/data.img:/data,create=64M"]
        # the guest's root makes it on his own ext4
        on_host[DEVICE] = "ok"
    status, stdout, stderr = boot(program, "/data", timeout=3 * DEADLINE, options=options)
    assert status == 0 and b"goes by 9p" not in stderr
    assert results(stdout) == expected(way, on_host)
