"""A name for what is kept by content: the digest of its parts."""

import hashlib
from collections.abc import Iterable

from ukcc.image import cpio


def content_key(*parts: bytes, entries: Iterable[cpio.Entry] = ()) -> str:
    """32 hexadecimal digits. Other parts, or the same bytes parted elsewhere, have another key."""
    state = hashlib.sha256()
    pieces = [*parts]
    for entry in entries:
        pieces += [str(entry[1:2] + entry[3:]).encode(), _path(entry), entry.data]
    for piece in pieces:
        state.update(b"%d:" % len(piece))
        state.update(piece)
    return state.hexdigest()[:32]


def _path(entry: cpio.Entry) -> bytes:
    return entry.path.encode("utf-8", "surrogateescape")
