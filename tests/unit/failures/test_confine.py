"""What the process that reads a guest's core can still do."""

import platform
import subprocess
import sys
from pathlib import Path

import pytest
from support.core_samples import core, process, prstatus, siginfo

from ukcc.failures import confine
from ukcc.failures.show import resolve

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="a filter for x86-64")

TRIES = """
import ctypes, os, resource, signal, socket, sys
from pathlib import Path
from ukcc.failures.confine import confine, limit

here = sys.argv[1]
pid = os.getppid()
limit(1000)
confine()

def fails(act):
    try:
        act()
    except OSError:
        return True
    return False

tries = {
    "write": lambda: open(f"{here}/file", "r+b"),
    "create": lambda: open(f"{here}/new", "wb"),
    "create by reading": lambda: os.open(f"{here}/new", os.O_RDONLY | os.O_CREAT),
    "truncate": lambda: os.open(f"{here}/file", os.O_RDONLY | os.O_TRUNC),
    "append": lambda: os.open(f"{here}/file", os.O_WRONLY | os.O_APPEND),
    "tmpfile": lambda: os.open(here, os.O_RDWR | os.O_TMPFILE),
    "truncate(2)": lambda: os.truncate(f"{here}/file", 0),
    "remove": lambda: os.unlink(f"{here}/file"),
    "rename": lambda: os.rename(f"{here}/file", f"{here}/new"),
    "link": lambda: os.link(f"{here}/file", f"{here}/new"),
    "symlink": lambda: os.symlink("x", f"{here}/new"),
    "directory": lambda: os.mkdir(f"{here}/new"),
    "mode": lambda: os.chmod(f"{here}/file", 0o777),
    "times": lambda: os.utime(f"{here}/file"),
    "internet": lambda: socket.socket(),
    "unix": lambda: socket.socket(socket.AF_UNIX),
    "pair": lambda: socket.socketpair(),
    "fork": lambda: os.fork(),
    "run": lambda: os.execv("/bin/true", ["true"]),
    "signal": lambda: os.kill(pid, 0),
    "limits": lambda: resource.setrlimit(resource.RLIMIT_CORE, (0, 0)),
    "ioctl": lambda: __import__("fcntl").ioctl(0, 0x5412, b"x"),
}
done = [name for name, act in tries.items() if not fails(act)]
# openat2, io_uring_setup, ptrace, process_vm_writev, clone3, unshare, mount by their numbers
libc = ctypes.CDLL(None, use_errno=True)
done += [n for n in (437, 425, 101, 311, 435, 272, 165) if libc.syscall(n, 0, 0, 0, 0, 0, 0) != -1]
assert not done, done

assert Path(f"{here}/file").read_text() == "kept"
fd = os.memfd_create("x")
os.write(fd, b"x")
os.ftruncate(fd, 4096)
assert Path(f"/proc/self/fd/{fd}").read_bytes()[:1] == b"x"
assert os.listdir(here) == ["file"]
import xml.dom.minidom  # a module that was not there before
print("right")
"""


def test_it_can_read_and_compute_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("kept")
    done = subprocess.run(
        [sys.executable, "-c", TRIES, str(tmp_path)], capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "right\n"), done.stderr
    assert (tmp_path / "file").read_text() == "kept" and [p.name for p in tmp_path.iterdir()] == [
        "file"
    ]


@pytest.mark.parametrize(
    "greed",
    ["bytes(2 << 30)", "open(os.dup(os.memfd_create('x')), 'wb').write(bytes(70 << 20))"],
)
def test_its_memory_and_files_have_limits(greed: str) -> None:
    code = f"import os\nfrom ukcc.failures.confine import limit\nlimit(0)\n{greed}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0
    assert "MemoryError" in done.stderr or "File too large" in done.stderr


def test_no_more_than_whoever_started_us_allows() -> None:
    code = (
        "import resource as r\nfrom ukcc.failures.confine import limit\n"
        "r.setrlimit(r.RLIMIT_CPU, (5, 7))\nlimit(0)\nprint(r.getrlimit(r.RLIMIT_CPU))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "(7, 7)\n"


CRASHED = core(prstatus(45, rip=0x401000), process(45, "a\x1b[2Jb"), siginfo(11, 1, 0x18))


def test_without_a_filter_no_stack_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that has none: the core's own words, and why there is no more."""
    code = (
        "import sys\nfrom ukcc.failures import __main__ as m\n"
        "from ukcc.errors import UkccError\n"
        "def no(): raise UkccError('the kernel takes no filter')\n"
        "def never(*_): raise AssertionError\n"
        "m.confine, m.explain = no, never\n"
        "sys.exit(m.main('core', sys.argv[1], 'image'))"
    )
    (tmp_path / "core").write_bytes(CRASHED)
    argv = [sys.executable, "-c", code, str(tmp_path / "core")]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("a\\x1b[2Jb (process 45) crashed: SIGSEGV")
    assert lines[-1] == "  its stacks are not read: the kernel takes no filter"


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    lines = resolve("core", CRASHED, str(tmp_path / "image"))
    assert lines[0].startswith("a\\x1b[2Jb (process 45) crashed: SIGSEGV")
    assert "its stacks are not read" in lines[-1] and "No such file" in lines[-1]


def test_the_filter_is_within_the_kernels_limit() -> None:
    assert len(confine.filter_program()) // 8 <= 4096
