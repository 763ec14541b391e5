"""What a program needs of a loader: read from gcc's own, dynamic link of it, before a static one.

A static program does the same as the dynamic one where nothing but glibc and gcc's own libraries
would be loaded, where it asks the loader for nothing, and where it binds no name differently. Each
function returns the first reason why that is not so, in words that follow "dynamic: ", or "".
"""

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from ukcc.image.dynamic import Dynamic

# What glibc and gcc bring along, by DT_NEEDED. A static link has archives of the same build. Not
# libgomp and libitm, whose constructors run before the program's only where they are shared.
_OF_GLIBC = frozenset(
    (
        *("ld-linux-x86-64.so.2", "libc.so.6", "libm.so.6", "libmvec.so.1"),
        *("libanl.so.1", "libdl.so.2", "libpthread.so.0", "libresolv.so.2", "librt.so.1"),
        "libutil.so.1",
    )
)
_OF_GCC = frozenset(
    (
        *("libgcc_s.so.1", "libstdc++.so.6", "libatomic.so.1", "libquadmath.so.0"),
        "libubsan.so.1",
    )
)

# Calls that answer differently, or fail, without a loader.
_LOADER_CALLS = {
    b"dlopen": "loads plugins",
    b"dlmopen": "loads plugins",
    b"dlsym": "looks up symbols",
    b"dlvsym": "looks up symbols",
    b"dladdr": "asks where symbols are",
    b"dladdr1": "asks where symbols are",
    b"dlinfo": "asks about its libraries",
    b"dl_iterate_phdr": "lists its libraries",
    b"backtrace_symbols": "shows symbols of its stack",
    b"backtrace_symbols_fd": "shows symbols of its stack",
    b"_r_debug": "reads the loader's list",
    b"_rtld_global": "reads the loader's data",
    b"_rtld_global_ro": "reads the loader's data",
}

# The calls by which a program loads a locale, or becomes another program, which may.
_LOCALE_CALLS = frozenset(
    (
        *(b"setlocale", b"newlocale", b"__newlocale", b"syscall", b"system", b"popen"),
        *(b"execve", b"execv", b"execvp", b"execvpe", b"execl", b"execlp", b"execle"),
        *(b"fexecve", b"execveat", b"posix_spawn", b"posix_spawnp"),
    )
)

# Libraries of glibc's and gcc's whose own code calls none of these.
_WITHOUT_LOCALE = frozenset(("libc.so.6", "libm.so.6", "libgcc_s.so.1", "ld-linux-x86-64.so.2"))

# The name of the dynamic section, by which a program can tell whether it is static.
DYNAMIC_SECTION = b"_DYNAMIC"

# crtbegin.o asks for it in every position-independent program.
_ALWAYS_WEAK = frozenset((b"__cxa_finalize",))


def library_reason(program: "Dynamic", others: "Collection[str]") -> str:
    """Which library the program loads that is neither glibc's nor gcc's.

    others: the sonames of shared libraries that the linker opened and that are not the sysroot's.
    """
    for name in program.needed:
        if name not in _OF_GCC and (name not in _OF_GLIBC or name in others):
            return f"it uses {name}"
    return ""


def loader_reason(program: "Dynamic") -> str:
    """Why the program needs a loader."""
    if program.resolves:
        return "it has functions that choose their code when it is loaded (ifunc)"
    for name in _LOADER_CALLS:
        if name in program.imports or name in program.weak:
            return f"it {_LOADER_CALLS[name]} ({_text(name)})"
    return ""


def may_load_locale(program: "Dynamic") -> bool:
    """Whether the program, or one that it starts, may load a locale.

    In libc itself nothing loads one but the calls for it.
    """
    names = {*program.imports, *program.weak}
    return not _WITHOUT_LOCALE.issuperset(program.needed) or not _LOCALE_CALLS.isdisjoint(names)


def name_reason(defined: "frozenset[bytes]", inner_names: "frozenset[bytes]") -> str:
    """Which of the program's functions libc.a itself would call.

    defined: all names of the dynamic program. inner_names: those by which libc.a calls itself,
    where libc.so does not (ukcc/sysroot/inner_names.py).
    """
    for name in sorted(defined & inner_names):
        return f"it defines {_text(name)}, which libc.a itself would call"
    return ""


def member_reason(
    archive: str,
    names: "frozenset[bytes]",
    dynamic: "frozenset[bytes]",
    static: "frozenset[bytes]",
) -> str:
    """Whether the two links took different members of an archive.

    names: of its index; dynamic, static: what the programs define.
    """
    for name in sorted((names & dynamic) ^ (names & static)):
        return f"the links differ in what they take of {archive} ({_text(name)})"
    return ""


def weak_reason(program: "Dynamic", static: "frozenset[bytes]", said: bytes) -> str:
    """Whether a weak reference is 0 in one of the two programs only.

    static: what the static program defines. said: what its linker said when it was told to trace
    the dynamic section, which a dynamic program has, and no static one but a PIE.
    """
    for name in sorted(program.bound - _ALWAYS_WEAK - static):
        return f"its weak reference to {_text(name)} would be 0"
    for name in sorted((program.weak - program.bound) & static):
        return f"its weak reference to {_text(name)} would not be 0"
    if DYNAMIC_SECTION in said.split():
        return f"its weak reference to {_text(DYNAMIC_SECTION)} would be 0"
    return ""


def archives(opened: "Iterable[str]") -> "frozenset[str]":
    """The archives among the files that a link opened, but for glibc's and gcc's own."""
    return frozenset(
        os.path.realpath(path) for path in opened if path.endswith(".a") and not _is_ours(path)
    )


def archive_reason(dynamic: "frozenset[str]", static: "frozenset[str]") -> str:
    """Whether the static link took an archive that the dynamic one did not."""
    for path in sorted(static - dynamic):
        return f"the static link would take {path}, which gcc does not"
    return ""


_GCC_ARCHIVES = frozenset(
    (
        *("libgcc.a", "libgcc_eh.a", "libgcov.a", "libstdc++.a", "libstdc++fs.a", "libsupc++.a"),
        *("libatomic.a", "libquadmath.a", "libubsan.a"),
    )
)


def _is_ours(path: str) -> bool:
    directory, _, name = path.rpartition("/")
    if name in _GCC_ARCHIVES:
        return True
    # A sysroot's usr/lib is the only one with this file.
    return os.path.exists(f"{directory}/inner-names")  # noqa: PTH110


def _text(name: bytes) -> str:
    return name.decode("utf-8", "replace")
