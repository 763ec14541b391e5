"""System calls in a program's own code: gcc's bytes, also where code is data; the gate by request.

The lines of the first half are run twice, by gcc and by uk-gcc (`twin.py`), and objects compared.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from support.twin import BIN, DEADLINE, ENVIRON, assert_same, both, shell

from ukcc.cc.toolchain import find_sysroot, gate_flag

SYSROOT = find_sysroot(os.environ)
SITE = re.compile(rb"\x4c\x8b\x1d....\x48\x8d\x0d\x05\0\0\0\x41\xff\xe3\x0f\x05", re.DOTALL)

PID = """
long pid(void)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(39L) : "rcx", "r11", "memory");
    return r;
}
"""

# A function is copied and called where it is then, as code generators and injectors do.
COPIED = """
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
__attribute__((section("stubs"), naked)) long stub(void)
{
    __asm__("mov $39, %eax\\n syscall\\n ret");
}
extern char __start_stubs[], __stop_stubs[];
int main(void)
{
    char *p = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(p, __start_stubs, __stop_stubs - __start_stubs);
    return ((long (*)(void))p)() == getpid() ? 42 : 1;
}
"""

# Code in slots of a size that the source counts on, and code in data. (With an .org that does not
# fit, the assembler itself would complain.)
SLOTS = """
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
extern char slots[], blob[];
__asm__(".text\\n.balign 16\\nslots:\\n.set n, 0\\n.rept 128\\n"
        " mov $n, %eax\\n syscall\\n ret\\n .balign 16\\n.set n, n + 1\\n.endr\\n"
        ".data\\nblob: mov $39, %eax\\n syscall\\n ret\\n.text\\n");
int main(void)
{
    char *p = mmap(0, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memcpy(p, blob, 8);
    if (((long (*)(void))p)() != getpid())
        return 1;
    return ((long (*)(void))(slots + 39 * 16))() == getpid() ? 42 : 2;
}
"""

# A program without libc, whose code runs before anything is relocated.
FREE = """
static long call(long n, long a, long b, long c)
{
    long r;
    __asm__ volatile("syscall" : "=a"(r) : "0"(n), "D"(a), "S"(b), "d"(c) : "rcx", "r11", "memory");
    return r;
}
void begin(void) { char s[] = "free\\n"; call(1, 1, (long)s, 5); call(60, 42, 0, 0); }
__asm__(".globl _start\\n_start: and $-16, %rsp\\n call begin\\n hlt\\n");
"""

SCRIPT = """
SECTIONS
{
    . = 0x400000 + SIZEOF_HEADERS;
    .text : { *(.text*) } .rodata : { *(.rodata*) } .data : { *(.data*) *(.bss*) }
    /DISCARD/ : { *(*) }
}
"""

LINES = {
    "an object": "$CC -O2 -c pid.c; $CC -O2 -pipe -g -c pid.c -o pipe.o; $CC -masm=intel -c pid.c",
    "C++": "$CC -x c++ -O2 -c pid.c -o cxx.o",
    "assembly": "$CC -S pid.c; $CC -c pid.s -o s.o; $CC -c -x assembler - -o in.o <pid.s",
    "a listing": "$CC -Wa,-al -c pid.c; $CC -Wa,--MD,pid.dd -c one.c; cat pid.dd",
    "kept files": "$CC -save-temps -c pid.c",
    "a copied function": "$CC -w copied.c -o x; ./x; $CC -w -O2 -static copied.c -o y; ./y",
    "slots": "$CC slots.c -o x; ./x; $CC -O2 -static -flto slots.c -o y; ./y; $CC -c slots.c",
    "static-pie, unrelocated": "$CC -O2 -fPIE -nostdlib -static-pie free.c -o x; ./x",
    "compiled, then linked": "$CC -O2 -fPIE -c free.c; $CC -nostdlib -static-pie free.o -o x; ./x",
    "a script that discards": "$CC -O2 -nostdlib -static -T script free.c -o x; ./x; size -A x",
    "shared": "$CC -fPIC -shared -O2 pid.c -o libpid.so; nm libpid.so",
    "joined": "$CC -c pid.c; $CC -r pid.o b.c -o r.o -nostdlib",
}


@pytest.mark.parametrize("line", LINES.values(), ids=LINES)
def test_own_code_is_gccs(line: str, tmp_path: Path) -> None:
    sources = {
        "pid.c": PID, "copied.c": COPIED, "slots.c": SLOTS, "free.c": FREE, "script": SCRIPT
    }  # fmt: skip
    for name, text in sources.items():
        (tmp_path / name).write_text(text)
    real, ours = both(f"cp ../pid.c ../copied.c ../slots.c ../free.c ../script .; {line}", tmp_path)
    if "./x" in line:
        assert real.status in (0, 42), real.stderr
    assert_same(real, ours)


def test_copies_of_code_run_in_images(tmp_path: Path) -> None:
    """The same with a kernel appended, as a process."""
    (tmp_path / "copied.c").write_text(COPIED)
    (tmp_path / "slots.c").write_text(SLOTS)
    for name in ("copied", "slots"):
        assert shell(f"$CC -O1 -w {name}.c -o x && ./x", tmp_path).returncode == 42


LIBRARY = """
static __attribute__((noinline)) long helper(void) { long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(39L) : "rcx", "r11", "memory"); return r + 1; }
long library(void) { return helper(); }
char data[] = "mine\\0f";
"""
PROGRAM = """
long library(void);
static __attribute__((noinline)) long mine(void) { long r;
    __asm__ volatile("syscall" : "=a"(r) : "a"(39L) : "rcx", "r11", "memory"); return r; }
