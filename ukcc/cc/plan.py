"""Invocation + Toolchain → Plan: which command runs, whether an image is made, and why.

Pure: what has to be looked up on the machine is handed in.
"""

from ukcc.cc import linkage, options, parse
from ukcc.cc.frozen import Frozen
from ukcc.cc.linkage import Lookup
from ukcc.cc.parse import Invocation
from ukcc.cc.static_words import static_words
from ukcc.cc.toolchain import Toolchain

# What becomes of an invocation.
UNTOUCHED = "untouched"  # the real compiler, argv as it is
COMPILE = "compile"  # the real compiler, with the sysroot's headers behind its own
PROGRAM = "program"  # a link that makes an image
ORDINARY = "ordinary"  # the same link, no kernel appended (UKCC_PLAIN, -###)
NO_SYSROOT = "no sysroot"  # a link that has nothing to link against

# What a program needs that calls iconv_open(); before the compiler's own libraries, of which
# libstdc++ refers to it, too (docs/sysroot.md).
CHARSETS = "-Wl,-l:libuk_charsets.a"

# The low 256 MiB of addresses stay free; see docs/image.md.
TEXT_BASE = 0x10000000


class Plan(Frozen):
    """What to run. The fields behind `reason` are of a program's link, else empty.

    fallback: the dynamic link, which is the answer where the static `command` fails for want of
    an archive, or makes a program that loads plugins; empty where nothing is left to find out.
    """

    __slots__ = (
        "command",
        "directories",
        "doubt",
        "exports",
        "fallback",
        "fatal_warnings",
        "kind",
        "libraries",
        "output",
        "reads_stdin",
        "reason",
        "sysroot",
        "thin",
        "words",
    )
    kind: str
    command: "tuple[str, ...]"
    reason: str
    words: "tuple[str, ...]"  # the user's own, our name first
    output: str
    sysroot: str
    directories: "tuple[str, ...]"  # of -L
    libraries: "tuple[str, ...]"  # names behind -l that may have no archive
    fallback: "tuple[str, ...]"
    doubt: str  # why the static link may fail, see linkage.Linkage
    exports: bool
    fatal_warnings: bool
    reads_stdin: bool
    thin: bool


def make_plan(
    argv: "list[str]",
    invocation: Invocation,
    toolchain: Toolchain,
    lookup: Lookup = linkage.NOTHING_KNOWN,
) -> Plan:
    """The plan for the words after the program's name."""
    if invocation.foreign:
        return _run(toolchain, UNTOUCHED, argv, "no image is made of code for another ABI")
    if invocation.incomplete:
        return _run(toolchain, UNTOUCHED, argv, "the last option lacks its value")
    if invocation.query or not invocation.inputs:
        command = [*_search(toolchain), *argv]
        return _run(toolchain, COMPILE, command, "a question, or nothing to link")
    if invocation.stage or invocation.headers_only:
        command = [*_headers(invocation, toolchain), *argv]
        return _run(toolchain, COMPILE, command, invocation.stage or "a precompiled header")
    special = _special_link(invocation)
    if special:
        command = [*_headers(invocation, toolchain), *argv]
        return _run(toolchain, COMPILE, command, special)
    if not toolchain.sysroot:
        if toolchain.plain:
            return _run(toolchain, ORDINARY, argv, "UKCC_PLAIN, and no sysroot to link against")
        return _run(toolchain, NO_SYSROOT, argv, "a program needs a sysroot")
    return _program(argv, invocation, toolchain, lookup)


