"""What the boot tests share: deadlines, the command line of a run, and what some hosts lack."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from ukcc import paths
from ukcc.cc.toolchain import gate_flag

BIN = Path(sys.executable).parent
FACTOR = float(os.environ.get("UKCC_TEST_TIMEOUT_FACTOR", "1"))
DEADLINE = 60.0  # seconds; a boot takes two under TCG when nobody else computes


class Result(NamedTuple):
    """How a boot ended; unpacks as (status, stdout, stderr)."""

    status: int
    stdout: bytes
    stderr: bytes


def _makes_mount_namespaces() -> bool:
    """Not in every container, nor where `/` is no mount point, as after chroot(1)."""
    try:
        return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0
    except OSError:
        return False


needs_mounts = pytest.mark.skipif(
    not _makes_mount_namespaces(), reason="no mount name spaces can be made here"
)

# Makes calls of the gate of the program's own `syscall` instructions.
_SYSROOT = paths.current_sysroot()
GATE = gate_flag(_SYSROOT) if _SYSROOT else ""  # without a sysroot every test here fails

Build = Callable[..., Path]
Boot = Callable[..., Result]


def _kernel_has_virtiofs() -> bool:
    sysroot = paths.current_sysroot()
    config = Path(sysroot or "", "kernel", "config")
    return config.is_file() and "\nCONFIG_VIRTIO_FS=y\n" in config.read_text()


needs_virtiofs = pytest.mark.skipif(not _kernel_has_virtiofs(), reason="a kernel without virtio-fs")


def run_argv(image: Path, args: Sequence["str | bytes"], options: Sequence[str]) -> list[bytes]:
    """The command line of `ukcc run`, as bytes since arguments may be any."""
    return [os.fsencode(word) for word in (BIN / "ukcc", "run", *options, image, *args)]
