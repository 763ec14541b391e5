"""Invocation + Toolchain → Plan: which command runs, whether an image is made, and why.

Pure: what has to be looked up on the machine is handed in.
"""

from ukcc.cc import options, parse, shared
from ukcc.cc.frozen import Frozen
from ukcc.cc.parse import Argument, Invocation
from ukcc.cc.toolchain import Toolchain

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    # The words that stand in for a shared library in a static link; () keeps it.
    StandIn = Callable[[str], tuple[str, ...]]

# What becomes of an invocation.
UNTOUCHED = "untouched"  # the real compiler, argv as it is
COMPILE = "compile"  # the real compiler with our assembler
PROGRAM = "program"  # a link that makes an image
ORDINARY = "ordinary"  # the same link, no kernel appended (UKCC_PLAIN, -###)
NO_SYSROOT = "no sysroot"  # a link that has nothing to link against

# The low 256 MiB of addresses stay free; see docs/image.md.
TEXT_BASE = 0x10000000


class Plan(Frozen):
    """What to run. `output` and `name` are of the program when one is made, else empty."""

    __slots__ = ("command", "kind", "output", "reason", "sysroot")
    kind: str
    command: "tuple[str, ...]"
    output: str
    sysroot: str
    reason: str


def keep(path: str) -> "tuple[str, ...]":
    """Nothing stands in for a shared library."""
    return ()


def make_plan(
    argv: "list[str]", invocation: Invocation, toolchain: Toolchain, stand_in: "StandIn" = keep
) -> Plan:
    """The plan for the words after the program's name."""
    if invocation.foreign:
        return _run(toolchain, UNTOUCHED, argv, "code for another ABI has no system-call layer")
    if invocation.incomplete:
        return _run(toolchain, UNTOUCHED, argv, "the last option lacks its value")
    if invocation.query or not invocation.inputs:
        command = [*_shims(toolchain), *_search(toolchain), *argv]
        return _run(toolchain, COMPILE, command, "a question, or nothing to link")
    if invocation.stage or invocation.headers_only:
        command = [*_shims(toolchain), *_headers(invocation, toolchain), *argv]
        return _run(toolchain, COMPILE, command, invocation.stage or "a precompiled header")
    special = _special_link(invocation)
    if special:
        command = [*_shims(toolchain), *_headers(invocation, toolchain), *argv]
        return _run(toolchain, COMPILE, command, special)
    if not toolchain.sysroot:
        command = [*_shims(toolchain), *argv]
        if toolchain.plain:
            return _run(toolchain, ORDINARY, command, "UKCC_PLAIN, and no sysroot to link against")
        return _run(toolchain, NO_SYSROOT, command, "a program needs a sysroot")
    return _program(argv, invocation, toolchain, stand_in)


def _program(
    argv: "list[str]", invocation: Invocation, toolchain: Toolchain, stand_in: "StandIn"
) -> Plan:
    kind, reason = PROGRAM, "a program"
    if toolchain.plain:
        kind, reason = ORDINARY, "a program, with UKCC_PLAIN"
    elif invocation.dry_run:
        kind, reason = ORDINARY, "-### runs nothing"
    # Our search directories come first, so that no -L of the host's beats the sysroot's libc.a.
    command = (
        toolchain.compiler,
        *_shims(toolchain),
        *_search(toolchain),
        *_headers(invocation, toolchain),
        *_all_static(argv, invocation.arguments, stand_in),
        *_link_flags(invocation),
    )
    return Plan(
        kind=kind,
        command=command,
        output=invocation.output or "a.out",
        sysroot=toolchain.sysroot,
        reason=reason,
    )


def _run(toolchain: Toolchain, kind: str, words: "list[str]", reason: str) -> Plan:
    command = (toolchain.compiler, *words)
    return Plan(kind=kind, command=command, output="", sysroot="", reason=reason)


def _special_link(invocation: Invocation) -> str:
    """Why a link is the host's to make as it is; "" for a program of ours."""
    if invocation.link_kind == options.SHARED:
        return "a shared library is linked as the host links it"
    if invocation.relocatable:
        return "joined objects are no program yet"
    if invocation.freestanding:
        return "a program without the C library brings its own start"
    return ""


def _link_flags(invocation: Invocation) -> "list[str]":
    if invocation.link_kind in (options.PIE, options.STATIC_PIE):
        # At 0, where it is linked without us: glibc takes the address of a static PIE's ELF
        # header for the load bias (elf_machine_load_address), and crashes when both differ.
        return ["-static-pie"]
    base = [] if invocation.script else [f"-Wl,-Ttext-segment={TEXT_BASE:#x}"]
    return ["-static", "-no-pie", *base]


def _shims(toolchain: Toolchain) -> "list[str]":
    """Our assembler; clang has to be told to use one at all."""
    name = toolchain.compiler.rpartition("/")[2]
    external = ["-fno-integrated-as"] if name.startswith("clang") else []
    return [f"-B{toolchain.shims}/", *external]


def _search(toolchain: Toolchain) -> "list[str]":
    if not toolchain.sysroot:
        return []
    library = f"{toolchain.sysroot}/usr/lib"
    return [f"-B{library}/", f"-L{library}"]


def _headers(invocation: Invocation, toolchain: Toolchain) -> "list[str]":
    """The host's headers win: they have the sysroot's version, and ports' headers lie with them."""
    if not toolchain.sysroot or invocation.no_headers:
        return []
    return ["-idirafter", f"{toolchain.sysroot}/usr/include"]


def _all_static(
    argv: "list[str]", arguments: "tuple[Argument, ...]", stand_in: "StandIn"
) -> "list[str]":
    """The user's words for a link in which all is static.

    A build says `-Wl,-Bstatic -lfoo -Wl,-Bdynamic` to have one library static, behind which no
    libc.a would be found; and it names shared libraries that it has made beside their archives.
    An `@file` is passed on as it is unless it holds such a word.
    """
    changed = {id(a): words for a in arguments if (words := _static_words(a, stand_in)) != a.words}
    if not changed:
        return argv
    opened = {a.origin for a in arguments if id(a) in changed}
    result: list[str] = []
    passed = ""
    for argument in arguments:
        if argument.origin and argument.origin not in opened:
            if argument.origin != passed:
                result.append(argument.origin)
            passed = argument.origin
            continue
        passed = ""
        result.extend(changed.get(id(argument), argument.words))
    return result


def _static_words(argument: Argument, stand_in: "StandIn") -> "tuple[str, ...]":
    if argument.meaning == parse.INPUT and shared.is_shared(argument.value):
        return stand_in(argument.value) or argument.words
    if argument.meaning != options.LINKER:
        return argument.words
    words = parse.linker_words(argument)
    kept = [w for w in words if options.find_linker(w) != options.DYNAMIC_SEARCH]
    if kept == words:
        return argument.words
    return (f"-Wl,{','.join(kept)}",) if kept else ()
