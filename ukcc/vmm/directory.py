"""A directory for one VMM: its sockets and its log."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.runtime_dir import runtime_directory
from ukcc.vmm.confine import VmmUser
from ukcc.vmm.vmm import LOG

_PLACE = "vmm"


@contextlib.contextmanager
def make_own_directory(user: VmmUser) -> Iterator[Path]:
    """Gone when the machine has ended. Raises MachineError."""
    root = runtime_directory() / _PLACE
    try:
        root.mkdir(0o700, parents=True, exist_ok=True)
        found = root.lstat()
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise MachineError(f"{root} is not yours alone", f"chmod 700 {root}, or remove it")
        _clean(root)
        directory = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
        prepare_directory(directory, user)
    except OSError as error:
        raise MachineError(
            f"{root}: {error.strerror}", "set XDG_RUNTIME_DIR to one of yours"
        ) from None
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def prepare_directory(directory: Path, user: VmmUser) -> None:
    """Makes it the VMM's, with a log that it may write to. Raises OSError."""
    log = directory / LOG
    log.touch(0o600)
    if user.ids:
        os.chown(log, *user.ids)
        os.chown(directory, *user.ids)


def _clean(root: Path) -> None:
    """What was left by those who were killed."""
    for path in root.iterdir():
        pid = path.name.partition("-")[0]
        if pid.isdigit() and not Path(f"/proc/{pid}").exists():
            shutil.rmtree(path, ignore_errors=True)