__attribute__((noinline)) long f(void) { return 1 + mine(); }
static __attribute__((noinline)) long helper2(void) { return f(); }
int main(void) { return library() - helper2(); }
"""


def test_inspect_tells_a_programs_own_from_a_librarys(tmp_path: Path) -> None:
    (tmp_path / "lib.c").write_text(LIBRARY)
    (tmp_path / "m.c").write_text(PROGRAM)
    line = (
        "$CC -O2 -c lib.c && ar rc libl.a lib.o && $CC -O2 -static m.c -L. -ll -o x"
        " && ukcc inspect --json x"
    )
    done = shell(line, tmp_path)
    assert done.returncode == 0, done.stderr
    raw = json.loads(done.stdout)["sites_raw"]
    found = {call["function"]: call["library"] for call in raw}
    assert found["mine"] == ""
    assert Path(found["helper"]).name == "libl.a(lib.o)"
    assert "libc_sigaction.o" in found["__restore_rt"]


# The gate by request


def sites(path: Path) -> int:
    return len(SITE.findall(path.read_bytes()))


def own_flag() -> str:
    done = subprocess.run([BIN / "ukcc", "env", "--gate"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.strip()


def test_the_flag_names_the_sysroot() -> None:
    assert own_flag() == gate_flag(os.path.realpath(SYSROOT))


def test_the_flag_redirects(tmp_path: Path) -> None:
    (tmp_path / "pid.c").write_text(PID)
    (tmp_path / "m.c").write_text(
        "#include <unistd.h>\nlong pid(void);\n"
        "int main(void) { return pid() == getpid() ? 42 : 1; }\n"
    )
    line = f"$CC -O2 {own_flag()} -c pid.c && $CC -O2 m.c pid.o -o x && ./x"
    assert shell(line, tmp_path, UKCC_PLAIN="1").returncode == 42
    assert sites(tmp_path / "pid.o") == 1


@pytest.mark.parametrize(
    "flag",
    [
        "-nostdlib",
        "-nostartfiles",
        "-nodefaultlibs",
        "-nolibc",
        "-ffreestanding",
        "-fno-hosted",
        "-T script",
    ],
)
@pytest.mark.parametrize("pipe", ["", "-pipe"])
def test_the_flag_does_not_redirect_what_brings_its_own_start(
    tmp_path: Path, flag: str, pipe: str
) -> None:
    (tmp_path / "pid.c").write_text(PID)
    (tmp_path / "script").write_text("")
    done = shell(f"$CC -O2 {own_flag()} {pipe} {flag} -c pid.c", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert shell("gcc -O2 -c pid.c -o real.o", tmp_path).returncode == 0
    assert (tmp_path / "pid.o").read_bytes() == (tmp_path / "real.o").read_bytes()


def test_the_flag_with_a_space_in_it_is_refused(tmp_path: Path) -> None:
    place = tmp_path / "a b"
    shutil.copytree(Path(SYSROOT) / "shims", place / "shims")
    done = shell("ukcc env --gate", tmp_path, UKCC_SYSROOT=str(place))
    assert done.returncode == 1
    assert done.stderr.decode().startswith(f"ukcc: error: the path {place} has a space in it, ")


@pytest.mark.parametrize("cache", ["ccache", "sccache"])
def test_caches_follow_the_assembler(tmp_path: Path, cache: str) -> None:
    """Keyed by the compiler's content, they see neither the sysroot nor the environment."""
    if shutil.which(cache) is None:
        pytest.skip(f"{cache} is not installed")
    other = tmp_path / "other"
    other.mkdir()
    for name in ("usr", "kernel"):
        (other / name).symlink_to(Path(SYSROOT).resolve() / name)
    shutil.copytree(Path(SYSROOT) / "shims", other / "shims")
    prelude = (other / "shims" / "prelude.s").read_text()
    (other / "shims" / "prelude.s").write_text(prelude.replace("uk_sites_v1", "uk_sites_v2"))
    (tmp_path / "pid.c").write_text(PID)
    environ = {
        **os.environ,
        **ENVIRON,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "CCACHE_DIR": str(tmp_path / "ccache"),
        "CCACHE_COMPILERCHECK": "content",
        "SCCACHE_DIR": str(tmp_path / "sccache"),
        "SCCACHE_SERVER_PORT": str(20000 + os.getpid() % 20000),
    }

    def build(output: str, sysroot: str, *words: str) -> bytes:
        given = {**environ, "UKCC_SYSROOT": sysroot}
        command = [*words, "-O2", "-c", "pid.c", "-o", output]
        subprocess.run(command, cwd=tmp_path, env=given, check=True, timeout=DEADLINE)
        return (tmp_path / output).read_bytes()

    real = str(Path(SYSROOT).resolve())
    try:
        plain = [build(f"{n}.o", s, cache, "uk-gcc") for n, s in (("a", real), ("b", str(other)))]
        ours = build("c.o", real, cache, "uk-gcc", gate_flag(real))
        others = build("d.o", str(other), cache, "uk-gcc", gate_flag(str(other)))
    finally:
        if cache == "sccache":
            subprocess.run(["sccache", "--stop-server"], env=environ, capture_output=True)
    assert plain == [build("e.o", real, "gcc")] * 2
    assert b"uk_sites_v1" in ours
    assert b"uk_sites_v2" in others
