"""Conformance programs that need files in the machine: a shell with its tools, and a library."""

import subprocess
import sys
from pathlib import Path

import pytest
from support.boots import Boot, Build

BIN = Path(sys.executable).parent
HERE = Path(__file__).parent / "programs"
DEADLINE = 240.0  # seconds; programs come over 9p

# The distribution's own programs, which nobody has compiled for us: host -> guest.
SHARES = {
    "/usr/bin": "/bin",
    "/lib64": "/lib64",
    "/usr/lib/x86_64-linux-gnu": "/lib/x86_64-linux-gnu",
}


def right(stdout: bytes) -> bool:
    return stdout.splitlines()[-1:] == [b"right"]


@pytest.fixture
def shell(build_image: Build) -> Path:
    return build_image((HERE / "shell.c").read_text(), "-I", str(HERE), name="shell")


@pytest.mark.parametrize("cpus", ["1", "2", "4"])
def test_shell(shell: Path, boot: Boot, cpus: str) -> None:
    shares = [word for pair in SHARES.items() for word in ("-v", f"{pair[0]}:{pair[1]}:ro")]
    options = ["-m", "256", "--smp", cpus, *shares]
    status, stdout, _ = boot(shell, "kernel", timeout=DEADLINE, options=options)
    assert (status, right(stdout)) == (0, True)


def test_shell_of_a_process(shell: Path) -> None:
    done = subprocess.run([shell, "process"], capture_output=True, timeout=DEADLINE)
    assert (done.returncode, right(done.stdout)) == (0, True)


@pytest.fixture
def tls(build_image: Build, tmp_path: Path) -> "tuple[Path, Path]":
    """The program and the directory of the library that it opens."""
    library = tmp_path / "tls_plugin.so"
    source = str(HERE / "tls_plugin.c")
    argv = [str(BIN / "uk-gcc"), "-O2", "-shared", "-fPIC", source, "-o", str(library)]
    subprocess.run(argv, check=True)
    flags = ["-I", str(HERE), "-pthread", "-rdynamic"]
    return build_image((HERE / "tls.c").read_text(), *flags, name="tls"), tmp_path


@pytest.mark.parametrize("cpus", ["1", "2", "4"])
def test_late_thread_local_data(tls: "tuple[Path, Path]", boot: Boot, cpus: str) -> None:
    program, plugins = tls
    options = ["--smp", cpus, "-v", f"{plugins}:/plugins:ro"]
    words = ["kernel", "/plugins/tls_plugin.so"]
    status, stdout, _ = boot(program, *words, timeout=DEADLINE, options=options)
    assert (status, right(stdout)) == (0, True)


def test_late_thread_local_data_of_a_process(tls: "tuple[Path, Path]") -> None:
    program, plugins = tls
    argv = [program, "process", plugins / "tls_plugin.so"]
    done = subprocess.run(argv, capture_output=True, timeout=DEADLINE)
    assert (done.returncode, right(done.stdout)) == (0, True)
