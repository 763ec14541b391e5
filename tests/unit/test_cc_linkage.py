"""Static, dynamic, or not known before the linker has tried: what each command line says."""

import pytest

from ukcc.cc import plan
from ukcc.cc.linkage import ON_DISK, Lookup, decide
from ukcc.cc.parse import parse
from ukcc.cc.toolchain import Toolchain

# One library of the build has an archive beside it, another has none.
BUILT = Lookup(
    stand_in=lambda path: (path.replace(".so", ".a"),) if "both" in path else (),
    only_shared=lambda name, directories: name == "own" and "lib" in directories,
    has_libc=lambda directory: directory == "/usr/lib",
)

# FORCED: the user says -static; STATIC: dynamic only if it loads plugins; TRIED: or if it fails.
FORCED, STATIC, TRIED, DYNAMIC = "forced", "static", "tried", "dynamic"

ROWS = [
    ("a.c", STATIC),
    ("a.c -lm -lpthread -pthread -ldl", STATIC),
    ("a.c -Wl,-Bstatic -lm -Wl,-Bdynamic", STATIC),
    ("a.c -lz", TRIED),
    ("a.c -l z", TRIED),
    ("a.c -Wl,-O1,-lz", TRIED),
    ("a.c -Wl,--library=z", TRIED),
    ("a.c -Xlinker -lz", TRIED),
    ("a.c -lz -static", FORCED),
    ("a.c -lz -static-pie", FORCED),
    ("a.c -lz -pie", TRIED),
    ("a.c -L lib -lown", DYNAMIC),
    ("a.c -Llib -lown -static", FORCED),
    ("a.c -Lother -lown", TRIED),
    ("a.c --library-directory=lib -lown", DYNAMIC),
    ("a.c -l:libz.so.1", DYNAMIC),
    ("a.c -l:libz.a", TRIED),
    ("a.c libboth.so", TRIED),
    ("a.c x/libown.so.1.2", DYNAMIC),
    ("a.c -rdynamic", STATIC),
    ("a.c -Wl,-E", STATIC),
    ("a.c -Xlinker -export-dynamic", STATIC),
    ("a.c -Wl,--dynamic-list=list", STATIC),
    ("a.c -rdynamic -static", FORCED),
    ("a.c -fsanitize=undefined", STATIC),
    ("a.c -fsanitize=undefined,address", DYNAMIC),
    ("a.c -fsanitize=thread", DYNAMIC),
    ("a.c -fsanitize=leak", DYNAMIC),
    ("a.c -fuse-ld=gold -pie", DYNAMIC),
    ("a.c -fuse-ld=gold", STATIC),
    ("a.c -Wl,-rpath,:::::::", DYNAMIC),
    ("a.c -Wl,-rpath,/x:/y", STATIC),
]


def plan_of(line, lookup=BUILT):
    toolchain = Toolchain(
        name="uk-gcc", compiler="/bin/gcc", sysroot="/root", plain=False, thin=False
    )
    return plan.make_plan(line.split(), parse(line.split()), toolchain, lookup)


@pytest.mark.parametrize(("line", "linkage"), ROWS, ids=[row[0] for row in ROWS])
def test_linkage(line, linkage):
    made = plan_of(line)
    static = "-static" in made.command or "-static-pie" in made.command
    assert static == (linkage != DYNAMIC)
    assert bool(made.fallback) == (linkage in (STATIC, TRIED))
    assert bool(made.doubt) == (linkage == TRIED)
    exports = any(word in line for word in ("rdynamic", "-E", "export-", "dynamic-list"))
    assert made.exports == (exports and linkage != FORCED)
    assert "-static" not in made.fallback
    if linkage == DYNAMIC:
        assert "a dynamic program" in made.reason


def test_a_dynamic_link_has_the_users_words():
    made = plan_of("a.c libboth.so -Wl,-Bstatic -lz -Wl,-Bdynamic")
    assert " a.c libboth.a -Wl,-Bstatic -lz -static " in " ".join(made.command)
    assert " a.c libboth.so -Wl,-Bstatic -lz -Wl,-Bdynamic -no-pie " in " ".join(made.fallback)
    assert made.fallback[-1] == "-Wl,-Ttext-segment=0x10000000"
    assert plan_of("a.c -pie libown.so").command[-2:] == ("-pie", "libown.so")


def test_a_dry_run_tries_nothing():
    assert plan_of("-### a.c -lz").fallback == ()


@pytest.mark.parametrize("linker", ["lld", "mold"])
def test_linkers_that_spell_the_base_differently(linker):
    assert plan_of(f"a.c -fuse-ld={linker}").command[-1] == "-Wl,--image-base=0x10000000"
    assert plan_of("a.c -fuse-ld=gold").command[-1] == "-Wl,-Ttext-segment=0x10000000"


def test_the_first_directory_with_the_library_decides(tmp_path):
    for path in ("shared/libx.so", "both/libx.so", "both/libx.a", "archive/libx.a"):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).touch()

    def dynamic(*directories):
        words = [f"-L{tmp_path / directory}" for directory in directories]
        return decide(parse(["a.c", *words, "-lx"]), ON_DISK).dynamic

    assert dynamic("shared") == "libx is only there as a shared library"
    assert dynamic("shared", "archive")
    assert not dynamic("archive", "shared")
    assert not dynamic("both")
    assert not dynamic("nowhere")


def test_the_hosts_libc_never_comes_first():
    ours = "-L/root/usr/lib"
    command = plan_of("a.c -Lown -L /usr/lib -lutil").command
    assert command.index(ours) < command.index("-Lown")
    # Else a library of the build may have the name of one of glibc's.
    assert ours not in plan_of("a.c -Lown -lutil").command


def test_a_sanitizers_archive_does_not_end_the_static_link():
    made = plan_of("a.c -fsanitize=undefined -static-libubsan")
    assert "-static-libubsan" not in made.command
    assert "-static-libubsan" in made.fallback


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
    assert " a.c -pie -lz -static-pie" in " ".join(made.command)
    assert f" a.c -pie {words} -lz" in " ".join(made.fallback)


def test_what_stands_beside_a_run_path_is_kept():
    words = "-Wl,-O1,-rpath,/x,--as-needed -Wl,-rpath-link,/y -Wl,-z,now"
    kept = "-Wl,-O1,--as-needed -Wl,-rpath-link,/y -Wl,-z,now"
    assert f" a.c {kept} -static " in " ".join(plan_of(f"a.c {words}").command)
