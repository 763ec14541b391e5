"""Where the real tools are: read once from the environment, then passed on as data."""

import os
import sys

from ukcc import paths
from ukcc.errors import SysrootMissing, UkccError
from ukcc.light.record import Record

TRIPLE = "x86_64-uk-linux-gnu"

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# In each sysroot that this version builds, and what it links with (docs/sysroot.md).
CHARSETS = "usr/lib/libuk_charsets.a"

# What a directory at the front of PATH masquerades as compilers, /usr/lib/ccache/gcc for one.
_BEFORE_COMPILERS = ("ccache", "distcc", "icecc", "sccache")

# What UKCC_KERNEL can be: the sysroot's kernel, or one of the store for the program.
GENERAL, AUTO = "general", "auto"


class Toolchain(Record):
    """What a plan needs to know of the machine."""

    name: str  # of ours: uk-gcc
    compiler: str
    sysroot: str  # "" when there is none
    plain: bool  # UKCC_PLAIN: an ordinary executable, no kernel appended
    thin: bool  # UKCC_IMAGE=thin: the kernel is named, not carried
    linkage: str  # UKCC_LINK: static or dynamic, "" when the program decides
    kernel: str  # UKCC_KERNEL: general or auto, "" when the settings decide


def find_toolchain(name: str, environ: "Mapping[str, str]") -> Toolchain:
    """The toolchain for one of the names gcc, g++, cpp."""
    sysroot = find_sysroot(environ)
    if sysroot and not os.access(f"{sysroot}/{CHARSETS}", os.R_OK):
        raise _not_ours(sysroot)
    return Toolchain(
        name=f"uk-{name}",
        compiler=find_compiler(name, environ),
        sysroot=sysroot,
        plain=environ.get("UKCC_PLAIN", "") not in ("", "0"),
        thin=_wants_thin(environ),
        linkage=_wanted_linkage(environ),
        kernel=_wanted_kernel(environ),
    )


def _wants_thin(environ: "Mapping[str, str]") -> bool:
    wanted = environ.get("UKCC_IMAGE", "")
    if wanted not in ("", "full", "thin"):
        raise UkccError(f"UKCC_IMAGE is '{wanted}': unknown kind of image", "say full or thin")
    return wanted == "thin"


def _wanted_linkage(environ: "Mapping[str, str]") -> str:
    wanted = environ.get("UKCC_LINK", "")
    if wanted not in ("", "static", "dynamic"):
        raise UkccError(f"UKCC_LINK is '{wanted}'", "say static or dynamic, or unset it")
    return wanted


def _wanted_kernel(environ: "Mapping[str, str]") -> str:
    wanted = environ.get("UKCC_KERNEL", "")
    if wanted not in ("", GENERAL, AUTO):
        raise UkccError(f"UKCC_KERNEL is '{wanted}'", "say general or auto, or unset it")
    return wanted


def find_sysroot(environ: "Mapping[str, str]") -> str:
    """`UKCC_SYSROOT` (empty: none, what building a sysroot's own glibc needs), else the store's,
    else the one that is installed as a package.

    An absolute path without symbolic links: a link works in several directories, compares it with
    what the linker opened, and must not change its mind when `current` becomes another one.
    """
    given = environ.get("UKCC_SYSROOT")
    if given is not None:
        return os.path.realpath(given) if given else ""
    return paths.current_sysroot() or _carried_sysroot()


def _carried_sysroot() -> str:
    """That of the package ukcc-sysroot, imported into the store; or ""."""
    file = paths.carried_sysroot()
    if not os.path.isfile(file):  # noqa: PTH113
        return ""
    from ukcc.sysroot import carried
    from ukcc.sysroot.store import default_store

    return str(carried.take_in(default_store(), carried.read(file), file).path)


def find_shims(sysroot: str) -> str:
    """The directory of our `as`, with which the sysroot's glibc was built (docs/syscalls.md)."""
    if not os.access(f"{sysroot}/shims/as", os.X_OK):
        raise _not_ours(sysroot)
    return f"{sysroot}/shims"


def _not_ours(sysroot: str) -> SysrootMissing:
    return SysrootMissing(
        f"{sysroot} is not a sysroot of this ukcc",
        "run `ukcc sysroot build`, and unset UKCC_SYSROOT if it is set",
    )


def gate_flag(sysroot: str) -> str:
    """gcc's own way to be given another assembler.

    The sysroot's name is a digest that covers the assembler, so that compiler caches, which hash
    the command line, notice when it changes.
    """
    return f"-B{find_shims(sysroot)}/"


def find_compiler(name: str, environ: "Mapping[str, str]") -> str:
    """The real compiler: `UKCC_CC` or `UKCC_CXX`, else the name on PATH."""
    variable = {"gcc": "UKCC_CC", "g++": "UKCC_CXX"}.get(name, "")
    given = environ.get(variable, "") if variable else ""
    if not given:
        return find_tool(name, environ)
    found = given if "/" in given else _search(given, environ)
    if found is None or not os.access(found, os.X_OK):
        raise UkccError(
            f"{variable} names '{given}', which cannot be run", f"unset it, or install {given}"
        )
    return found


def find_tool(name: str, environ: "Mapping[str, str]") -> str:
    """A tool of the host by its plain name, never one of ours."""
    found = _search(name, environ)
    if found is None:
        from ukcc.debian_packages import package_of  # hardly ever needed

        raise UkccError(f"no '{name}' on PATH", f"apt-get install {package_of(name)}")
    return found


def plain_name(path: str) -> str:
    """`gcc` for `uk-gcc` and for `x86_64-uk-linux-gnu-gcc`; "" when the name is none of ours."""
    name = os.path.basename(path)  # noqa: PTH119
    for prefix in ("uk-", TRIPLE + "-"):
        if name.startswith(prefix):
            return name[len(prefix) :]
    return ""


def _search(name: str, environ: "Mapping[str, str]") -> "str | None":
    for directory in environ.get("PATH", os.defpath).split(os.pathsep):
        candidate = f"{directory or '.'}/{name}"
        if os.access(candidate, os.X_OK) and not os.path.isdir(candidate):  # noqa: PTH112
            if os.path.islink(candidate) and _is_no_compiler(candidate):  # noqa: PTH114
                continue
            return candidate
    return None


def _is_no_compiler(candidate: str) -> bool:
    """Whether a link named as a compiler leads to us, or to what stands before compilers.

    The first would have us run ourselves for ever. A cache or a distributor behind us would not
    know of the sysroot: its place is before us, `ccache uk-gcc`.
    """
    real = os.path.realpath(candidate)
    if os.path.basename(real) in _BEFORE_COMPILERS:  # noqa: PTH119
        return True
    return bool(plain_name(real)) or real == os.path.realpath(sys.argv[0])
