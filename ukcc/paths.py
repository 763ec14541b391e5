"""Where things are: the project's own data, and the store.

Standard library only and cheap to import: the compile path uses it.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_DEFAULT = ".local/share/ukcc"
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def data_dir(name: str) -> str:
    """The directory `toolchain-shims`, `sysroot` or `ports` of this installation.

    A wheel carries them in `ukcc/data/`; a checkout has them beside the package.
    """
    packaged = os.path.join(_PACKAGE, "data", name)
    if os.path.isdir(packaged):
        return packaged
    return os.path.join(os.path.dirname(_PACKAGE), name)


def store() -> str:
    """`UKCC_HOME`, else `ukcc` in the XDG data directory."""
    home = os.environ.get("UKCC_HOME")
    if home:
        return os.path.abspath(home)
    data = os.environ.get("XDG_DATA_HOME")
    return os.path.join(data, "ukcc") if data else os.path.expanduser(f"~/{_DEFAULT}")


def current_sysroot() -> "str | None":
    """The sysroot that `ukcc sysroot build` finished last, or None.

    `current` is a symbolic link that is replaced by rename, so it never names half a sysroot.
    `UKCC_SYSROOT` names another directory, or, set but empty, none; with it the builder compiles
    init against the sysroot that it is just making.
    """
    named = os.environ.get("UKCC_SYSROOT")
    if named is not None:
        return os.path.abspath(named) if named else None
    for place in _stores():
        link = os.path.join(place, "sysroots", "current")
        if os.path.islink(link):
            return os.path.realpath(link)
    return None


def _stores() -> "Iterator[str]":
    """The store; and, for builds that give their programs another HOME, the user's own."""
    yield store()
    if not os.environ.get("UKCC_HOME") and not os.environ.get("XDG_DATA_HOME"):
        import pwd

        try:
            yield os.path.join(pwd.getpwuid(os.getuid()).pw_dir, _DEFAULT)
        except KeyError:
            return  # a user whom nobody knows
