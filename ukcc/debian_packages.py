"""Which Debian package has a program, for the hint of an error.

Imports nothing, so that the compile path may use it.
"""

_BINUTILS = (
    *("addr2line", "ar", "as", "c++filt", "dwp", "elfedit", "gold", "gprof", "ld", "ld.bfd"),
    *("ld.gold", "nm", "objcopy", "objdump", "ranlib", "readelf", "size", "strings", "strip"),
)

# Where the package has another name than the program.
PACKAGES = {
    **dict.fromkeys(_BINUTILS, "binutils"),
    **dict.fromkeys(("gcc-ar", "gcc-nm", "gcc-ranlib", "gcov"), "gcc"),
    "apt-get": "apt",
    "dpkg-deb": "dpkg",
    "dpkg-query": "dpkg",
    "dpkg-source": "dpkg-dev",
    "ld.lld": "lld",
    "mkfs.ext4": "e2fsprogs",
    "qemu-system-x86_64": "qemu-system-x86",
    "unshare": "util-linux",
    "xz": "xz-utils",
}


def package_of(program: str) -> str:
    """By the program's plain name."""
    return PACKAGES.get(program, program)
