"""Files that appear whole or not at all."""

import contextlib
import os
from pathlib import Path


def write_whole(path: Path, data: "str | bytes") -> None:
    """Writes a file that others may read meanwhile: they see the old one or the new one.

    Raises OSError, and leaves nothing then.
    """
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        fresh.write_bytes(data.encode() if isinstance(data, str) else data)
        fresh.replace(path)
    except OSError:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
