"""Files and directories of the host as archive members. Part of a link that adds files."""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH115, PTH118, PTH123, PTH208
import os
import stat

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.image import cpio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator


def parse_word(word: str) -> tuple[str, str]:
    """`HOST[:GUEST]` -> both paths, GUEST normal and absolute. Raises UkccError."""
    host, colon, guest = word.rpartition(":")
    if not colon:
        host, guest = word, paths.absolute(word)
    if not host or not guest.startswith("/"):
        raise UkccError(f"{word}: the path in the image must begin with /")
    return host, os.path.normpath(guest)


def walk(host: str, guest: str) -> Iterator[cpio.Entry]:
    """The members for a file, or for a directory and all that is in it, sorted by name.

    With modes, and owners as `owner_in_image` has them. Raises OSError, and UkccError for what is
    not a file.
    """
    status = os.lstat(host)
    path = guest.lstrip("/")
    mode = stat.S_IFMT(status.st_mode) | stat.S_IMODE(status.st_mode)
    owner = owner_in_image(status.st_uid, status.st_gid)
    if stat.S_ISLNK(status.st_mode):
        yield cpio.Entry(path, stat.S_IFLNK | 0o777, os.fsencode(os.readlink(host)), *owner)
    elif stat.S_ISDIR(status.st_mode):
        if path:
            yield cpio.Entry(path, mode, b"", *owner)
        for name in sorted(os.listdir(host)):
            yield from walk(os.path.join(host, name), f"{guest.rstrip('/')}/{name}")
    elif stat.S_ISREG(status.st_mode):
        with open(host, "rb") as file:
            yield cpio.Entry(path, mode, file.read(), *owner)
    else:
        raise UkccError(f"{host}: neither file, directory nor symbolic link")


def owner_in_image(uid: int, gid: int) -> tuple[int, int]:
    """The owner's numbers in the image of what (uid, gid) own here.

    The files of whoever builds are root's, as fakeroot(1) has it: two users who build the same
    project get the same image. What belongs to others keeps their numbers.
    """
    return 0 if uid == os.geteuid() else uid, 0 if gid == os.getegid() else gid
