"""How command lines are read: each row is an argv and what it asks for."""

import pytest

from ukcc.cc import atfile, options
from ukcc.cc.parse import INPUT, UNKNOWN, parse

WORDS = [
    # argv, [(words, name, value, meaning)]
    (["a.c"], [(("a.c",), "", "a.c", INPUT)]),
    (["-"], [(("-",), "", "-", INPUT)]),
    (["-o", "x"], [(("-o", "x"), "-o", "x", options.OUTPUT)]),
    (["-ox"], [(("-ox",), "-o", "x", options.OUTPUT)]),
    (["--output=x"], [(("--output=x",), "--output", "x", options.OUTPUT)]),
    (["-Xlinker", "-c"], [(("-Xlinker", "-c"), "-Xlinker", "-c", options.LINKER)]),
    (["-Wl,-z,now"], [(("-Wl,-z,now",), "-Wl,", "-z,now", options.LINKER)]),
    (["-include", "a.h"], [(("-include", "a.h"), "-include", "a.h", options.PLAIN)]),
    (["-lm"], [(("-lm",), "-l", "m", options.LIBRARY)]),
    (["-l", "m"], [(("-l", "m"), "-l", "m", options.LIBRARY)]),
    (["-xc"], [(("-xc",), "-x", "c", options.LANGUAGE)]),
    (["-Ttext", "0x1"], [(("-Ttext", "0x1"), "-Ttext", "0x1", options.SCRIPT)]),
    (["-Tx.lds"], [(("-Tx.lds",), "-T", "x.lds", options.SCRIPT)]),
    (["--param", "a=1"], [(("--param", "a=1"), "--param", "a=1", options.PLAIN)]),
    (["--param=a=1"], [(("--param=a=1",), "--param", "a=1", options.PLAIN)]),
    (["-print-search-dirs"], [(("-print-search-dirs",), "-print-search-dirs", "", options.QUERY)]),
    (
        ["-print-prog-name=as"],
        [(("-print-prog-name=as",), "-print-prog-name=", "as", options.QUERY)],
    ),
    (
        ["-print-objc-runtime-info"],
        [(("-print-objc-runtime-info",), "-print-objc-runtime-info", "", UNKNOWN)],
    ),
    (["-fnew-option=1"], [(("-fnew-option=1",), "-fnew-option=1", "", UNKNOWN)]),
    (["-o"], [(("-o",), "-o", "", options.OUTPUT)]),
    (["-MF", "x.d"], [(("-MF", "x.d"), "-MF", "x.d", options.PLAIN)]),
    (["-MMD"], [(("-MMD",), "-MMD", "", options.PLAIN)]),
    (["-dumpbase", ""], [(("-dumpbase", ""), "-dumpbase", "", options.PLAIN)]),
]


@pytest.mark.parametrize(("argv", "expected"), WORDS, ids=lambda value: " ".join(map(str, value)))
def test_words(argv, expected):
    read = [(a.words, a.name, a.value, a.meaning) for a in parse(argv).arguments]
    assert read == expected


