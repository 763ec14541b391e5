"""GCC's command line as data: how each option's value attaches, and what it means for us.

Only options are listed that take a separate word as their value (so that the word is not taken
for an input) or that decide what an invocation is. Everything else passes through unread.
The source is GCC's own `common.opt`, `c-family/c.opt` and `gcc.cc`.
"""

# How the value attaches.
FLAG = "flag"  # no value: -c
SEPARATE = "separate"  # the next word: -Xlinker X
JOINED = "joined"  # the rest of the word: -Wl,X
EITHER = "either"  # both: -oX, -o X
EQUALS = "equals"  # the next word, or behind `=`: --sysroot X, --sysroot=X

# What it means. The first group stops before the link, the later stage losing to the earlier.
PREPROCESS = "stop after preprocessing"
COMPILE = "stop after compiling"
ASSEMBLE = "stop after assembling"
QUERY = "asks the compiler something"
DRY_RUN = "prints the commands and runs none"
OUTPUT = "names the output"
LANGUAGE = "sets the language of the inputs that follow"
SHARED = "makes a shared library"
PIE = "makes a position-independent program"
STATIC_PIE = "makes a static position-independent program"
NO_PIE = "makes a program at a fixed address"
STATIC = "makes a program without shared libraries"
EXPORTS = "shows the program's symbols to plugins"
SANITIZER = "adds a sanitizer"
LINKER_CHOICE = "chooses the linker"
RELOCATABLE = "joins objects into one"
FREESTANDING = "links without the C library or its start files"
NO_HEADERS = "searches no standard headers"
OTHER_ROOT = "has headers searched in a root of its own"
FOREIGN = "is for another ABI"
LIBRARY = "names a library"
LINKER = "speaks to the linker"
SCRIPT = "gives the linker a layout of its own"
PLAIN = "passes through"

# Options of the linker, as they come in -Wl, and -Xlinker, that change what an invocation is.
RUN_PATH = "says where shared libraries are at run time"
LINK_PATH = "says where the linker finds what libraries need"
MAP = "has the linker write a map"
LISTING = "has the linker list its inputs"
FOR_THE_LOADER = "means something else in a static program"
DYNAMIC_SEARCH = "lets the linker take shared libraries again"

