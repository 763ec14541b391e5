"""The programs that a sysroot's build calls, and the Debian packages that have them."""

import shutil
from pathlib import Path

from ukcc.debian_packages import package_of
from ukcc.errors import UkccError

PROGRAMS = (
    *("make", "patch", "xz", "bc", "flex", "bison", "gawk", "rsync", "python3"),
    "dpkg-source",  # musl's source
)
_COMPILERS = ("gcc", "g++", "as", "ld")

# The kernel's objtool is compiled against it.
_LIBELF = Path("/usr/include/libelf.h")


def missing() -> dict[str, str]:
    """What a build would not find: the name, and the package that has it."""
    names = [name for name in (*_COMPILERS, *PROGRAMS) if shutil.which(name) is None]
    lacking = {name: package_of(name) for name in names}
    if not _LIBELF.exists():
        lacking[_LIBELF.name] = "libelf-dev"
    return lacking


def check() -> None:
    """Raises UkccError naming all that is missing, before a build finds out bit by bit."""
    lacking = missing()
    if lacking:
        raise UkccError(
            f"not found, but needed to build a sysroot: {', '.join(lacking)}",
            f"as root: {install_line(lacking)}",
        )


def install_line(lacking: dict[str, str]) -> str:
    """The command that installs what is missing."""
    return "apt-get install " + " ".join(sorted(set(lacking.values())))
