"""Static or dynamic: what a command line says of it, before anything is linked.

What gcc would link shared is linked shared, unless the outcome is the same. Some words settle it;
for the rest the linker is asked (`link` and `needs`). docs/compatibility.md has the rules in a
user's words.
"""

from ukcc.cc import options, parse, shared
from ukcc.cc.parse import Argument, Invocation
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# How a program is linked.
STATIC = "static"
DYNAMIC = "dynamic"
OPEN = "open"  # dynamic as gcc does it, and then static if that makes no difference

# A shell names pipes so: `<(command)`.
_OPEN_FILES = ("/dev/fd/", "/proc/self/fd/", "/dev/stdin")

# Their run-times intercept what a shared libc.so exports; GCC refuses them with -static.
_SHARED_SANITIZERS = frozenset(("address", "hwaddress", "leak", "thread"))


class Lookup(Record):
    """What is known of the machine's libraries.

    stand_in: the linker's words for the archive of a shared library's path; () if it has none.
    has_libc, has_linker: whether a C library, or a linker, lies in the directory.
    is_read_once: whether the path is that of a pipe, or of something else that is no plain file.
    """

    has_libc: "Callable[[str], bool]"
    has_linker: "Callable[[str], bool]"
    is_read_once: "Callable[[str], bool]"
    stand_in: "Callable[[str], tuple[str, ...]]"


NOTHING_KNOWN = Lookup(
    stand_in=lambda path: (),
    has_libc=lambda directory: False,
    has_linker=lambda directory: False,
    is_read_once=lambda path: False,
)
ON_DISK = Lookup(
    stand_in=shared.stand_in,
    has_libc=shared.has_libc,
    has_linker=shared.has_linker,
    is_read_once=shared.is_read_once,
)


class Linkage(Record):
    """kind: STATIC, DYNAMIC or OPEN; reason: why, as a part of a sentence."""

    kind: str
    reason: str


def decide(invocation: Invocation, lookup: Lookup, chosen: str = "") -> Linkage:
    """What the command line says about a program. chosen: UKCC_LINK, which comes before it."""
    meanings = {argument.meaning for argument in invocation.arguments}
    if options.STATIC in meanings or invocation.link_kind == options.STATIC_PIE:
        return Linkage(kind=STATIC, reason="a static program, as the command line says")
    if chosen:
        return Linkage(kind=chosen, reason=f"a {chosen} program, as UKCC_LINK says")
    if linker(invocation) == "gold":
        return _for_gold(invocation)
    if any(a.name == "-B" and lookup.has_linker(a.value) for a in invocation.arguments):
        return Linkage(kind=STATIC, reason="a static program, as -B has a linker of its own")
    reason = next(_reasons(invocation, lookup), "")
    if reason:
        return Linkage(kind=DYNAMIC, reason=f"a dynamic program, as {reason}")
    return Linkage(kind=OPEN, reason="a program")


def directories(invocation: Invocation) -> "list[str]":
    """Where the user has libraries looked for, in the order given."""
    names = ("-L", "--library-directory")
    return [a.value for a in invocation.arguments if a.name in names]


def run_directories(invocation: Invocation) -> "list[str]":
    """Where a linker finds the libraries that libraries need: -rpath-link, then -rpath (ld(1))."""
    values = [
        value
        for meaning in (options.LINK_PATH, options.RUN_PATH)
        for value in parse.linker_values(invocation.arguments, meaning)
    ]
    directories = (directory for value in values for directory in value.split(":"))
    return list(dict.fromkeys(d for d in directories if d and "$" not in d))


def linker(invocation: Invocation) -> str:
    """The linker that -fuse-ld= chooses, the last one counting; "" for the compiler's own."""
    chosen = [a.value for a in invocation.arguments if a.meaning == options.LINKER_CHOICE]
    return chosen[-1] if chosen else ""


def _for_gold(invocation: Invocation) -> Linkage:
    """gold makes no static PIE, and cannot read the linker scripts of our shared glibc."""
    if invocation.link_kind == options.PIE:
        return Linkage(kind=DYNAMIC, reason="a dynamic program, as gold makes no static PIE")
    return Linkage(kind=STATIC, reason="a static program, as gold cannot read libc.so")


def _reasons(invocation: Invocation, lookup: Lookup) -> "Iterator[str]":
    """Why the program cannot be static."""
    for argument in invocation.arguments:
        if argument.meaning == parse.INPUT and argument.value != "-":
            if lookup.is_read_once(argument.value):
                yield f"{argument.value} can be read only once"
        elif argument.name in ("-e", "--entry"):
            yield "it has an entry point of its own"
        elif argument.meaning == options.SANITIZER:
            for name in argument.value.split(","):
                if name in _SHARED_SANITIZERS:
                    yield f"-fsanitize={name} has a shared run-time"
        elif argument.meaning == options.LINKER and _is_reserved(argument):
            yield "room is reserved for a run path"
    for word in _joined(parse.all_linker_words(invocation.arguments)):
        if options.find_linker(word) == options.FOR_THE_LOADER:
            yield f"{word} {options.FOR_THE_LOADER}"
    for argument in invocation.arguments:
        for word in argument.words:
            if any(place in word for place in _OPEN_FILES):
                yield f"{word} can be read only once"


def _joined(words: "list[str]") -> "Iterator[str]":
    """The words, with `-z` and its keyword in one: `-z muldefs`."""
    before = ""
    for word in words:
        if before == "-z":
            yield f"-z {word}"
        elif word.startswith("-z") and len(word) > 2:
            yield f"-z {word[2:]}"
        elif word != "-z":
            yield word
        before = word


def _is_reserved(argument: Argument) -> bool:
    """Whether a run path is colons only: CMake will change it at installation, in the file."""
    return any(word and not word.strip(":") for word in parse.linker_words(argument))
