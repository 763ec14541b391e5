"""argv → Invocation: how each word was read. No decision is taken here, see `plan`."""

from ukcc.cc import atfile, options
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

INPUT = "is an input"
UNKNOWN = "is not ours to read"

_STAGES = (options.PREPROCESS, options.COMPILE, options.ASSEMBLE)
_TAKES_NEXT = (options.SEPARATE, options.EITHER, options.EQUALS)
_LINK_KINDS = (options.SHARED, options.PIE, options.STATIC_PIE, options.NO_PIE)


class Argument(Record):
    """One option with its value, or one input; `words` are as they stood on the command line."""

    words: "tuple[str, ...]"
    name: str  # of the option; "" for an input
    value: str  # of the option, or the input's path
    meaning: str
    origin: str  # the @file it came from, or ""


class Invocation(Record):
    """A command line, read: what the words ask for, and in what order they came."""

    arguments: "tuple[Argument, ...]"
    inputs: int  # files, libraries and words for the linker: what makes GCC go on to link
    output: str  # of -o, or of -Wl,-o; or ""
    stage: str  # the earliest stage to stop after, or ""
    linker: "tuple[str, ...]"  # what the words for the linker mean for us
    listing: str  # of -Wl,--dependency-file: where the linker lists its inputs, or ""
    link_kind: str  # the last of shared, pie, static-pie, no-pie; or ""; -static -pie is no-pie
    query: bool
    dry_run: bool
    relocatable: bool
    freestanding: bool
    no_headers: bool
    foreign: bool
    script: bool
    incomplete: bool  # the last option lacks its value; words of ours must not become it
    headers_only: bool  # every input is a header: GCC makes a precompiled one


def parse(argv: "list[str]") -> Invocation:
    """Reads the words after the program's name."""
    arguments = _read_all(atfile.expand(argv))
    meanings = {argument.meaning for argument in arguments}
    linker = [m for a in arguments if a.meaning == options.LINKER for m in linker_meanings(a)]
    kinds = [a.meaning for a in arguments if a.meaning in _LINK_KINDS]
    kinds += [m for m in linker if m in _LINK_KINDS]
    outputs = [a.value for a in arguments if a.meaning == options.OUTPUT]
    outputs += _linker_outputs(arguments)  # behind the driver's own on the linker's command line
    listings = linker_values(arguments, options.LISTING)
    makes_link = (INPUT, options.LIBRARY, options.LINKER)
    return Invocation(
        arguments=tuple(arguments),
        linker=tuple(linker),
        inputs=sum(a.meaning in makes_link for a in arguments),
        output=outputs[-1] if outputs else "",
        listing=listings[-1] if listings else "",
        stage=next((stage for stage in _STAGES if stage in meanings), ""),
        link_kind=_link_kind(kinds, static=options.STATIC in meanings),
        query=options.QUERY in meanings,
        dry_run=options.DRY_RUN in meanings,
        relocatable=options.RELOCATABLE in meanings or options.RELOCATABLE in linker,
        freestanding=options.FREESTANDING in meanings,
        no_headers=not meanings.isdisjoint((options.NO_HEADERS, options.OTHER_ROOT)),
        foreign=options.FOREIGN in meanings,
        script=options.SCRIPT in meanings or options.SCRIPT in linker,
        headers_only=_headers_only(arguments),
        incomplete=bool(arguments) and _lacks_value(arguments[-1]),
    )


def linker_words(argument: Argument) -> "list[str]":
    """The words that an argument hands to the linker."""
    return argument.value.split(",") if argument.name == "-Wl," else [argument.value]


def linker_meanings(argument: Argument) -> "list[str]":
    """What those words mean for us; words that mean nothing are left out."""
    found = (options.find_linker(word) for word in linker_words(argument))
    return [meaning for meaning in found if meaning is not None]


def _link_kind(kinds: "list[str]", *, static: bool) -> str:
    kind = kinds[-1] if kinds else ""
    # GCC's specs look for -static first: a static program is no PIE unless -static-pie asks for it.
    return options.NO_PIE if static and kind == options.PIE else kind


def all_linker_words(arguments: "Iterable[Argument]") -> "list[str]":
    """Every word for the linker, in order."""
    words = []
    for argument in arguments:
        if argument.meaning == options.LINKER:
            words += linker_words(argument)
        elif argument.name == "-z":
            words += ["-z", argument.value]
    return words


def _linker_outputs(arguments: "list[Argument]") -> "list[str]":
    """The outputs that the linker is told of directly, in one word or two."""
    return linker_values(arguments, options.OUTPUT)


def linker_values(arguments: "Iterable[Argument]", meaning: str) -> "list[str]":
    """The values of the linker's options of that meaning, in one word or two."""
    words = all_linker_words(arguments)
    found = []
    for word, following in zip(words, [*words, ""][1:], strict=True):
        if options.find_linker(word) == meaning:
            name, equals, value = word.partition("=")
            if name.lstrip("-") in options.LINKER_TABLE:
                found.append(value if equals else following)
            else:
                found.append(word[2:])  # -oNAME
    return [name for name in found if name]


def _read_all(expanded: "list[tuple[str, str]]") -> "list[Argument]":
    arguments = []
    words = iter(expanded)
    for word, origin in words:
        name, value, meaning = "", word, INPUT
        taken: tuple[str, ...] = (word,)
        # A lone dash is standard input.
        if word.startswith("-") and word != "-":
            option = options.find(word)
            if option is None:
                name, value, meaning = word, "", UNKNOWN
            else:
                name, attach, meaning = option
                value = word[len(name) :]
                if attach == options.EQUALS:
                    value = value[1:]
                if word == name and attach in _TAKES_NEXT:
                    following = next(words, None)
                    if following is not None:
                        value = following[0]
                        taken = (word, value)
        arguments.append(
            Argument(words=taken, name=name, value=value, meaning=meaning, origin=origin)
        )
    return arguments


def _lacks_value(argument: Argument) -> bool:
    attach = options.TABLE.get(argument.words[0], ("", ""))[0]
    return len(argument.words) == 1 and attach in _TAKES_NEXT


def _headers_only(arguments: "list[Argument]") -> bool:
    language = "none"
    headers = []
    for argument in arguments:
        if argument.meaning == options.LANGUAGE:
            language = argument.value
        elif argument.meaning in (options.LIBRARY, options.LINKER):
            headers.append(False)
        elif argument.meaning == INPUT:
            if language == "none":
                headers.append(argument.value.endswith(options.HEADER_SUFFIXES))
            else:
                headers.append(language.endswith("-header"))
    return bool(headers) and all(headers)
