"""Static or dynamic: how the programs of a build are linked, and when the answer is not known yet.

A program is static where its libraries allow that. It is dynamic, with interpreter and libraries
in the image, where they do not: a library that is only there as a shared one, a sanitizer's
run-time, plugins that it loads. Whether archives are to be had for all that a command line names,
and for what they need in turn, and whether the program calls `dlopen`, only the linker knows; so
the static link is tried first. docs/compatibility.md has the rules in a user's words.

Pure: what has to be looked up on the machine is handed in.
"""

from ukcc.cc import options, parse, shared
from ukcc.cc.frozen import Frozen
from ukcc.cc.parse import Argument, Invocation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# glibc's, in every sysroot, and those that come with the compiler: a static link finds them.
ALWAYS_STATIC = frozenset(
    (
        *("c", "m", "pthread", "dl", "rt", "util", "resolv", "anl", "mvec", "crypt"),
        *("gcc", "gcc_eh", "gcov", "stdc++", "stdc++fs", "supc++"),
        *("atomic", "gomp", "itm", "quadmath", "ubsan"),
    )
)

# Their run-times intercept what a shared libc.so exports; GCC refuses them with -static.
_SHARED_SANITIZERS = frozenset(("address", "hwaddress", "leak", "thread"))


class Lookup(Frozen):
    """What is known of the machine's libraries.

    stand_in: the linker's words for the archive of a shared library's path; () if it has none.
    only_shared: whether the first of the directories that has library `name` has no archive of it.
    has_libc: whether a C library lies in the directory.
    """

    __slots__ = ("has_libc", "only_shared", "stand_in")
    has_libc: "Callable[[str], bool]"
    stand_in: "Callable[[str], tuple[str, ...]]"
    only_shared: "Callable[[str, list[str]], bool]"


NOTHING_KNOWN = Lookup(
    stand_in=lambda path: (),
    only_shared=lambda name, directories: False,
    has_libc=lambda directory: False,
)
ON_DISK = Lookup(stand_in=shared.stand_in, only_shared=shared.only_shared, has_libc=shared.has_libc)


class Linkage(Frozen):
    """static: the user said so; dynamic: why the program must be so, or "".

    doubt: why the static link may fail for want of an archive, or "". exports: the program shows
    its symbols to plugins, so that a `dlopen` in whatever library is for those. libraries: the
    names behind `-l` of those that are not always there.
    """

    __slots__ = ("doubt", "dynamic", "exports", "libraries", "static")
    static: bool
    dynamic: str
    doubt: str
    exports: bool
    libraries: "tuple[str, ...]"


def decide(invocation: Invocation, lookup: Lookup) -> Linkage:
    """What the command line alone, and the directories it names, say about a program."""
    meanings = {argument.meaning for argument in invocation.arguments}
    if options.STATIC in meanings or invocation.link_kind == options.STATIC_PIE:
        return Linkage(static=True, dynamic="", doubt="", exports=False, libraries=())
    exports = options.EXPORTS in meanings or options.EXPORTS in invocation.linker
    dynamic = next(_reasons(invocation, lookup), "")
    doubt = ""
    named = tuple(dict.fromkeys(n for n in _libraries(invocation) if n not in ALWAYS_STATIC))
    if not dynamic:
        if named:
            doubt = f"lib{named[0]} may have no archive"
        elif any(_is_shared_input(a) for a in invocation.arguments):
            doubt = "an archive stands in for a shared library"
    return Linkage(static=False, dynamic=dynamic, doubt=doubt, exports=exports, libraries=named)


def directories(invocation: Invocation) -> "list[str]":
    """Where the user has libraries looked for, in the order given."""
    names = ("-L", "--library-directory")
    return [a.value for a in invocation.arguments if a.name in names]


def linker(invocation: Invocation) -> str:
    """The linker that -fuse-ld= chooses, the last one counting; "" for the compiler's own."""
    chosen = [a.value for a in invocation.arguments if a.meaning == options.LINKER_CHOICE]
    return chosen[-1] if chosen else ""


def _reasons(invocation: Invocation, lookup: Lookup) -> "Iterator[str]":
    """Why the program cannot be static."""
    for argument in invocation.arguments:
        if _is_shared_input(argument) and not lookup.stand_in(argument.value):
            yield f"{argument.value} has no archive beside it"
        elif argument.meaning == options.SANITIZER:
            for name in argument.value.split(","):
                if name in _SHARED_SANITIZERS:
                    yield f"-fsanitize={name} has a shared run-time"
        elif argument.meaning == options.LINKER and _is_reserved(argument):
            yield "room is reserved for a run path"
    if linker(invocation) == "gold" and invocation.link_kind == options.PIE:
        yield "gold knows no static PIE"
    searched = directories(invocation)
    for name in _libraries(invocation):
        if name.startswith(":"):
            if shared.is_shared(name[1:]):
                yield f"-l{name} is a shared library"
        elif lookup.only_shared(name, searched):
            yield f"lib{name} is only there as a shared library"


def _is_reserved(argument: Argument) -> bool:
    """Whether a run path is colons only: CMake will change it at installation, in the file."""
    return any(word and not word.strip(":") for word in parse.linker_words(argument))


def _is_shared_input(argument: Argument) -> bool:
    return argument.meaning == parse.INPUT and shared.is_shared(argument.value)


def named_in(words: "tuple[str, ...]") -> "list[str]":
    """The libraries that words of a static link name, also on behalf of a shared one's archive."""
    return [w[2:] for w in words if w.startswith("-l") and w[2:] not in ALWAYS_STATIC]


def _libraries(invocation: Invocation) -> "Iterator[str]":
    """The names behind `-l`, also where they are handed to the linker."""
    for argument in invocation.arguments:
        if argument.meaning == options.LIBRARY:
            yield argument.value
        elif argument.meaning == options.LINKER:
            for word in parse.linker_words(argument):
                if word.startswith("-l") and len(word) > 2:
                    yield word[2:]
                elif word.startswith("--library="):
                    yield word[len("--library=") :]
