"""What a trace of strace shows: calls by name, paths, and nothing else."""

from pathlib import Path

import pytest

from ukcc.errors import UkccError
from ukcc.needs.learned import Learned, read_trace

KNOWN = {"execve", "openat", "read", "epoll_pwait", "exit_group"}

TRACE = b"""\
execve("/app/app", ["/app/app"], 0x7fff /* 3 vars */) = 0
[pid    35] openat(AT_FDCWD, "/proc/self/smaps", O_RDONLY) = 3
35    read(3,  <unfinished ...>
[pid    36] <... read resumed>"made(up) in data", 32) = 14
--- SIGCHLD {si_signo=SIGCHLD} ---
12:00:01.5 epoll_pwait(4, [], 128, 0, NULL, 8) = 0
socket(AF_INET6, SOCK_STREAM, IPPROTO_TCP) = -1 EAFNOSUPPORT
+++ exited with 0 +++
"""


def learned(tmp_path: Path, data: bytes) -> Learned:
    (tmp_path / "trace").write_bytes(data)
    return read_trace(tmp_path / "trace", KNOWN)


def test_calls_and_paths(tmp_path: Path) -> None:
    found = learned(tmp_path, TRACE)
    assert found == Learned(("epoll_pwait", "execve", "openat", "read"), ("/proc/self/smaps",))


def test_a_long_line_has_one_call(tmp_path: Path) -> None:
    long = b'read(3, "' + b"x" * (64 << 10) + b"exit_group(0)" + b"y" * (64 << 10) + b'", 9) = 9\n'
    assert learned(tmp_path, long).calls == ("read",)
    cut = b'read(3, "' + b"x" * ((64 << 10) - 9) + b"exit_group(0)\n"
    assert learned(tmp_path, cut).calls == ("read",)


@pytest.mark.parametrize("data", [b"", b"\xff\0(", b"hello, world\n", b"exit_groups(0)\n"])
def test_no_trace(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(UkccError, match="trace: no system call in it"):
        learned(tmp_path, data)


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(UkccError, match="none: No such file or directory"):
        read_trace(tmp_path / "none", KNOWN)
