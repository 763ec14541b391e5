"""Static, dynamic, or not known before the linker has tried: what each command line says."""

import pytest

from ukcc.cc import plan
from ukcc.cc.linkage import DYNAMIC, OPEN, STATIC, Lookup
from ukcc.cc.parse import parse
from ukcc.cc.toolchain import Toolchain

# One library of the build has an archive beside it.
BUILT = Lookup(
    stand_in=lambda path: (path.replace(".so", ".a"),) if "both" in path else (),
    has_libc=lambda directory: directory == "/usr/lib",
    has_linker=lambda directory: directory == "/own/ld/",
    is_read_once=lambda path: path == "pipe",
)

ROWS = [
    ("a.c", OPEN),
    ("a.c -lz", OPEN),
    ("a.c libboth.so", OPEN),
    ("a.c x/libown.so.1.2 -l:libz.so.1", OPEN),
    ("a.c -pie", OPEN),
    ("a.c -rdynamic -Wl,-E -Wl,--dynamic-list=list", OPEN),
    ("a.c -Wl,-z,now -z relro -Wl,-zdefs", OPEN),
    ("a.c -Wl,-Bsymbolic-functions", OPEN),
    ("a.c -static", STATIC),
    ("a.c -lz -static-pie", STATIC),
    ("a.c -fsanitize=address -static", STATIC),
    ("a.c -fsanitize=undefined", OPEN),
    ("a.c -fsanitize=undefined,address", DYNAMIC),
    ("a.c -fsanitize=thread", DYNAMIC),
    ("a.c -fsanitize=leak", DYNAMIC),
    ("a.c -fuse-ld=gold -pie", DYNAMIC),
    ("a.c -fuse-ld=gold", STATIC),
    ("a.c -B/own/ld/", STATIC),
    ("a.c -B/other/", OPEN),
    ("a.c -Wl,-rpath,:::::::", DYNAMIC),
    ("a.c -Wl,-rpath,/x:/y", OPEN),
    # What is said to the loader.
    ("pipe -o x", DYNAMIC),
    ("-x c /dev/fd/63", DYNAMIC),
    ("a.c -Wl,--version-script=/dev/fd/63", DYNAMIC),
    ("a.c -Wl,-e,begin", DYNAMIC),
    ("a.c -Wl,-ebegin", DYNAMIC),
    ("a.c -Wl,--entry=begin", DYNAMIC),
    ("a.c -e begin", DYNAMIC),
    ("a.c -Wl,--eh-frame-hdr,--export-dynamic,--emit-relocs", OPEN),
    ("a.c -Wl,--wrap=malloc", DYNAMIC),
    ("a.c -Wl,--wrap,malloc", DYNAMIC),
    ("a.c -Wl,-init,begin", DYNAMIC),
    ("a.c -Wl,-init=begin", DYNAMIC),
    ("a.c -Xlinker --fini -Xlinker end", DYNAMIC),
    ("a.c -Wl,--audit,x.so", DYNAMIC),
    ("a.c -Wl,--dynamic-linker=/x/ld.so", DYNAMIC),
    ("a.c -Wl,--unresolved-symbols=ignore-all", DYNAMIC),
    ("a.c -Wl,-z,muldefs", DYNAMIC),
    ("a.c -Wl,-zmuldefs", DYNAMIC),
    ("a.c -z muldefs", DYNAMIC),
    ("a.c -zmuldefs", DYNAMIC),
    ("a.c -Wl,-z -Wl,initfirst", DYNAMIC),
    ("a.c -Wl,--allow-multiple-definition", DYNAMIC),
]


def plan_of(line, lookup=BUILT, chosen=""):
    toolchain = Toolchain(
        name="uk-gcc",
        compiler="/bin/gcc",
        sysroot="/root",
        plain=False,
        thin=False,
        linkage=chosen,
        kernel="",
    )
    return plan.make_plan(line.split(), parse(line.split()), toolchain, lookup)


@pytest.mark.parametrize(("line", "linkage"), ROWS, ids=[row[0] for row in ROWS])
def test_linkage(line, linkage):
    made = plan_of(line)
    first_is_static = "-static" in made.command or "-static-pie" in made.command
    assert first_is_static == (linkage == STATIC)
    assert bool(made.static) == (linkage == OPEN)
    if linkage == DYNAMIC:
        assert "a dynamic program, as " in made.reason


@pytest.mark.parametrize("chosen", [STATIC, DYNAMIC])
def test_the_user_chooses(chosen):
    made = plan_of("a.c -lz", chosen=chosen)
    assert ("-static" in made.command) == (chosen == STATIC)
    assert made.static == ()
    assert made.reason == f"a {chosen} program, as UKCC_LINK says"
    assert "-static" in plan_of("a.c -static", chosen=chosen).command


def test_the_dynamic_link_has_the_users_words():
    made = plan_of("a.c libboth.so -Wl,-Bstatic -lz -Wl,-Bdynamic")
    assert " a.c libboth.a -Wl,-Bstatic -lz -static " in " ".join(made.static)
    assert " a.c libboth.so -Wl,-Bstatic -lz -Wl,-Bdynamic -no-pie " in " ".join(made.command)
    assert made.command[-1] == "-Wl,-Ttext-segment=0x10000000"
    assert plan_of("a.c -pie libown.so").command[-2:] == ("-pie", "libown.so")


def test_a_dry_run_is_gccs():
    made = plan_of("-### a.c -lz")
    assert made.static == ()
    assert "-static" not in made.command


@pytest.mark.parametrize("linker", ["lld", "mold"])
def test_linkers_that_spell_the_base_differently(linker):
    assert plan_of(f"a.c -fuse-ld={linker}").command[-1] == "-Wl,--image-base=0x10000000"
    assert plan_of("a.c -fuse-ld=gold").command[-1] == "-Wl,-Ttext-segment=0x10000000"


def test_the_hosts_libc_never_comes_first():
    ours = "-L/root/usr/lib"
    command = plan_of("a.c -Lown -L /usr/lib -lutil").command
    assert command.index(ours) < command.index("-Lown")
    # Else a library of the build may have the name of one of glibc's.
    assert ours not in plan_of("a.c -Lown -lutil").command


def test_a_sanitizers_archive_does_not_end_the_static_link():
    made = plan_of("a.c -fsanitize=undefined -static-libubsan")
    assert "-static-libubsan" not in made.static
    assert "-static-libubsan" in made.command


RUN_PATHS = [
    "-Wl,-rpath,/x",
    "-Wl,-rpath=/x",
    "-Wl,--rpath,/x",
    "-Wl,-rpath -Wl,/x",
    "-Xlinker -rpath -Xlinker /x",
    "-Wl,-R/x",
    "-Wl,-R,/x",
    "-R /x",
    "-R/x",
]


@pytest.mark.parametrize("words", RUN_PATHS)
def test_a_static_program_has_no_run_path(words):
    made = plan_of(f"a.c -pie {words} -lz")
    assert " a.c -pie -lz -static-pie" in " ".join(made.static)
    assert f" a.c -pie {words} -lz" in " ".join(made.command)


def test_what_stands_beside_a_run_path_is_kept():
    words = "-Wl,-O1,-rpath,/x,--as-needed -Wl,-rpath-link,/y -Wl,-z,now"
    kept = "-Wl,-O1,--as-needed -Wl,-rpath-link,/y -Wl,-z,now"
    assert f" a.c {kept} -static " in " ".join(plan_of(f"a.c {words}").static)
