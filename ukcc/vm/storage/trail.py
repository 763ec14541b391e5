"""Names of the host that a guest could lead elsewhere, since a directory on the way is shared.

A guest makes files and real symbolic links in a share. If the next run finds a disk, another share
or a file by a name that passes such a link, it is the guest who chooses the file of the host; and
if it finds settings there, who chooses all.
"""

import os
import posixpath
from collections.abc import Iterable, Iterator
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.image.files import FileSpec, lies_in
from ukcc.vm.machine import Share
from ukcc.vm.storage.disks import Disk

_MOST_LINKS = 40  # the kernel follows as many (include/linux/namei.h)


def check_apart(shares: Iterable[Share], disks: Iterable[Disk]) -> None:
    """Raises MachineError for a disk in a share that the guest writes to, and for a share that is
    found by a link there.
    """
    writable = [share for share in shares if not share.readonly]
    for disk in disks:
        share = _passed(disk.file, writable, links_only=False)
        if share:
            raise MachineError(
                f"--disk {disk.file}: it lies in -v {share.host}:{share.guest}, where the guest "
                "could replace it by a link to another file of the host",
                "put it in another directory, or share that one :ro",
            )
    for inner in shares:
        others = [share for share in writable if share is not inner]
        share = _passed(inner.host, others)
        if share:
            raise _led(f"-v {inner.host}:{inner.guest}", share)


def check_sources(shares: Iterable[Share], files: Iterable[FileSpec]) -> None:
    """Raises MachineError for files that are to be copied and are found by a link in a share that
    the guest writes to. The last part of a name may be one: a link is copied as a link.
    """
    writable = [share for share in shares if not share.readonly]
    for spec in files:
        share = _passed(str(Path(spec.source).parent), writable)
        if share:
            raise _led(f"--file {spec.source}:{spec.target}", share)


def check_settings(shares: Iterable[Share], path: str) -> None:
    """Raises MachineError for settings that nobody named, in a share that the guest writes to."""
    share = _passed(path, [share for share in shares if not share.readonly], links_only=False)
    if share:
        raise MachineError(
            f"{path}: it lies in -v {share.host}:{share.guest}, where the guest may have written "
            "it",
            f"if you trust it, name it: --config {path}; --config '' does without",
        )


def _led(what: str, share: Share) -> MachineError:
    return MachineError(
        f"{what}: it is found by a link in -v {share.host}:{share.guest}, which the guest may have "
        "made",
        "name what the link leads to, if that is meant",
    )


def _passed(name: str, shares: Iterable[Share], links_only: bool = True) -> "Share | None":
    """The share in which it is decided what the name leads to, by a link or by any entry."""
    found = [directory for directory, is_link in trail(name) if is_link or not links_only]
    for share in shares:
        place = os.path.realpath(share.host)
        if any(lies_in(directory, [place]) for directory in found):
            return share
    return None


def trail(name: str) -> "Iterator[tuple[str, bool]]":
    """The directories, by their real names, whose entries decide what file a name leads to; and
    whether the entry is a link.
    """
    at, links = "/", 0
    left = str(Path.cwd() / name).split("/")[::-1]
    while left:
        part = left.pop()
        if part == "..":
            at = posixpath.dirname(at)
        elif part not in ("", "."):
            entry = Path(at, part)
            is_link = entry.is_symlink() and links < _MOST_LINKS
            yield at, is_link
            if is_link:
                links += 1
                target = str(entry.readlink())
                at = "/" if target.startswith("/") else at
                left += target.split("/")[::-1]
            else:
                at = str(entry)
