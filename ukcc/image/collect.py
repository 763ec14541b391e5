"""Files and directories of the host as archive members."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.image import cpio


def parse_word(word: str) -> tuple[str, str]:
    """`HOST[:GUEST]` -> both paths, GUEST normal and absolute. Raises UkccError."""
    host, colon, guest = word.rpartition(":")
    if not colon:
        host, guest = word, str(Path(word).absolute())
    if not host or not guest.startswith("/"):
        raise UkccError(f"{word}: the path in the image must begin with /")
    return host, os.path.normpath(guest)


def walk(source: str, guest: str) -> Iterator[cpio.Entry]:
    """The members for a file or a whole directory, with its owners and modes. Raises OSError."""
    yield from _walk(Path(source), guest)


def _walk(host: Path, guest: str) -> Iterator[cpio.Entry]:
    status = host.lstat()
    owner = (status.st_uid, status.st_gid)
    path = guest.lstrip("/")
    mode = stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        yield cpio.Entry(path, stat.S_IFLNK | 0o777, os.fsencode(host.readlink()), *owner)
    elif stat.S_ISDIR(status.st_mode):
        if path:
            yield cpio.Entry(path, mode, b"", *owner)
        for child in sorted(host.iterdir()):
            yield from _walk(child, f"{guest.rstrip('/')}/{child.name}")
    elif stat.S_ISREG(status.st_mode):
        yield cpio.Entry(path, mode, host.read_bytes(), *owner)
    else:
        raise UkccError(f"{host}: neither file, directory nor symbolic link")
