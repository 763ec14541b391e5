"""A directory that host and guest have both, by either way; what one does the other sees."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from conftest import DEADLINE, FACTOR, Build, needs_mounts, run_argv

from ukcc import paths

HERE = Path(__file__).parent / "programs"


def _kernel_has_virtiofs() -> bool:
    sysroot = paths.current_sysroot()
    config = Path(sysroot or "", "kernel", "config")
    return config.is_file() and "\nCONFIG_VIRTIO_FS=y\n" in config.read_text()


needs_virtiofs = pytest.mark.skipif(not _kernel_has_virtiofs(), reason="a kernel without virtio-fs")


@pytest.fixture(scope="session")
def program(build_image: Build) -> Path:
    return build_image((HERE / "share.c").read_text(), name="share")


@pytest.mark.parametrize(
    "way", ["9p", pytest.param("virtiofs", marks=[needs_virtiofs, needs_mounts])]
)
def test_two_sides(program: Path, tmp_path: Path, way: str) -> None:
    both = tmp_path / "both"

    def first() -> None:
        assert both.read_bytes() == b"guest\n"
        both.write_bytes(b"host was here\n")

    def second() -> None:
        assert both.read_bytes() == b"Host was here\nEnd\n"
        with both.open("ab") as file:
            file.write(b"more\n")

    def third() -> None:
        assert both.read_bytes() == b"Host"
        (tmp_path / "other").write_bytes(b"another\n")
        (tmp_path / "other").rename(both)
        (tmp_path / "new").touch()

    limit = ["--timeout", str(DEADLINE * FACTOR)]
    argv = run_argv(program, ["/data"], [*limit, "--share-by", way, "-v", f"{tmp_path}:/data"])
    machine = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert machine.stdin is not None and machine.stdout is not None
    try:
        for answer in (first, second, third):
            assert machine.stdout.readline() == b"turn\n"
            answer()
            machine.stdin.write(b"\n")
            machine.stdin.flush()
        assert machine.stdout.read() == b"right\n"
        assert machine.wait() == 0
    finally:
        machine.terminate()
        machine.communicate()
    assert os.getxattr(tmp_path / "file", "user.name") == b"value"
    assert (tmp_path / "huge").stat().st_size == (1 << 32) + 9
    assert (tmp_path / "outside").readlink() == Path("/proc/self/comm")
    assert len(list((tmp_path / "many").iterdir())) == 300
    assert both.stat().st_uid == os.geteuid()


WAITER = r"""
#include <stdio.h>
#include <unistd.h>

int main(void)
{
	puts("ready");
	fflush(stdout);
	for (;;)
		access("/data/file", F_OK);
}
"""


@needs_virtiofs
@needs_mounts
def test_a_daemon_that_dies(build_image: Build, tmp_path: Path) -> None:
    """The guest could only wait for it."""
    options = ["--share-by", "virtiofs", "-v", f"{tmp_path}:/data"]
    argv = run_argv(build_image(WAITER, name="waiter"), [], options)
    machine = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert machine.stdout is not None and machine.stdout.readline() == b"ready\n"
        os.kill(max(_daemons_of(tmp_path)), signal.SIGKILL)
        _, stderr = machine.communicate(timeout=DEADLINE * FACTOR)
    finally:
        machine.kill()
        machine.communicate()
    assert machine.returncode == 125 and stderr.count(b"\n") == 1
    assert b"/data: virtiofsd ended" in stderr
    assert not _daemons_of(tmp_path)


SERVER = """
import os, sys
from ukcc.vm.machine import Share
from ukcc.vm.virtiofs import served
import plumbum  # the other user may not be able to read where it is
os.setresgid(*[int(sys.argv[2])] * 3)
os.setresuid(*[int(sys.argv[2])] * 3)
with served([Share(sys.argv[1], "/data")], "virtiofs") as serving:
    print("serving", serving.shares[0].by, flush=True)
    sys.stdin.read()
"""


@needs_mounts
@pytest.mark.parametrize("user", [os.geteuid(), 1234])
def test_no_daemon_is_left(user: int) -> None:
    """Neither after an end in order nor after a SIGKILL; it serves without root's rights too."""
    share = Path(tempfile.mkdtemp(prefix="ukcc-share-"))
    try:
        share.chmod(0o777)
        for kill in (False, True):
            argv = [sys.executable, "-c", SERVER, str(share), str(user)]
            server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert server.stdout is not None and server.stdout.readline() == b"serving virtiofs\n"
            assert _daemons_of(share)
            if kill:
                server.kill()
            server.communicate()
            assert server.returncode == (-signal.SIGKILL if kill else 0)
            end = time.monotonic() + 10 * FACTOR
            while _daemons_of(share):
                assert time.monotonic() < end
                time.sleep(0.05)
    finally:
        share.rmdir()


def _daemons_of(share: Path) -> list[int]:
    """Processes that were told of that directory as a source."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError):
                if f"source={share},".encode() in (entry / "cmdline").read_bytes():
                    found.append(int(entry.name))
    return found
