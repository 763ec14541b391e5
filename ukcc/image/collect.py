"""Further files for an image, read from the host: `HOST:GUEST` words → archive members."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.image import cpio


def collect(words: "tuple[str, ...]") -> list[cpio.Entry]:
    """The members for `HOST[:GUEST]` words; a directory comes with all that is in it, sorted.

    GUEST is an absolute path in the image, by default the host's own. Raises UkccError.
    """
    members: list[cpio.Entry] = []
    for word in words:
        host, colon, guest = word.rpartition(":")
        if not colon:
            host, guest = word, str(Path(word).absolute())
        if not guest.startswith("/"):
            raise UkccError(f"{word}: the path in the image must begin with /")
        try:
            members += _walk(Path(host), os.path.normpath(guest))
        except OSError as error:
            raise UkccError(f"{error.filename}: {error.strerror}") from None
    return members


def _walk(host: Path, guest: str) -> Iterator[cpio.Entry]:
    status = host.lstat()
    path = guest.lstrip("/")
    mode = stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode)
    if stat.S_ISLNK(status.st_mode):
        yield cpio.Entry(path, stat.S_IFLNK | 0o777, os.fsencode(host.readlink()))
    elif stat.S_ISDIR(status.st_mode):
        if path:
            yield cpio.Entry(path, mode)
        for child in sorted(host.iterdir()):
            yield from _walk(child, f"{guest.rstrip('/')}/{child.name}")
    elif stat.S_ISREG(status.st_mode):
        yield cpio.Entry(path, mode, host.read_bytes())
    else:
        raise UkccError(f"{host}: neither file, directory nor symbolic link")