TABLE: "dict[str, tuple[str, str]]" = {
    # Stages
    "-E": (FLAG, PREPROCESS),
    "--preprocess": (FLAG, PREPROCESS),
    "-M": (FLAG, PREPROCESS),
    "--dependencies": (FLAG, PREPROCESS),
    "-MM": (FLAG, PREPROCESS),
    "--user-dependencies": (FLAG, PREPROCESS),
    "-S": (FLAG, COMPILE),
    "--assemble": (FLAG, COMPILE),
    "-fsyntax-only": (FLAG, COMPILE),
    "--syntax-only": (FLAG, COMPILE),
    "-c": (FLAG, ASSEMBLE),
    "--compile": (FLAG, ASSEMBLE),
    # Questions
    "--version": (FLAG, QUERY),
    "--help": (FLAG, QUERY),
    "--help=": (JOINED, QUERY),
    "--target-help": (FLAG, QUERY),
    "-dumpmachine": (FLAG, QUERY),
    "-dumpversion": (FLAG, QUERY),
    "-dumpfullversion": (FLAG, QUERY),
    "-dumpspecs": (FLAG, QUERY),
    "-fversion": (FLAG, QUERY),
    "-fhelp": (FLAG, QUERY),
    "-fhelp=": (JOINED, QUERY),
    "-ftarget-help": (FLAG, QUERY),
    "--completion=": (JOINED, QUERY),
    "-print-file-name=": (JOINED, QUERY),
    "-print-libgcc-file-name": (FLAG, QUERY),
    "-print-multi-directory": (FLAG, QUERY),
    "-print-multi-lib": (FLAG, QUERY),
    "-print-multi-os-directory": (FLAG, QUERY),
    "-print-multiarch": (FLAG, QUERY),
    "-print-prog-name=": (JOINED, QUERY),
    "-print-search-dirs": (FLAG, QUERY),
    "-print-sysroot": (FLAG, QUERY),
    "-print-sysroot-headers-suffix": (FLAG, QUERY),
    "--print-file-name": (EQUALS, QUERY),
    "--print-libgcc-file-name": (FLAG, QUERY),
    "--print-multi-directory": (FLAG, QUERY),
    "--print-multi-lib": (FLAG, QUERY),
    "--print-multi-os-directory": (FLAG, QUERY),
    "--print-multiarch": (FLAG, QUERY),
    "--print-prog-name": (EQUALS, QUERY),
    "--print-search-dirs": (FLAG, QUERY),
    "--print-sysroot": (FLAG, QUERY),
    "--print-sysroot-headers-suffix": (FLAG, QUERY),
    "-###": (FLAG, DRY_RUN),
    # Output and inputs
    "-o": (EITHER, OUTPUT),
    "--output": (EQUALS, OUTPUT),
    "-x": (EITHER, LANGUAGE),
    "--language": (EQUALS, LANGUAGE),
    "-l": (EITHER, LIBRARY),
    "-L": (EITHER, PLAIN),
    "--library-directory": (EQUALS, PLAIN),
    # Kinds of link: the last of the first four wins, as in GCC
    "-shared": (FLAG, SHARED),
    "--shared": (FLAG, SHARED),
    "-pie": (FLAG, PIE),
    "--pie": (FLAG, PIE),
    "-static-pie": (FLAG, STATIC_PIE),
    "--static-pie": (FLAG, STATIC_PIE),
    "-no-pie": (FLAG, NO_PIE),
    "--no-pie": (FLAG, NO_PIE),
    "-nopie": (FLAG, NO_PIE),
    "-static": (FLAG, STATIC),
    "--static": (FLAG, STATIC),
    "-rdynamic": (FLAG, EXPORTS),
    "-fsanitize=": (JOINED, SANITIZER),
    "-fuse-ld=": (JOINED, LINKER_CHOICE),
    "-r": (FLAG, RELOCATABLE),
    "-nostdlib": (FLAG, FREESTANDING),
    "--no-standard-libraries": (FLAG, FREESTANDING),
    "-nostartfiles": (FLAG, FREESTANDING),
    "-nodefaultlibs": (FLAG, FREESTANDING),
    "-nolibc": (FLAG, FREESTANDING),
    "-nostdinc": (FLAG, NO_HEADERS),
    "--no-standard-includes": (FLAG, NO_HEADERS),
    "-ffreestanding": (FLAG, NO_HEADERS),
    "--freestanding": (FLAG, NO_HEADERS),
    "-m32": (FLAG, FOREIGN),
    "-mx32": (FLAG, FOREIGN),
    "-m16": (FLAG, FOREIGN),
    "-miamcu": (FLAG, FOREIGN),
    "--machine=32": (FLAG, FOREIGN),
    "--machine=x32": (FLAG, FOREIGN),
    "--machine=16": (FLAG, FOREIGN),
    "--machine=iamcu": (FLAG, FOREIGN),
    "--machine-32": (FLAG, FOREIGN),
    "--machine-x32": (FLAG, FOREIGN),
    "--machine-16": (FLAG, FOREIGN),
    "--machine-iamcu": (FLAG, FOREIGN),
    # The linker
    "-Wl,": (JOINED, LINKER),
    "-Xlinker": (SEPARATE, LINKER),
    "--for-linker": (EQUALS, LINKER),
    "-T": (EITHER, SCRIPT),
    "-Ttext": (EQUALS, SCRIPT),
    "-Tdata": (EQUALS, PLAIN),
    "-Tbss": (EQUALS, PLAIN),
    "-e": (EITHER, PLAIN),
    "--entry": (EQUALS, PLAIN),
    "-u": (EITHER, PLAIN),
    "--force-link": (EQUALS, PLAIN),
    "-z": (EITHER, PLAIN),
    "-R": (EITHER, PLAIN),
    "-h": (EITHER, PLAIN),
    # Values that are words of their own
    "-A": (EITHER, PLAIN),
    "--assert": (EQUALS, PLAIN),
    "-B": (EITHER, PLAIN),
    "--prefix": (EQUALS, PLAIN),
    "-D": (EITHER, PLAIN),
    "--define-macro": (EQUALS, PLAIN),
    "-U": (EITHER, PLAIN),
    "--undefine-macro": (EQUALS, PLAIN),
    "-F": (EITHER, PLAIN),
    "-G": (EITHER, PLAIN),
    "-I": (EITHER, PLAIN),
    "--include-directory": (EQUALS, PLAIN),
    "--include-directory-after": (EQUALS, PLAIN),
    "-J": (EITHER, PLAIN),
    "-MF": (EITHER, PLAIN),
    "-MQ": (EITHER, PLAIN),
    "-MT": (EITHER, PLAIN),
    "-MD": (FLAG, PLAIN),
    "-MMD": (FLAG, PLAIN),
    "-MG": (FLAG, PLAIN),
    "-MP": (FLAG, PLAIN),
    "-Xassembler": (SEPARATE, PLAIN),
    "--for-assembler": (EQUALS, PLAIN),
    "-Xpreprocessor": (SEPARATE, PLAIN),
    "-Xf": (EITHER, PLAIN),
    "-Hd": (EITHER, PLAIN),
    "-Hf": (EITHER, PLAIN),
    "-aux-info": (SEPARATE, PLAIN),
    "-dumpbase": (SEPARATE, PLAIN),
    "-dumpbase-ext": (SEPARATE, PLAIN),
    "-dumpdir": (SEPARATE, PLAIN),
    "--dump": (EQUALS, PLAIN),
    "--dumpbase": (SEPARATE, PLAIN),
    "--dumpbase-ext": (SEPARATE, PLAIN),
    "--dumpdir": (SEPARATE, PLAIN),
    "-fintrinsic-modules-path": (EITHER, PLAIN),
    "-framework": (SEPARATE, PLAIN),
    "-gnatO": (SEPARATE, PLAIN),
    "-idirafter": (EITHER, PLAIN),
    "-imacros": (EITHER, PLAIN),
    "--imacros": (EQUALS, PLAIN),
    "-imultiarch": (EITHER, PLAIN),
    "-imultilib": (EITHER, PLAIN),
    "-include": (EITHER, PLAIN),
    "--include": (EQUALS, PLAIN),
    "-iprefix": (EITHER, PLAIN),
    "--include-prefix": (EQUALS, PLAIN),
    "-iquote": (EITHER, PLAIN),
    "-isysroot": (EITHER, OTHER_ROOT),
    "-isystem": (EITHER, PLAIN),
    "-iwithprefix": (EITHER, PLAIN),
    "--include-with-prefix": (EQUALS, PLAIN),
    "--include-with-prefix-after": (EQUALS, PLAIN),
    "-iwithprefixbefore": (EITHER, PLAIN),
    "--include-with-prefix-before": (EQUALS, PLAIN),
    "--output-pch=": (EITHER, PLAIN),
    "--param": (EQUALS, PLAIN),
    "--print-missing-file-dependencies": (FLAG, PLAIN),
    "-specs": (EQUALS, PLAIN),
    "--specs": (EQUALS, PLAIN),
    "--sysroot": (EQUALS, OTHER_ROOT),
    "-wrapper": (SEPARATE, PLAIN),
}

