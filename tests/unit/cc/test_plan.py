"""What is decided for a command line: each row is an argv and the command that would run."""

import pytest

from ukcc.cc import plan
from ukcc.cc.parse import parse
from ukcc.cc.toolchain import Toolchain

ROOM = "-Xlinker /root/shims/room.o"
SEARCH = "-B/root/usr/lib/"
HEADERS = "-idirafter /root/usr/include"
CHARSETS = "-Wl,-l:libuk_charsets.a"
FIXED = "-no-pie -Wl,-Ttext-segment=0x10000000"
STATIC = f"-static -no-pie {CHARSETS} -Wl,--eh-frame-hdr -Wl,-Ttext-segment=0x10000000"


def toolchain(*, sysroot="/root", plain=False, thin=False, compiler="/bin/gcc"):
    return Toolchain(
        name="uk-gcc",
        compiler=compiler,
        sysroot=sysroot,
        plain=plain,
        thin=False,
        linkage="",
        kernel="",
    )


def plan_of(line, **about):
    argv = line.split()
    return plan.make_plan(argv, parse(argv), toolchain(**about))


PLANS = [
    # argv, kind, command
    ("-c a.c", plan.COMPILE, f"/bin/gcc {HEADERS} -c a.c"),
    ("-nostdinc -c a.c", plan.COMPILE, "/bin/gcc -nostdinc -c a.c"),
    ("-S a.c -o -", plan.COMPILE, f"/bin/gcc {HEADERS} -S a.c -o -"),
    ("a.h", plan.COMPILE, f"/bin/gcc {HEADERS} a.h"),
    ("--version", plan.COMPILE, f"/bin/gcc {SEARCH} --version"),
    ("-v", plan.COMPILE, f"/bin/gcc {SEARCH} -v"),
    ("", plan.COMPILE, f"/bin/gcc {SEARCH}"),
    ("-m32 a.c", plan.UNTOUCHED, "/bin/gcc -m32 a.c"),
    ("a.c -o", plan.UNTOUCHED, "/bin/gcc a.c -o"),
    ("-shared a.o", plan.COMPILE, f"/bin/gcc {HEADERS} -shared a.o"),
    ("-r a.o", plan.COMPILE, f"/bin/gcc {HEADERS} -r a.o"),
    ("-nostdlib a.c", plan.COMPILE, f"/bin/gcc {HEADERS} -nostdlib a.c"),
    ("a.c", plan.PROGRAM, f"/bin/gcc {ROOM} {SEARCH} {HEADERS} a.c {STATIC}"),
    (
        "-### a.c",
        plan.ORDINARY,
        f"/bin/gcc {ROOM} {SEARCH} {HEADERS} -### a.c {FIXED}",
    ),
    (
        "-L/usr/lib a.o -lm -o x",
        plan.PROGRAM,
        f"/bin/gcc {ROOM} {SEARCH} {HEADERS} -L/usr/lib a.o -lm -o x {STATIC}",
    ),
    (
        "-pie a.o",
        plan.PROGRAM,
        f"/bin/gcc {ROOM} {SEARCH} {HEADERS} -pie a.o -static-pie {CHARSETS}",
    ),
    (
        "a.o -Wl,-T,x.lds",
        plan.PROGRAM,
        f"/bin/gcc {ROOM} {SEARCH} {HEADERS} a.o -Wl,-T,x.lds -static -no-pie {CHARSETS}"
        " -Wl,--eh-frame-hdr",
    ),
    (
        "a.o -Wl,-Bstatic -lz -Wl,-Bdynamic -Wl,-O1,-Bdynamic -Xlinker -dy -lm",
        plan.PROGRAM,
        f"/bin/gcc {ROOM} {SEARCH} {HEADERS} a.o -Wl,-Bstatic -lz -Wl,-O1 -lm {STATIC}",
    ),
]


@pytest.mark.parametrize(("line", "kind", "command"), PLANS, ids=[row[0] for row in PLANS])
def test_plan(line, kind, command):
    made = plan_of(line)
    assert (made.kind, " ".join(made.static or made.command)) == (kind, command)


def test_program_has_a_name():
    assert plan_of("a.c").output == "a.out"
    assert plan_of("a.c -o dir/x").output == "dir/x"


def test_a_link_without_a_sysroot_says_so():
    assert plan_of("a.c", sysroot="").kind == plan.NO_SYSROOT
    assert plan_of("-c a.c", sysroot="").command == ("/bin/gcc", "-c", "a.c")


def test_plain_links():
    assert plan_of("a.c", plain=True).kind == plan.ORDINARY
    assert plan_of("a.c", plain=True).command == plan_of("a.c").command
    without = plan_of("a.c", sysroot="", plain=True)
    assert (without.kind, without.command) == (plan.ORDINARY, ("/bin/gcc", "a.c"))


def test_an_assembler_is_the_users_to_choose():
    """Code of the user's is assembled by what the compiler takes: gcc's `as`, clang's own."""
    for compiler in ("/bin/gcc", "/bin/clang-16"):
        made = plan_of("-c a.c", compiler=compiler, sysroot="")
        assert made.command == (compiler, "-c", "a.c")
    assert "-B/x/shims/" in plan_of("-B/x/shims/ a.c").command


def test_response_files_are_passed_on(tmp_path):
    response = tmp_path / "objects"
    response.write_text("a.o b.o")
    assert f"@{response}" in plan_of(f"@{response} -lm").command


def test_a_response_file_with_bdynamic_is_opened(tmp_path):
    opened, kept = tmp_path / "opened", tmp_path / "kept"
    opened.write_text("a.o -Wl,-Bdynamic 'b c.o'")
    kept.write_text("d.o e.o")
    command = plan_of(f"@{opened} @{kept} -lm").static
    start = command.index("a.o")
    assert command[start : start + 4] == ("a.o", "b c.o", f"@{kept}", "-lm")
