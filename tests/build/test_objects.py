"""A command that compiles and links compiles once, and makes the same as gcc would in two steps."""

import os
import shlex
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import twin

# With an assembler that counts: `-B` has gcc find it first.
COUNTING = '#!/bin/sh\necho as >>"$COUNT"\nexec /usr/bin/as "$@"\n'

SOURCES = {
    "a.c": "#include <stdio.h>\nint f(int); int g(void);\n"
    'int main(int c, char **v) { printf("%d %s\\n", f(c) + g(), __FILE__); return 0; }\n',
    "b.cc": "#include <string>\nextern \"C\" int f(int x) { return std::string(x, 'x').size(); }\n",
    "s.S": '#define N 40\n.globl g\ng: mov $N,%eax\n ret\n.section .note.GNU-stack,"",@progbits\n',
}
DYNAMIC = "extern char _DYNAMIC[] __attribute__((weak));\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with the sources, `bin/as`, and `tmp` for temporary files."""
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "bin").mkdir()
    (tmp_path / "tmp").mkdir()
    counting = tmp_path / "bin" / "as"
    counting.write_text(COUNTING)
    counting.chmod(0o755)
    return tmp_path


def shell(line: str, place: Path, **environ: str) -> "subprocess.CompletedProcess[bytes]":
    own = {"UKCC_PLAIN": "1", "TMPDIR": str(place / "tmp"), "COUNT": str(place / "count")}
    return twin.shell(line, place, **{**own, **environ})


@pytest.mark.parametrize(
    ("words", "compiled"),
    [
        ("a.c b.cc s.S", 3),
        ("-s a.c b.cc s.S", 3),  # there is a third link, to look at
        ("-pie -fPIE a.c b.cc s.S", 3),
        ("a.c b.cc s.S -ldl -Wl,-z,muldefs", 3),  # dynamic at once
        ("-v a.c b.cc s.S", 6),  # it is to show what gcc does
        ("-x c++ b.cc -x c a.c -x assembler-with-cpp s.S", 6),
    ],
)
def test_how_often(place: Path, words: str, compiled: int) -> None:
    done = shell(f"uk-gcc -B$PWD/bin/ {words} -lstdc++ -o x && ./x", place)
    assert done.returncode == 0 and b"41 a.c\n" in done.stdout
    assert (place / "count").read_text().count("as") == compiled
    assert not list((place / "tmp").iterdir())


@pytest.mark.parametrize(
    "flags",
    [
        *("", "-O2 -g", "-pie -fPIE", "-s", "-flto", "-O2 -flto -s", "-pipe", "-gsplit-dwarf"),
        *("-pthread", "-ffunction-sections -Wl,--gc-sections", "-fsanitize=undefined"),
        *("-fuse-ld=lld", "-fuse-ld=mold"),
    ],
)
def test_the_same_as_in_two_steps(place: Path, flags: str) -> None:
    """To the byte, but for LTO's random names, and for the parts of debug information by name."""
    random = "-frandom-seed=1" if "-flto" in flags else ""
    names = "for s in a.c b.cc s.S; do"
    aside = "-dumpbase x-$s -dumpbase-ext .${s##*.}" if "split" in flags else ""
    done = shell(
        f"uk-gcc {flags} {random} a.c b.cc s.S -lstdc++ -o x && cp x once &&"
        f"{names} uk-gcc {flags} {random} {aside} -c $s -o $s.o || exit 9; done;"
        f"uk-gcc {flags} {random} a.c.o b.cc.o s.S.o -lstdc++ -o x && cmp x once && ./once",
        place,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"41 a.c\n", b"")


def test_what_is_said_and_left(place: Path) -> None:
    """Warnings once, dependencies, and a coverage file that fits the program that stays."""
    (place / "w.c").write_text(
        DYNAMIC + "int main(void) { int unused; return _DYNAMIC ? 0 : 1; }\n"
    )
    done = shell("uk-gcc -Wall --coverage -MD w.c -o w && ./w && gcov w.gcda", place)
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(b"unused variable") == 1
    assert b"Lines executed:100.00% of 1" in done.stdout and b"stamp mismatch" not in done.stderr
    assert (place / "w.d").read_text().startswith("w: w.c")
    assert not list((place / "tmp").iterdir())


