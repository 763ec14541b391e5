"""Invocation + Toolchain → Plan: which command runs, whether an image is made, and why.

Pure: what has to be looked up on the machine is handed in.
"""

from ukcc.cc import linkage, options, parse
from ukcc.cc.linkage import Lookup
from ukcc.cc.parse import Invocation
from ukcc.cc.static_words import static_words, words_each
from ukcc.cc.toolchain import Toolchain
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

# What becomes of an invocation.
UNTOUCHED = "untouched"  # the real compiler, argv as it is
COMPILE = "compile"  # the real compiler, with the sysroot's headers behind its own
PROGRAM = "program"  # a link that makes an image
ORDINARY = "ordinary"  # the same link, no kernel appended (UKCC_PLAIN, -###)
NO_SYSROOT = "no sysroot"  # a link that has nothing to link against

# What a program needs that calls iconv_open(); before the compiler's own libraries, of which
# libstdc++ refers to it, too (docs/sysroot.md).
CHARSETS = "-Wl,-l:libuk_charsets.a"

# What is linked as it is; of other inputs collect2's words say what was made of them.
_LINKED = (".o", ".a", ".so", ".lo", ".obj")

# They show or keep what gcc does in between, which is to be as gcc does it.
_SHOWN = ("-v", "--verbose", "-time", "-save-temps", "--save-temps", "-dump", "-fdump", "-wrapper")

# The low 256 MiB of addresses stay free; see docs/image.md.
TEXT_BASE = 0x10000000


class Plan(Record):
    """What to run. The fields after `reason` are of a program's link, else empty.

    command: the link as gcc would do it, or the only one there is. static: the static link, which
    replaces it where both programs do the same (see `loader_needs`); empty where that is settled.
    inputs: where the input files stand in `command`, and in `static` (-1: other words do), if there
    are sources among them whose objects a second link may have (see `objects`); else empty.
    """

    kind: str
    command: "tuple[str, ...]"
    reason: str
    words: "tuple[str, ...]"  # the user's own, our name first
    output: str
    sysroot: str
    directories: "tuple[str, ...]"  # of -L
    run_directories: "tuple[str, ...]"  # of -rpath-link and -rpath
    static: "tuple[str, ...]"
    inputs: "tuple[tuple[int, int], ...]"
    has_map: bool  # the linker writes a map, which is of the last link
    listing: str  # where the user has the linker list its inputs, or ""
    reads_stdin: bool
    thin: bool
    kernel: str  # general or auto, "" where the settings say it


def make_plan(
    argv: "list[str]",
    invocation: Invocation,
    toolchain: Toolchain,
    lookup: Lookup = linkage.NOTHING_KNOWN,
) -> Plan:
    """The plan for the words after the program's name."""
    if invocation.foreign:
        return _run(toolchain, UNTOUCHED, argv, "code for another ABI does not become an image")
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
    decided = linkage.decide(invocation, lookup, toolchain.linkage)
    start = (
        toolchain.compiler,
        *_room(toolchain),
        *_search(toolchain),
        *_ahead_of_libc(invocation, toolchain, lookup),
        *_headers(invocation, toolchain),
    )
    dynamic = (*start, *argv, *_dynamic_flags(invocation))
    words = static_words(argv, invocation.arguments, lookup)
    static = (*start, *words, *_static_flags(invocation, toolchain))
    return Plan(
        kind=kind,
        command=static if decided.kind == linkage.STATIC else dynamic,
        reason=decided.reason + what,
        words=(toolchain.name, *argv),
        output=invocation.output or "a.out",
        sysroot=toolchain.sysroot,
        directories=tuple(linkage.directories(invocation)),
        run_directories=tuple(linkage.run_directories(invocation)),
        static=static if decided.kind == linkage.OPEN and not invocation.dry_run else (),
        inputs=tuple(_inputs(invocation, toolchain, lookup, len(start))),
        has_map=options.MAP in invocation.linker,
        listing=invocation.listing,
        thin=toolchain.thin,
        kernel=toolchain.kernel,
        reads_stdin=any(a.meaning == parse.INPUT and a.value == "-" for a in invocation.arguments),
    )


def _inputs(
    invocation: Invocation, toolchain: Toolchain, lookup: Lookup, first: int
) -> "Iterator[tuple[int, int]]":
    """Where the input files stand, behind `first` words: see Plan."""
    arguments = invocation.arguments
    names = [a.value for a in arguments if a.meaning == parse.INPUT]
    if all(name.endswith(_LINKED) for name in names) or _is_clang(toolchain):
        return
    if any(a.origin or a.name == "-x" or a.words[0].startswith(_SHOWN) for a in arguments):
        return
    here = there = first
    for argument, words in zip(arguments, words_each(arguments, lookup)):  # noqa: B905
        if argument.meaning == parse.INPUT:
            yield here, there if words == argument.words else -1
        here += len(argument.words)
        there += len(words)


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
        run_directories=(),
        static=(),
        inputs=(),
        has_map=False,
        listing="",
        reads_stdin=False,
        thin=False,
        kernel="",
    )


def _special_link(invocation: Invocation) -> str:
    """Why a link is the host's to make as it is; "" for a program of ours."""
    if invocation.link_kind == options.SHARED:
        return "a shared library is linked as the host links it"
    if invocation.relocatable:
        return "joined objects are not a program yet"
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
    # Without unwind tables in a header, exceptions work only after crtbegin's constructor.
    return ["-static", *no_pie, CHARSETS, "-Wl,--eh-frame-hdr", *_base(invocation)]


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


def _room(toolchain: Toolchain) -> "list[str]":
    """Room for the image's program headers (ukcc/image/room.py), for the linker and not the driver,
    which names some files by its inputs."""
    return ["-Xlinker", f"{toolchain.sysroot}/shims/room.o"]


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
