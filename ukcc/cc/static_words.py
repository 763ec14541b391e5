"""The user's words for a link in which all is static."""

from ukcc.cc import options, parse
from ukcc.cc.linkage import Lookup
from ukcc.cc.parse import Argument
from ukcc.light.sonames import is_shared

# With them GCC lets the linker take shared libraries again behind a sanitizer's archive.
_STATIC_RUNTIMES = tuple(f"-static-lib{name}" for name in ("asan", "lsan", "tsan", "ubsan"))


def static_words(
    argv: "list[str]", arguments: "tuple[Argument, ...]", lookup: Lookup
) -> "list[str]":
    """argv, which was read as `arguments`, without what only a dynamic link understands.

    A build says `-Wl,-Bstatic -lfoo -Wl,-Bdynamic` to have one library static, behind which no
    libc.a would be found; it names shared libraries that it has made beside their archives; and it
    gives a run path, with which glibc's static PIEs crash. An `@file` is passed on as it is unless
    it holds such a word.
    """
    changed = words_each(arguments, lookup)
    opened = {a.origin for a, words in zip(arguments, changed, strict=True) if words != a.words}
    if not opened:
        return argv
    result: list[str] = []
    passed = ""
    for argument, words in zip(arguments, changed, strict=True):
        if argument.origin and argument.origin not in opened:
            if argument.origin != passed:
                result.append(argument.origin)
            passed = argument.origin
            continue
        passed = ""
        result.extend(words)
    return result


def words_each(arguments: "tuple[Argument, ...]", lookup: Lookup) -> "list[tuple[str, ...]]":
    """What becomes of the words of each argument."""
    result = []
    value_follows = False  # the run path's, which may be in a -Wl, of its own
    for argument in arguments:
        if argument.meaning == options.LINKER:
            words, value_follows = _linker_words(argument, value_follows)
        else:
            words = _words(argument, lookup)
        result.append(words)
    return result


def _words(argument: Argument, lookup: Lookup) -> "tuple[str, ...]":
    if argument.meaning == parse.INPUT and is_shared(argument.value):
        return lookup.stand_in(argument.value) or argument.words
    if argument.name == "-R" or argument.name in _STATIC_RUNTIMES:
        return ()
    return argument.words


def _linker_words(argument: Argument, value_follows: bool) -> "tuple[tuple[str, ...], bool]":
    """What stays of the argument, and whether the next word for the linker is a run path."""
    words = parse.linker_words(argument)
    kept = []
    for word in words:
        meaning = options.find_linker(word)
        if value_follows:
            value_follows = False
        elif meaning == options.RUN_PATH:
            value_follows = word in ("-rpath", "--rpath", "-R")
        elif meaning != options.DYNAMIC_SEARCH:
            kept.append(word)
    if kept == words:
        return argument.words, value_follows
    return ((f"-Wl,{','.join(kept)}",) if kept else ()), value_follows
