"""What goes wrong when the store is written to, as errors for the user."""

import contextlib
import errno
from collections.abc import Iterator
from pathlib import Path

from ukcc.errors import UkccError

# What a disk, or whoever owns it, refuses.
_OF_DISKS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)


def unwritable(path: Path, error: OSError) -> UkccError:
    """An OSError about the store, as the user's problem."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return UkccError(f"the disk is full: {path}", "free some space, or set UKCC_HOME")
    reason = (error.strerror or str(error)).lower()
    return UkccError(
        f"cannot write to the store {path}: {reason}", "set UKCC_HOME to another place"
    )


@contextlib.contextmanager
def disk_errors(root: Path) -> Iterator[None]:
    """A full or read-only disk is the user's problem; any other OSError is a bug of ours.

    root: of the store that is written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _OF_DISKS:
            raise unwritable(root, error) from error
        raise
