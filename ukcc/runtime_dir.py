"""The directory for what lasts until the host starts again, such as the machines that run."""

import os
import stat
from pathlib import Path

from ukcc import paths


def runtime_directory() -> Path:
    """`$XDG_RUNTIME_DIR/ukcc`, else `run` in the store. It need not exist.

    XDG_RUNTIME_DIR counts only if nobody else can write there (the XDG base directory specification
    asks for that): su(1) leaves the one of another user, and in some containers it is /tmp. Who can
    write there could put a directory of his own, or a link, in place of ours.
    """
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime and _is_ours(runtime):
        return Path(runtime) / "ukcc"
    return Path(paths.store()) / "run"


def _is_ours(place: str) -> bool:
    """Also of one that is not there yet: it will be made."""
    try:
        found = Path(place).stat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    others = found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not others
