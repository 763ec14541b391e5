"""Images as files, for tests that look into them."""

import os
from pathlib import Path

from ukcc.image.archive_file import Archive, open_archive
from ukcc.image.headers import Headers, open_headers


def headers(image: Path) -> Headers:
    """An image's headers."""
    fd, found = open_headers(str(image))
    os.close(fd)
    return found


def archive(image: Path) -> Archive:
    """An image's archive."""
    data = image.read_bytes()
    return open_archive(lambda at, size: data[at : at + size], headers(image), str(image))
