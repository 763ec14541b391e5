"""Links against the sysroot, run as Linux processes; and what a failed link says and leaves.

UKCC_PLAIN keeps the kernel out of it: the link is the same, see tests/boot for the images.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ukcc.cc.toolchain import find_sysroot

BIN = Path(sys.executable).parent
SITE = re.compile(rb"\x4c\x8b\x1d....\x48\x8d\x0d\x05\0\0\0\x41\xff\xe3\x0f\x05", re.DOTALL)
HELLO = '#include <stdio.h>\nint main(int c, char **v) { printf("hi %d\\n", c); return 42; }\n'
THROWS = """
#include <iostream>
#include <stdexcept>
#include <string>
#include <thread>
#include <exception>
struct Early { Early() { std::cout << "early "; } } early;
int main() {
    std::exception_ptr caught;
    std::thread other([&] {
        try { throw std::runtime_error("over there"); }
        catch (...) { caught = std::current_exception(); }
    });
    other.join();
    try { std::rethrow_exception(caught); } catch (const std::exception &e) {
        std::cout << e.what() << std::endl;
        return 42;
    }
}
"""
MATH = """
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
static void *work(void *x) { *(double *)x = cos(*(double *)x) + pow(2, 5); return x; }
int main(void) {
    double x = strtod("0", 0);
    pthread_t t;
    pthread_create(&t, 0, work, &x);
    pthread_join(t, 0);
    return x == 33 ? 42 : 1;
}
"""


@pytest.fixture(scope="session")
def sysroot():
    found = find_sysroot(os.environ)
    if not found or not Path(found, "usr/lib/libc.a").exists():
        pytest.fail("these tests link against a sysroot: run `make setup` first")
    return found


@pytest.fixture
def link(sysroot, tmp_path):
    """Runs uk-gcc (or uk-g++) in an empty directory."""

    def linker(*words, tool="uk-gcc", **environ):
        return subprocess.run(
            [str(BIN / tool), *words],
            cwd=tmp_path,
            env={**os.environ, "UKCC_SYSROOT": sysroot, "UKCC_PLAIN": "1", **environ},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return linker


def run(*words, cwd):
    return subprocess.run(words, cwd=cwd, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize(
    ("flags", "kind"),
    [
        ([], "EXEC"),
        (["-static"], "EXEC"),
        (["-O2", "-g", "-flto"], "EXEC"),
        (["-pie", "-fPIE"], "DYN"),
        (["-static-pie", "-fPIE"], "DYN"),
        (["-rdynamic", "-Wl,-Bstatic", "-lm", "-Wl,-Bdynamic"], "EXEC"),
        (["-L/usr/lib/x86_64-linux-gnu"], "EXEC"),
        (["-ffunction-sections", "-Wl,--gc-sections"], "EXEC"),
        (["-pg"], "EXEC"),
        (["-pipe", "-save-temps"], "EXEC"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else value,
)
def test_c_program(link, tmp_path, flags, kind):
    (tmp_path / "h.c").write_text(HELLO)
    made = link("h.c", *flags, "-o", "h")
    assert made.returncode == 0, made.stderr
    assert [line for line in made.stderr.splitlines() if "-save-temps" not in line] == []
    result = run("./h", "x", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (42, "hi 2\n")
    headers = run("readelf", "-hlW", "h", cwd=tmp_path)
    assert headers.stderr == ""
    assert re.search(rf"Type: +{kind}", headers.stdout)
    base = "10000000" if kind == "EXEC" else "0"
    assert re.search(rf"LOAD +0x0+ 0x0*{base} ", headers.stdout)
    # glibc's own calls go by the gate, so it is the sysroot's.
    assert len(SITE.findall((tmp_path / "h").read_bytes())) > 20


def test_cpp_program_throws_across_threads(link, tmp_path):
    (tmp_path / "t.cc").write_text(THROWS)
    made = link("t.cc", tool="uk-g++")
    assert (made.returncode, made.stderr) == (0, "")
    result = run("./a.out", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (42, "early over there\n")


def test_libm_and_threads(link, tmp_path):
    (tmp_path / "m.c").write_text(MATH)
    assert link("m.c", "-lm", "-lpthread", "-ldl", "-lrt").stderr == ""
    assert run("./a.out", cwd=tmp_path).returncode == 42


def test_libraries_come_from_the_sysroot(link, sysroot):
    for name in ("libc.a", "libm.a", "crt1.o", "rcrt1.o", "libpthread.a"):
        found = link(f"-print-file-name={name}").stdout.strip()
        assert Path(found).samefile(f"{sysroot}/usr/lib/{name}")


def test_restorer_of_the_sysroots_glibc_is_bare(link, tmp_path):
    (tmp_path / "s.c").write_text(
        "#include <signal.h>\nint main(void) { struct sigaction a = {0};"
        " return sigaction(1, &a, 0); }\n"
    )
    assert link("s.c").returncode == 0
    code = run("objdump", "-d", "--disassemble=__restore_rt", "a.out", cwd=tmp_path).stdout
    assert re.search(r"48 c7 c0 0f 00 00 00.*\n.*0f 05", code)


@pytest.mark.parametrize(
    ("argv", "source"),
    [
        (["a.c", "-o", "x"], "int f(void); int main(void) { return f(); }"),
        (["a.c", "-o", "x"], "int main(void) { return 0 }"),
        (["a.c", "-o", "/nonexistent/x"], "int main(void) { return 0; }"),
        (["a.c", "missing.o", "-o", "x"], "int main(void) { return 0; }"),
        (["a.c", "-lmissing", "-o", "x"], "int main(void) { return 0; }"),
        (["a.c", "-o"], "int main(void) { return 0; }"),
    ],
    ids=["undefined", "syntax", "directory", "object", "library", "option"],
)
def test_failure_is_told_as_gcc_tells_it(link, tmp_path, argv, source):
    (tmp_path / "a.c").write_text(source)
    ours = link(*argv, UKCC_PLAIN="")
    real = run("gcc", "-no-pie", *argv, cwd=tmp_path)
    assert ours.returncode == real.returncode != 0
    assert _stable(ours.stderr) == _stable(real.stderr)
    assert not (tmp_path / "x").exists()


def test_object_of_another_architecture(link, tmp_path):
    (tmp_path / "a.c").write_text(HELLO)
    (tmp_path / "b.s").write_text("nop\n")
    assert run("as", "--32", "b.s", "-o", "b.o", cwd=tmp_path).returncode == 0
    made = link("a.c", "b.o", "-o", "x", UKCC_PLAIN="")
    assert made.returncode == 1
    assert "i386 architecture of input file `b.o' is incompatible" in made.stderr
    assert not (tmp_path / "x").exists()


def test_side_files_have_gccs_names(link, tmp_path):
    (tmp_path / "a.c").write_text(HELLO)
    flags = ["a.c", "-o", "x", "-MMD", "-save-temps", "-g", "-gsplit-dwarf", "-Wl,-Map,x.map"]
    assert link(*flags).returncode == 0
    ours = {p.name for p in tmp_path.iterdir()}
    for path in tmp_path.iterdir():
        if path.name != "a.c":
            path.unlink()
    assert run("gcc", "-static", *flags, cwd=tmp_path).returncode == 0
    assert ours == {p.name for p in tmp_path.iterdir()}


def test_configures_null_output(link, tmp_path):
    (tmp_path / "a.c").write_text(HELLO)
    made = link("a.c", "-o", "/dev/null", UKCC_PLAIN="")
    assert (made.returncode, made.stderr) == (0, "")
    assert Path("/dev/null").is_char_device()


def test_shared_library_is_the_hosts_kind(link, tmp_path):
    (tmp_path / "a.c").write_text("int f(void) { return 42; }")
    assert link("-shared", "-fPIC", "a.c", "-o", "liba.so").stderr == ""
    assert "DYN" in run("readelf", "-h", "liba.so", cwd=tmp_path).stdout


def test_dry_run_runs_nothing(link, tmp_path):
    (tmp_path / "a.c").write_text(HELLO)
    made = link("-###", "a.c", UKCC_PLAIN="")
    assert made.returncode == 0
    assert "-Ttext-segment=0x10000000" in made.stderr
    assert not (tmp_path / "a.out").exists()


def _stable(text):
    """Without the names of temporary objects."""
    return re.sub(r"/tmp/cc\w+\.o", "OBJECT", text)


def test_a_program_may_define_what_libc_defines(link, tmp_path):
    """libc.a's member comes with another symbol of it; as for gcc, the program's own one wins."""
    (tmp_path / "clock.c").write_text(
        "#include <sys/timex.h>\n#include <time.h>\n"
        "int clock_adjtime(clockid_t clock, struct timex *t) { return 40 + !t + clock; }\n"
        "int main(void) { struct timex t = {0};"
        " return clock_adjtime(1, &t) + (adjtimex(&t) < 0); }\n"
    )
    made = link("clock.c", "-o", "clock")
    assert (made.returncode, made.stderr) == (0, "")
    assert run("./clock", cwd=tmp_path).returncode == 41


def test_a_symbol_defined_twice_is_told_as_gcc_tells_it(link, tmp_path):
    (tmp_path / "a.c").write_text("int f(void) { return 1; } int main(void) { return f(); }")
    (tmp_path / "b.c").write_text("int f(void) { return 2; }")
    ours = link("a.c", "b.c", "-o", "x", UKCC_PLAIN="")
    real = run("gcc", "a.c", "b.c", "-o", "x", cwd=tmp_path)
    assert ours.returncode == real.returncode == 1
    assert _stable(ours.stderr) == _stable(real.stderr)
    assert not (tmp_path / "x").exists()
