"""An exported sysroot: what is taken in lies inside of it, and nothing is behind a link.

Its archive only. liblzma decompresses it, and takes 8 MiB for its dictionary.
"""

import posixpath
import stat

from ukcc.sysroot.carried import checked


def check(data: bytes) -> None:
    """No member can be written outside."""
    members = checked(data)
    links = {m.path for m in members if stat.S_ISLNK(m.mode)}
    for member in members:
        parts = member.path.split("/")
        assert member.path == "." or not {"", ".", ".."} & set(parts)
        assert not links & {posixpath.join(*parts[:n]) for n in range(1, len(parts))}
