"""The tools beside the compiler: the host's own, since an image is an ELF file they understand.

The layout of an image keeps what `strip` and `objcopy` rewrite apart from what boots.
"""

from ukcc.cc import log, toolchain
from ukcc.errors import UkccError
from ukcc.light import tool as process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

HOST_TOOLS = frozenset(
    (
        *("addr2line", "ar", "as", "c++filt", "cpp", "elfedit", "gcc-ar", "gcc-nm", "gcc-ranlib"),
        *(
            "gcov",
            "gprof",
            "ld",
            "ld.bfd",
            "nm",
            "objcopy",
            "objdump",
            "pkg-config",
            "pkgconf",
            "ranlib",
        ),
        *("readelf", "size", "strings", "strip"),
    )
)


def command(name: str, argv: "list[str]", environ: "Mapping[str, str]") -> "list[str]":
    """The command that stands behind a tool's name."""
    if name not in HOST_TOOLS:
        raise UkccError("this command is called by a name that ukcc does not serve")
    if name == "pkgconf":
        name = "pkg-config"
    tool = toolchain.find_tool(name, environ)
    if name == "pkg-config" and environ.get("UKCC_LINK") == "static":
        # Archives do not name what they need in turn, as shared libraries do.
        return [tool, "--static", *argv]
    if name == "cpp":
        sysroot = toolchain.find_sysroot(environ)
        return [tool, *(["-idirafter", f"{sysroot}/usr/include"] if sysroot else []), *argv]
    return [tool, *argv]


def run(name: str, argv: "list[str]", environ: "Mapping[str, str]") -> "NoReturn":
    """Becomes the tool."""
    words = command(name, argv, environ)
    log.record(environ, name, words)
    process.become(words, environ)