# Longest name that may be the beginning of a word, so that a look-up tries no longer one.
LONGEST = max(len(name) for name, (attach, _) in TABLE.items() if attach != FLAG) + 1

# The linker's own options, one or two dashes. Those that end in `=` or a space-less value are
# matched up to it.
LINKER_TABLE: "dict[str, str]" = {
    "o": OUTPUT,
    "output": OUTPUT,
    "Bdynamic": DYNAMIC_SEARCH,
    "dy": DYNAMIC_SEARCH,
    "call_shared": DYNAMIC_SEARCH,
    "shared": SHARED,
    "Bshareable": SHARED,
    "r": RELOCATABLE,
    "i": RELOCATABLE,
    "relocatable": RELOCATABLE,
    "Ur": RELOCATABLE,
    "pie": PIE,
    "pic-executable": PIE,
    "no-pie": NO_PIE,
    "E": EXPORTS,
    "export-dynamic": EXPORTS,
    "export-dynamic-symbol": EXPORTS,
    "export-dynamic-symbol-list": EXPORTS,
    "dynamic-list": EXPORTS,
    "Map": MAP,
    "dependency-file": LISTING,
    "e": FOR_THE_LOADER,
    "entry": FOR_THE_LOADER,
    "wrap": FOR_THE_LOADER,
    "init": FOR_THE_LOADER,
    "fini": FOR_THE_LOADER,
    "audit": FOR_THE_LOADER,
    "depaudit": FOR_THE_LOADER,
    "P": FOR_THE_LOADER,
    "dynamic-linker": FOR_THE_LOADER,
    "I": FOR_THE_LOADER,
    "filter": FOR_THE_LOADER,
    "F": FOR_THE_LOADER,
    "auxiliary": FOR_THE_LOADER,
    "f": FOR_THE_LOADER,
    "unresolved-symbols": FOR_THE_LOADER,
    "warn-unresolved-symbols": FOR_THE_LOADER,
    "allow-multiple-definition": FOR_THE_LOADER,
    "z interpose": FOR_THE_LOADER,
    "z initfirst": FOR_THE_LOADER,
    "z muldefs": FOR_THE_LOADER,
    "z undefs": FOR_THE_LOADER,
    "z global": FOR_THE_LOADER,
    "rpath": RUN_PATH,
    "rpath-link": LINK_PATH,
    "R": RUN_PATH,
    "T": SCRIPT,
    "script": SCRIPT,
    "Ttext": SCRIPT,
    "Ttext-segment": SCRIPT,
    "image-base": SCRIPT,
}

