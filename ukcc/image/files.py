"""Files of the host for an image's archive, with mode and owner kept, and where they may not go.

Part of a link that adds files, so: the standard library only.
"""

from __future__ import annotations

import stat

from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.image.accounts import Accounts, accounts_of, parse_owner
from ukcc.image.collect import walk
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# What init mounts hides what the archive has there (sysroot/init/root.c).
_HIDDEN = ("/dev", "/proc", "/run", "/sys", "/tmp", "/var/run")

# Ours, without which no application would start.
_OURS = ("/.uk", "/init")


class FileSpec(Record):
    """A file or directory of the host for the image: `source` goes to the absolute path `target`.

    mode: permissions of a file, -1 as it has them; owner: `USER[:GROUP]`, names or numbers, empty
    as it has them.
    """

    source: str
    target: str
    mode: int = -1
    owner: str = ""


def file_entries(specs: Iterable[FileSpec], below: Iterable[cpio.Entry] = ()) -> list[cpio.Entry]:
    """The archive members of the files, each directory whole; sorted as the host's names sort.

    below: what is in the image already, which may have the accounts. Raises UkccError, in one line,
    for a source that cannot be read, and an owner that the image does not know.
    """
    found = [(spec, entry) for spec in specs for entry in _read(spec)]
    files = {entry.path: entry.data for entry in (*below, *(entry for _, entry in found))}
    accounts = accounts_of(files)
    return [_owned(entry, spec.owner, accounts) for spec, entry in found]


def check_places(entries: Sequence[cpio.Entry], program: str) -> None:
    """Raises UkccError if two entries are for one place, or one is for a place that is taken.

    program: the application's path in the image, or empty.
    """
    seen: dict[str, bool] = {}
    for entry in entries:
        path, is_directory = f"/{entry.path}", stat.S_ISDIR(entry.mode)
        if not (is_directory and seen.get(path, True)) and path in seen:
            raise UkccError(f"{path}: two files are to be at this place in the image")
        seen[path] = is_directory
        if lies_in(path, _OURS) or path == program:
            raise UkccError(f"{path}: this place in the image is taken", "choose another one")
        if lies_in(path, _HIDDEN) and not is_directory:
            raise UkccError(
                f"{path}: the machine mounts a file system there, which would hide it",
                "choose another place in the image",
            )


def _read(spec: FileSpec) -> list[cpio.Entry]:
    try:
        entries = list(walk(spec.source, spec.target))
    except OSError as error:
        raise UkccError(f"{error.filename}: {error.strerror}") from None
    if spec.mode < 0:
        return entries
    if len(entries) != 1 or not stat.S_ISREG(entries[0].mode):
        raise UkccError(f"{spec.source}: a mode can be given to a file only")
    return [entries[0]._replace(mode=stat.S_IFREG | spec.mode)]


def _owned(entry: cpio.Entry, owner: str, accounts: Accounts) -> cpio.Entry:
    if not owner:
        return entry
    uid, gid = parse_owner(owner, accounts)
    return entry._replace(uid=uid, gid=gid)


def lies_in(path: str, places: Iterable[str]) -> bool:
    """Whether an absolute path is one of these directories, or below one."""
    return any(path == place or path.startswith(f"{place}/") for place in places)
