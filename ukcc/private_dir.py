"""A directory for files by names that somebody else could guess."""

import contextlib
import os
import stat
import tempfile
from pathlib import Path


def private_directory() -> Path:
    """A directory that only this user can look into, below the one for temporary files.

    The same one each time, unless somebody else has put something there by its name: then a new
    one. What is opened in it, now or by a pasted command later, nobody else can have prepared.
    """
    path = Path(tempfile.gettempdir()) / f"ukcc-{os.geteuid()}"
    with contextlib.suppress(FileExistsError):
        path.mkdir(0o700)
    found = path.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()
    if ours and not found.st_mode & 0o077:
        return path
    return Path(tempfile.mkdtemp(prefix="ukcc-"))