def _program(
    argv: "list[str]", invocation: Invocation, toolchain: Toolchain, lookup: Lookup
) -> Plan:
    kind, what = PROGRAM, ""
    if toolchain.plain:
        kind, what = ORDINARY, ", with UKCC_PLAIN"
    elif invocation.dry_run:
        kind, what = ORDINARY, "; -### runs nothing"
    decided = linkage.decide(invocation, lookup)
    start = (
        toolchain.compiler,
        *_search(toolchain),
        *_ahead_of_libc(invocation, toolchain, lookup),
        *_headers(invocation, toolchain),
    )
    dynamic = (*start, *argv, *_dynamic_flags(invocation))
    if decided.dynamic:
        command, because = dynamic, f"a dynamic program, as {decided.dynamic}"
    else:
        words = static_words(argv, invocation.arguments, lookup)
        command, because = (*start, *words, *_static_flags(invocation, toolchain)), "a program"
    return Plan(
        kind=kind,
        command=command,
        reason=because + what,
        words=(toolchain.name, *argv),
        output=invocation.output or "a.out",
        sysroot=toolchain.sysroot,
        directories=tuple(linkage.directories(invocation)),
        libraries=tuple(dict.fromkeys([*decided.libraries, *linkage.named_in(command)])),
        fallback=() if decided.static or decided.dynamic or invocation.dry_run else dynamic,
        doubt=decided.doubt,
        exports=decided.exports,
        fatal_warnings=options.FATAL_WARNINGS in invocation.linker,
        thin=toolchain.thin,
        reads_stdin=any(a.meaning == parse.INPUT and a.value == "-" for a in invocation.arguments),
    )


def _run(toolchain: Toolchain, kind: str, words: "list[str]", reason: str) -> Plan:
    command = (toolchain.compiler, *words)
    return Plan(
        kind=kind,
        command=command,
        reason=reason,
        words=(),
        output="",
        sysroot="",
        directories=(),
        libraries=(),
        fallback=(),
        doubt="",
        exports=False,
        fatal_warnings=False,
        reads_stdin=False,
        thin=False,
    )


def _special_link(invocation: Invocation) -> str:
    """Why a link is the host's to make as it is; "" for a program of ours."""
    if invocation.link_kind == options.SHARED:
        return "a shared library is linked as the host links it"
    if invocation.relocatable:
        return "joined objects are no program yet"
    if invocation.freestanding:
        return "a program without the C library brings its own start"
    return ""


def _static_flags(invocation: Invocation, toolchain: Toolchain) -> "list[str]":
    if invocation.link_kind in (options.PIE, options.STATIC_PIE):
        # At 0, where it is linked without us: glibc takes the address of a static PIE's ELF
        # header for the load bias (elf_machine_load_address), and crashes when both differ.
        return ["-static-pie", CHARSETS]
    # clang warns of a -no-pie that -static has said before.
    no_pie = [] if _is_clang(toolchain) else ["-no-pie"]
    return ["-static", *no_pie, CHARSETS, *_base(invocation)]


def _dynamic_flags(invocation: Invocation) -> "list[str]":
    if invocation.link_kind == options.PIE:
        return []
    return ["-no-pie", *_base(invocation)]


def _base(invocation: Invocation) -> "list[str]":
    """Where a program that is not position-independent begins, as its linker spells it."""
    if invocation.script:
        return []
    if linkage.linker(invocation) in ("lld", "mold"):
        return [f"-Wl,--image-base={TEXT_BASE:#x}"]
    return [f"-Wl,-Ttext-segment={TEXT_BASE:#x}"]


def _is_clang(toolchain: Toolchain) -> bool:
    return toolchain.compiler.rpartition("/")[2].startswith("clang")


def _search(toolchain: Toolchain) -> "list[str]":
    """Start files and libraries: behind the directories of -L, before those of the host."""
    return [f"-B{toolchain.sysroot}/usr/lib/"] if toolchain.sysroot else []


def _ahead_of_libc(invocation: Invocation, toolchain: Toolchain, lookup: Lookup) -> "list[str]":
    """The sysroot before all -L, where one of those has the host's libc in it.

    For clang always, which looks for libraries in no -B.
    """
    given = linkage.directories(invocation)
    if _is_clang(toolchain) or any(map(lookup.has_libc, given)):
        return [f"-L{toolchain.sysroot}/usr/lib"]
    return []


def _headers(invocation: Invocation, toolchain: Toolchain) -> "list[str]":
    """The host's headers win: they have the sysroot's version, and ports' headers lie with them."""
    if not toolchain.sysroot or invocation.no_headers:
        return []
    return ["-idirafter", f"{toolchain.sysroot}/usr/include"]