# Inputs that make a precompiled header, not a program, when nothing else is asked.
HEADER_SUFFIXES = (".h", ".hh", ".H", ".hp", ".hxx", ".hpp", ".HPP", ".h++", ".tcc")


def find(word: str) -> "tuple[str, str, str] | None":
    """The option that a word is, as (name, how its value attaches, meaning); None if not listed.

    The exact name wins, then the longest name that the word begins with and that allows it.
    """
    entry = TABLE.get(word)
    if entry is not None and entry[0] != JOINED:
        return word, *entry
    for length in range(min(len(word), LONGEST), 1, -1):
        name = word[:length]
        if name.endswith("=") and TABLE.get(name[:-1], ("", ""))[0] == EQUALS:
            return name[:-1], *TABLE[name[:-1]]
        entry = TABLE.get(name)
        if entry is not None and entry[0] in (JOINED, EITHER):
            return name, *entry
    return None


# What begins as -e does and is no entry point.
_LONG_E = (
    *("e=", "eh-frame-hdr", "embedded-relocs", "emit-relocs", "enable-", "end-group", "error-"),
    *("exclude-libs", "export-dynamic"),
)


def find_linker(word: str) -> "str | None":
    """What a word given to the linker means for us; None when nothing."""
    if not word.startswith("-"):
        return None
    name = word[2:] if word.startswith("--") else word[1:]
    meaning = LINKER_TABLE.get(name.partition("=")[0])
    if meaning is None and word.startswith("-e") and not name.startswith(_LONG_E):
        return FOR_THE_LOADER  # -eSYMBOL
    if meaning is None and word.startswith("-o") and not name.startswith(("omagic", "oformat")):
        return OUTPUT
    if meaning is None and name.startswith("R") and word[1] != "-":
        return RUN_PATH
    if meaning is None and name.startswith("T") and word[1] != "-":
        return SCRIPT if not name.startswith(("Tdata", "Tbss", "Trodata", "Tldata")) else None
    return meaning
