"""A trace of strace, in which the guest has written what it liked."""

from pathlib import Path

from fuzz.checking import as_file

from ukcc.needs.learned import read_trace

KNOWN = frozenset(("openat", "read", "write"))


def check(data: bytes) -> None:
    """Nothing but known calls and paths of the kernel's file systems comes out."""
    with as_file(data) as path:
        found = read_trace(Path(path), KNOWN)
    assert KNOWN.issuperset(found.calls)
    assert all(
        text.startswith(("/proc", "/sys", "/dev")) and text.isprintable() for text in found.paths
    )
