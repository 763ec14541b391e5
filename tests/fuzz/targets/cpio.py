"""The archive of an image, and that what is read is what we would have written."""

import stat

from fuzz.checking import no_refusal

from ukcc.image.cpio import archive, members, with_parents


def check(data: bytes) -> None:
    """What was read, written and read again is the same; its directories come first."""
    found = list(members(data))
    with no_refusal():
        again = archive(found)
        assert list(members(again)) == found
        assert archive(members(again)) == again
    seen = {""}
    for entry in with_parents(found):
        assert entry.path.rpartition("/")[0] in seen
        seen.add(entry.path)
        stat.S_IFMT(entry.mode)
