"""The versions of QEMU with which boot tests were run; docs/testing.md says which, and when.

Another one may work as well. But QEMU takes options, firmware and interfaces away between versions,
so nobody can say.
"""

Version = tuple[int, int]  # major and minor: the third number only mends

TRIED: tuple[Version, ...] = ((7, 2), (10, 0), (11, 1))


def untried(version: Version) -> str:
    """What is to be said of that version; empty if it was tried."""
    if version in TRIED:
        return ""
    names = [named(tried) for tried in TRIED]
    known = f"{', '.join(names[:-1])} and {names[-1]}"
    older = ", and ukcc is written for no older one" if version < min(TRIED) else ""
    return f"{named(version)}: not tried; boot tests were run with {known}{older}"


def named(version: Version) -> str:
    """`10.0`."""
    return "{}.{}".format(*version)
