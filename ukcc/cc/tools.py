"""The tools beside the compiler: the host's own, since an image is an ELF file they understand.

The layout of an image keeps what `strip` and `objcopy` rewrite apart from what boots.
"""

from ukcc import paths
from ukcc.cc import log, process, toolchain
from ukcc.errors import UkccError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import NoReturn

# Name → the host's tool that answers to it.
HOST_TOOLS = {
    "addr2line": "addr2line",
    "ar": "ar",
    "c++filt": "c++filt",
    "cpp": "cpp",
    "elfedit": "elfedit",
    "gcc-ar": "gcc-ar",
    "gcc-nm": "gcc-nm",
    "gcc-ranlib": "gcc-ranlib",
    "gcov": "gcov",
    "gprof": "gprof",
    "ld": "ld",
    "ld.bfd": "ld.bfd",
    "nm": "nm",
    "objcopy": "objcopy",
    "objdump": "objdump",
    "pkg-config": "pkg-config",
    "pkgconf": "pkg-config",
    "ranlib": "ranlib",
    "readelf": "readelf",
    "size": "size",
    "strings": "strings",
    "strip": "strip",
}


def command(name: str, argv: "list[str]", environ: "Mapping[str, str]") -> "list[str]":
    """The command that stands behind a tool's name."""
    if name == "as":
        return [f"{paths.data_dir('toolchain-shims')}/as", *argv]
    if name not in HOST_TOOLS:
        raise UkccError("this command is called by a name that ukcc does not serve")
    tool = toolchain.find_tool(HOST_TOOLS[name], environ)
    if HOST_TOOLS[name] == "pkg-config":
        # Programs link static archives, and those need their own dependencies named.
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
