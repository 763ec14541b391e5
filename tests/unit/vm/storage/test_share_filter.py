"""What whoever serves a guest's files may not do, tried by a process with such a filter."""

import errno
import os
import stat
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from ukcc.vm.storage import share_filter
from ukcc.vm.storage.share_filter import ONE_OWNER, SET_GID, SET_UID

BIT_OF = {SET_UID: stat.S_ISUID, SET_GID: stat.S_ISGID}


def attempt(rules: list[str], act: Callable[[], object]) -> int:
    """The errno of an act of a process with these rules, 0 if it succeeds."""
    child = os.fork()
    if child == 0:
        status = 255
        try:
            share_filter.installer(rules)()
            act()
            status = 0
        except OSError as error:
            status = error.errno or 255
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.parametrize("rules", [[SET_UID], [SET_GID], [SET_UID, SET_GID], [ONE_OWNER]])
@pytest.mark.parametrize("rule", BIT_OF)
def test_bits_of_a_file(tmp_path: Path, rules: list[str], rule: str) -> None:
    mode, expected = BIT_OF[rule] | 0o755, errno.EPERM if rule in rules else 0
    file = tmp_path / "file"
    file.touch()
    fd = os.open(file, os.O_RDWR)
    assert attempt(rules, partial(os.fchmod, fd, mode)) == expected
    os.fchmod(fd, 0o600)
    assert attempt(rules, partial(file.chmod, mode)) == expected
    assert bool(file.stat().st_mode & BIT_OF[rule]) == (rule not in rules)
    create = os.O_CREAT | os.O_WRONLY
    assert attempt(rules, partial(os.open, tmp_path / "opened", create, mode)) == expected
    assert attempt(rules, partial(os.mknod, tmp_path / "node", stat.S_IFREG | mode)) == expected
    # what has no such bit, and directories, which the kernel gives none
    assert attempt(rules, partial(os.fchmod, fd, 0o1777)) == 0
    assert attempt(rules, partial(os.mkdir, tmp_path / "directory", mode)) == 0
    os.close(fd)


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK])
def test_devices(tmp_path: Path, kind: int) -> None:
    # number 0, a whiteout, which needs no right
    assert attempt([SET_UID], partial(os.mknod, tmp_path / "node", kind | 0o600)) == errno.EPERM


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFREG])
def test_other_nodes(tmp_path: Path, kind: int) -> None:
    assert attempt([SET_UID], partial(os.mknod, tmp_path / "node", kind | 0o600)) == 0


def test_one_owner(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()

    def act() -> None:
        os.chown(file, 12345, 12345)
        os.setresuid(-1, 12345, -1)
        os.setresgid(-1, 12345, -1)
        if os.geteuid() == 12345 or os.getegid() == 12345:
            raise OSError(errno.EBADE, "became another")

    assert attempt([ONE_OWNER], act) == 0
    assert file.stat().st_uid == os.geteuid()


def test_as_a_program(tmp_path: Path) -> None:
    place = tmp_path / "socket"
    words = [sys.executable, "-c", "import os; os.fstat(3); os.chmod('x', 0o4755)"]
    argv = share_filter.filtered_argv([SET_UID], words, str(place))
    (tmp_path / "x").touch()
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1 and "PermissionError" in done.stderr and "'x'" in done.stderr
    assert stat.S_ISSOCK(place.stat().st_mode)
    assert share_filter.filtered_argv([], ["a", "b"]) == ["a", "b"]


def test_what_a_program_cannot_become(tmp_path: Path) -> None:
    for argv, said in (
        (share_filter.filtered_argv([SET_UID], ["/nowhere"]), "/nowhere: No such file"),
        (
            share_filter.filtered_argv(["all"], ["true"]),
            "one-owner, not all",
        ),
        (share_filter.filtered_argv([], ["true"], "/nowhere/x"), "true: No such file"),
    ):
        done = subprocess.run(argv, capture_output=True, text=True)
        assert done.returncode == 125 and said in done.stderr and done.stderr.count("\n") == 1