def test_where_nothing_can_be_kept(place: Path) -> None:
    """gcc finds another place for its files, and so is the program linked."""
    done = shell(
        "TMPDIR=$PWD/no uk-gcc -B$PWD/bin/ -xnone a.c b.cc s.S -lstdc++ -o x && ./x", place
    )
    assert (done.returncode, done.stdout) == (0, b"41 a.c\n")


def test_an_error_is_gccs(place: Path) -> None:
    (place / "bad.c").write_text("int nowhere(void); int main(void) { return nowhere(); }\n")
    for line in ("bad.c", "bad.c -lnowhere", "a.c", "missing.c"):
        real = shell(f"gcc {line} -o x", place)
        ours = shell(f"uk-gcc {line} -o x", place)
        assert ours.returncode == real.returncode == 1
        names = [twin._TEMPORARY.sub(b"/T", done.stderr) for done in (real, ours)]
        assert names[0] == names[1]
    assert not list((place / "tmp").iterdir())


def test_a_users_own_collect2(place: Path) -> None:
    """COMPILER_PATH is his word as well."""
    (place / "mine").mkdir()
    mine = place / "mine" / "collect2"
    found = shell("gcc -print-prog-name=collect2", place).stdout.decode().strip()
    mine.write_text(f'#!/bin/sh\necho mine >&2\nexec {shlex.quote(found)} "$@"\n')
    mine.chmod(0o755)
    done = shell("uk-gcc -x none a.c b.cc s.S -lstdc++ -o x && ./x", place, COMPILER_PATH="mine")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"41 a.c\n", b"mine\n")
    done = shell("uk-gcc a.c b.cc s.S -lstdc++ -o x && ./x", place, COMPILER_PATH="mine")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"41 a.c\n", b"mine\n")


def test_a_signal_in_the_middle_leaves_nothing(place: Path) -> None:
    slow = place / "bin" / "as"
    slow.write_text('#!/bin/sh\n: >"$COUNT"\nexec sleep 60\n')
    running = subprocess.Popen(
        [str(twin.BIN / "uk-gcc"), f"-B{place}/bin/", "a.c", "-o", "x"],
        cwd=place,
        env={**os.environ, "TMPDIR": str(place / "tmp"), "COUNT": str(place / "count")},
    )
    deadline = time.monotonic() + 60
    while not (place / "count").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    running.send_signal(signal.SIGTERM)
    assert running.wait(timeout=60) == -signal.SIGTERM
    assert not list((place / "tmp").iterdir())


FLAGS = (
    *("", "-O2", "-g", "-flto", "-pthread", "-pg", "--coverage", "-fsanitize=undefined"),
    *("-MD -MF y", "-gsplit-dwarf", "-fPIC", "-fpie", "-fno-pie", "-fno-plt", "-march=x86-64-v3"),
    *("-D_FORTIFY_SOURCE=2 -O1", "-fprofile-use", "-std=c11", "-ansi", "-nostdinc"),
)


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize(
    ("first", "second"), [("-no-pie", "-static -no-pie"), ("-pie", "-pie -static-pie")]
)
def test_both_links_would_compile_alike(place: Path, flags: str, first: str, second: str) -> None:
    """What the objects of the first link stand for: gcc's words to its compilers are the same."""

    def compilers(words: str) -> list[bytes]:
        shown = shell(f"gcc -### {flags} a.c b.cc s.S -o x {words}", place, LC_ALL="C").stderr
        lines = twin._TEMPORARY.sub(b"/T", shown).splitlines()
        programs = (b"cc1", b"cc1plus", b"as")
        return [line for line in lines if line.split(maxsplit=1)[0].rpartition(b"/")[2] in programs
                if line.startswith(b" ")]  # fmt: skip

    assert compilers(first) == compilers(second) and len(compilers(first)) >= 5
