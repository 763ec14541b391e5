"""ld.so.cache, of the host or of a directory that stands for it."""

import os

from ukcc.image.ldcache import parse_cache


def check(data: bytes) -> None:
    """Every name that is there is found again; no name and no path has a NUL."""
    cache = parse_cache(data)
    for name in cache.paths:
        assert name and b"\0" not in name
        assert "\0" not in cache.find(os.fsdecode(name))
    assert cache.find("libnosuch.so.0") == "" or b"libnosuch.so.0" in data
