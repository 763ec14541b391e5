"""Where things are: the project's own data, and the store.

Standard library only and cheap to import: the compile path uses it.
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

SYSROOTS = "sysroots"  # their directory in the store
_DEFAULT = ".local/share/ukcc"
_NO_HOME = "/proc/nonexistent"  # where nobody, not even root, can make anything
_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def absolute(path: str) -> str:
    """The path from the root; as it is, where the working directory has been removed."""
    try:
        return os.path.abspath(path)
    except FileNotFoundError:
        return path


def real(path: str) -> str:
    """`absolute`, without links."""
    try:
        return os.path.realpath(path)
    except FileNotFoundError:
        return path


def working_directory() -> str:
    """Its path, or one that no file has, where it has been removed."""
    try:
        return os.getcwd()
    except FileNotFoundError:
        return "/(removed)"


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
        return absolute(home)
    data = os.environ.get("XDG_DATA_HOME")
    if data:
        return absolute(os.path.join(data, "ukcc"))
    place = os.path.expanduser(f"~/{_DEFAULT}")
    # without HOME, for a user whom nobody knows, the `~` stays: a directory of that name, in the
    # working directory, would be anybody's
    return f"{_NO_HOME}/{_DEFAULT}" if place.startswith("~") else place


def sysroot_in_store(identifier: str) -> str:
    """Where the store has the sysroot of that id, if it has it."""
    return os.path.join(store(), SYSROOTS, identifier)


def current_sysroot() -> "str | None":
    """The sysroot that `ukcc sysroot build` finished last, or None.

    `current` is a symbolic link that is replaced by rename, so it never names half a sysroot.
    `UKCC_SYSROOT` names another directory, or, set but empty, none; with it the builder compiles
    init against the sysroot that it is just making.
    """
    named = os.environ.get("UKCC_SYSROOT")
    if named is not None:
        return real(named) if named else None
    for place in _stores():
        link = os.path.join(place, SYSROOTS, "current")
        if os.path.islink(link):
            return os.path.realpath(link)
    return None


def carried_sysroot() -> str:
    """Where the package ukcc-sysroot has its sysroot, if it is installed beside this one."""
    return os.path.join(os.path.dirname(_PACKAGE), "ukcc_sysroot", "sysroot.cpio.xz")


def _stores() -> "Iterator[str]":
    """The store; and, for builds that give their programs another HOME, the user's own."""
    yield store()
    if not os.environ.get("UKCC_HOME") and not os.environ.get("XDG_DATA_HOME"):
        import pwd

        try:
            yield os.path.join(pwd.getpwuid(os.getuid()).pw_dir, _DEFAULT)
        except KeyError:
            return  # a user whom nobody knows