FIELDS = [
    ("-c a.c", {"stage": options.ASSEMBLE, "inputs": 1, "output": ""}),
    ("-c -S a.c", {"stage": options.COMPILE}),
    ("-E -c a.c", {"stage": options.PREPROCESS}),
    ("-M a.c", {"stage": options.PREPROCESS}),
    ("-MD a.c", {"stage": ""}),
    ("-o -c a.c", {"stage": "", "output": "-c"}),
    ("a.c -o x -o y", {"output": "y"}),
    ("a.c -o x -Wl,-O1,-o,y", {"output": "y"}),
    ("a.c -Xlinker -o -Xlinker y -o x", {"output": "y"}),
    ("a.c -Wl,--output=y -Wl,-oz -Wl,-omagic,-oformat=elf", {"output": "z"}),
    ("--sysroot=/x a.c", {"no_headers": True}),
    ("-isysroot /x a.c", {"no_headers": True}),
    ("--machine=32 a.c", {"foreign": True}),
    ("--syntax-only a.c", {"stage": options.COMPILE}),
    ("-help a.c", {"query": False, "inputs": 1}),
    ("-D -c a.c", {"stage": ""}),
    ("-shared a.o", {"link_kind": options.SHARED}),
    ("-shared -pie a.o", {"link_kind": options.PIE}),
    ("-pie -no-pie a.o", {"link_kind": options.NO_PIE}),
    ("-pie -static a.o", {"link_kind": options.NO_PIE}),
    ("-static -static-pie a.o", {"link_kind": options.STATIC_PIE}),
    ("--static -shared a.o", {"link_kind": options.SHARED}),
    ("-Wl,-shared a.o", {"link_kind": options.SHARED}),
    ("-r a.o", {"relocatable": True}),
    ("-Wl,-r a.o", {"relocatable": True}),
    ("-Wl,-rpath,/x a.o", {"relocatable": False}),
    ("-Wl,--relax a.o", {"relocatable": False}),
    ("-nostartfiles a.o", {"freestanding": True}),
    ("-m32 a.c", {"foreign": True}),
    ("-march=native a.c", {"foreign": False}),
    ("-Wl,-T,x.lds a.o", {"script": True}),
    ("-Wl,-Ttext=0x1000 a.o", {"script": True}),
    ("-Wl,--section-start=.x=0x1 a.o", {"script": False}),
    ("-Wl,-Tdata=0x1000 a.o", {"script": False}),
    ("-Wl,-t a.o", {"script": False}),
    ("-Wl,--version", {"inputs": 1}),
    ("-v", {"inputs": 0}),
    ("-### a.c", {"dry_run": True}),
    ("--help=warnings", {"query": True}),
    ("-dumpmachine", {"query": True}),
    ("a.h", {"headers_only": True}),
    ("a.h b.c", {"headers_only": False}),
    ("a.h -lm", {"headers_only": False}),
    ("-x c++-header a", {"headers_only": True}),
    ("-x c-header a -x none b.c", {"headers_only": False}),
    ("-x c a.h", {"headers_only": False}),
    ("-O2", {"headers_only": False}),
]


@pytest.mark.parametrize(("line", "expected"), FIELDS, ids=[line for line, _ in FIELDS])
def test_invocation(line, expected):
    invocation = parse(line.split())
    assert {name: getattr(invocation, name) for name in expected} == expected


def test_invocation_is_immutable():
    with pytest.raises(AttributeError):
        parse(["a.c"]).output = "x"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a b\n c\t", ["a", "b", "c"]),
        ("'a b' \"c d\"", ["a b", "c d"]),
        ("a\\ b", ["a b"]),
        ("'a\\'b'", ["a'b"]),
        ("\"\" ''", ["", ""]),
        ("-D'X=\"y\"'", ['-DX="y"']),
        ("", []),
    ],
)
def test_response_file_words(text, words):
    assert atfile.split(text) == words


def test_response_files_nest_and_keep_their_origin(tmp_path):
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("-c 'a b.c'")
    outer.write_text(f"-O2 @{inner}")
    argv = ["-g", f"@{outer}", "@missing"]
    origin = f"@{outer}"
    assert atfile.expand(argv) == [
        ("-g", ""),
        ("-O2", origin),
        ("-c", origin),
        ("a b.c", origin),
        ("@missing", ""),
    ]


def test_a_response_file_that_names_itself_ends(tmp_path):
    loop = tmp_path / "loop"
    loop.write_text(f"-g @{loop}")
    assert len(atfile.expand([f"@{loop}"])) < 5000


def test_values_and_meanings_of_the_table_are_known():
    attachments = {
        options.FLAG,
        options.SEPARATE,
        options.JOINED,
        options.EITHER,
        options.EQUALS,
    }
    meanings = {v for k, v in vars(options).items() if k.isupper() and isinstance(v, str)}
    for name, (attach, meaning) in options.TABLE.items():
        assert name.startswith("-"), name
        assert attach in attachments, name
        assert meaning in meanings - attachments, name
