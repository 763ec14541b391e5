"""A directory that host and guest have both, by either way; what one does the other sees."""

import os
import subprocess
from pathlib import Path

import pytest
from conftest import DEADLINE, FACTOR, Build, run_argv

HERE = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def program(build_image: Build) -> Path:
    return build_image((HERE / "share.c").read_text(), name="share")


@pytest.mark.parametrize("way", ["9p"])
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
