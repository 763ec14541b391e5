"""The devices' state goes to QEMU and comes from it by pipes."""

import contextlib
import os
import stat
from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.snapshots.pipes import StateFeed, keep_state

STATE = os.urandom(400_000)  # more than a pipe holds


def write_all(fd: int, data: bytes) -> None:
    with os.fdopen(os.dup(fd), "wb") as pipe:
        pipe.write(data)


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_what_qemu_saves_is_kept(tmp_path: Path) -> None:
    with keep_state(tmp_path / "state") as fd:
        # QEMU 11 takes no regular file by `fd:`
        assert stat.S_ISFIFO(os.fstat(fd).st_mode)
        write_all(fd, STATE)
    assert (tmp_path / "state").read_bytes() == STATE


def test_what_is_broken_off_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), keep_state(tmp_path / "state") as fd:
        write_all(fd, b"some")
        raise ZeroDivisionError


def test_a_full_disk_is_named() -> None:
    """/dev/full: each write there fails with ENOSPC."""
    with (
        pytest.raises(MachineError, match=r"^full: No space left on device$"),
        keep_state(Path("/dev/full")) as fd,
    ):
        write_all(fd, STATE)


def test_qemu_reads_the_whole_state(tmp_path: Path) -> None:
    (tmp_path / "state").write_bytes(STATE)
    before = open_files()
    with contextlib.ExitStack() as stack:
        state = StateFeed(stack, tmp_path / "state")
        assert stat.S_ISFIFO(os.fstat(state.fd).st_mode)
        with os.fdopen(os.dup(state.fd), "rb") as qemu:
            state.start()
            assert qemu.read() == STATE
        state._thread.join()
    with contextlib.ExitStack() as stack:
        StateFeed(stack, tmp_path / "state")
    assert open_files() == before
