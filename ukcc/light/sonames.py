"""Names of shared libraries."""

SUFFIX = ".so"


def is_shared(path: str) -> bool:
    """Whether the name is that of a shared library: `libfoo.so`, `libfoo.so.1.2`."""
    name = path.rpartition("/")[2]
    stem, dot, version = name.partition(SUFFIX)
    return bool(stem) and bool(dot) and (not version or version[0] == ".")
