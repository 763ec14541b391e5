"""SHA-256 of files."""

import hashlib
from pathlib import Path

_CHUNK = 1 << 20


def sha256(path: Path) -> str:
    """Of the file's contents, in hexadecimal digits. Raises OSError."""
    state = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(_CHUNK):
            state.update(data)
    return state.hexdigest()
