"""The assembler shim and its prelude, with the host's compiler and no sysroot.

The sysroot's glibc is built with them, and code whose build asks for it (test_own_syscalls.py).

Outputs run as Linux processes, where every site must end in the literal `syscall`.
"""

import ctypes
import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

SHIMS = Path(__file__).resolve().parents[2] / "toolchain-shims"
SITE = re.compile(rb"\x4c\x8b\x1d....\x48\x8d\x0d\x05\0\0\0\x41\xff\xe3\x0f\x05", re.DOTALL)

# Prints and returns what it got from the kernel, with flags and the red zone under test.
PROGRAM = """
#include <unistd.h>
static inline long call(long number) {
    long result;
    __asm__ volatile("syscall" : "=a"(result) : "a"(number) : "rcx", "r11", "memory");
    return result;
}
int main(void) { return call(39) == getpid() ? 42 : 1; }
"""

OWN_MACRO = """
.macro syscall
    nop
.endm
.text
    syscall
"""


def run(*words, cwd, stdin=None, status=0):
    result = subprocess.run(
        [str(w) for w in words], cwd=cwd, input=stdin, capture_output=True, text=True, timeout=120
    )
    assert result.returncode == status, result.stderr
    return result


def compile_c(tmp_path, *flags, source=PROGRAM, name="a.c"):
    (tmp_path / name).write_text(source)
    compiler = "g++" if name.endswith(".cc") else "gcc"
    return run(compiler, f"-B{SHIMS}/", *flags, name, cwd=tmp_path)


def sites(path):
    return len(SITE.findall(Path(path).read_bytes()))


@pytest.mark.parametrize(
    "flags",
    [
        [],
        ["-O2", "-pipe"],
        ["-O2", "-masm=intel"],
        ["-O2", "-masm=intel", "-pipe"],
        ["-O2", "-flto"],
        ["-O2", "-g", "-fcf-protection=full"],
        ["-O2", "-static"],
        ["-O2", "-static-pie"],
        ["-ffunction-sections", "-Wl,--gc-sections"],
        ["-ffunction-sections", "-Wl,--gc-sections", "-Wl,-z,start-stop-gc"],
        ["-save-temps"],
    ],
    ids=" ".join,
)
def test_program_runs_as_a_process(tmp_path, flags):
    result = compile_c(tmp_path, *flags, "-o", "a")
    assert (result.stdout, result.stderr) == ("", "")
    run("./a", cwd=tmp_path, status=42)
    assert sites(tmp_path / "a") == 1


def test_site_leaves_flags_and_red_zone(tmp_path):
    source = """
    .globl main
    main:
        movq $0x1234, -8(%rsp)
        movq $0x5678, -120(%rsp)
        movl $39, %eax
        stc
        syscall
        jnc 1f
        cmpq $0x1234, -8(%rsp)
        jne 1f
        cmpq $0x5678, -120(%rsp)
        jne 1f
        movl $42, %eax
        ret
    1:  movl $1, %eax
        ret
    .section .note.GNU-stack,"",@progbits
    """
    (tmp_path / "a.s").write_text(source)
    run("gcc", f"-B{SHIMS}/", "a.s", "-o", "a", cwd=tmp_path)
    run("./a", cwd=tmp_path, status=42)


def test_intel_syntax_in_a_source(tmp_path):
    source = ".intel_syntax noprefix\n.globl f\nf: mov eax, 39\n syscall\n ret\n"
    run("gcc", f"-B{SHIMS}/", "-x", "assembler", "-c", "-", "-o", "f.o", cwd=tmp_path, stdin=source)
    assert sites(tmp_path / "f.o") == 1


def test_numeric_labels_around_a_site_are_the_sources_own(tmp_path):
    source = ".text\n1: nop\n syscall\n jmp 1b\n jmp 2f\n syscall\n2: nop\n"
    run("gcc", f"-B{SHIMS}/", "-x", "assembler", "-c", "-", "-o", "f.o", cwd=tmp_path, stdin=source)
    code = run("objdump", "-d", "f.o", cwd=tmp_path).stdout
    targets = re.findall(r"\bjmp\s+([0-9a-f]+) ", code)
    # `nop` at 0, site 1 to 20, the two jumps, site 24 to 43, `nop` at 43.
    assert targets == ["0", "2b"]


@pytest.mark.parametrize("pipe", [[], ["-pipe"]], ids=["file", "pipe"])
def test_a_source_with_its_own_macro(tmp_path, pipe):
    (tmp_path / "own.s").write_text(OWN_MACRO + '.warning "hey"\n')
    result = run("gcc", f"-B{SHIMS}/", *pipe, "-c", "own.s", cwd=tmp_path)
    assert result.stderr == "own.s: Assembler messages:\nown.s:7: Warning: hey\n"
    assert sites(tmp_path / "own.o") == 0


@pytest.mark.parametrize("source", [" bogus\n", OWN_MACRO + " bogus\n", '.warning "w"\n', ".err\n"])
@pytest.mark.parametrize("stdin", [False, True], ids=["file", "stdin"])
def test_messages_and_status_are_the_assemblers(tmp_path, source, stdin):
    (tmp_path / "x.s").write_text(source)
    text = source if stdin else None
    words = ["-o", "x.o", "-" if stdin else "x.s"]
    real = subprocess.run(
        ["as", *words], cwd=tmp_path, input=text, capture_output=True, text=True, timeout=60
    )
    ours = run(SHIMS / "as", *words, cwd=tmp_path, stdin=text, status=real.returncode)
    assert (ours.stdout, ours.stderr) == (real.stdout, real.stderr)
    assert (tmp_path / "x.o").exists() == (real.returncode == 0)


def test_standard_input_without_a_dash(tmp_path):
    run(SHIMS / "as", "-o", "x.o", cwd=tmp_path, stdin=" syscall\n")
    assert sites(tmp_path / "x.o") == 1
    run(SHIMS / "as", "-o", "y.o", "--", cwd=tmp_path, stdin=" syscall\n")
    assert sites(tmp_path / "y.o") == 1


def test_questions_are_the_assemblers(tmp_path):
    for question in ("--version", "--help", "-v"):
        real = run("as", question, cwd=tmp_path, stdin="")
        ours = run(SHIMS / "as", question, cwd=tmp_path, stdin="")
        assert (ours.stdout, ours.stderr) == (real.stdout, real.stderr)


def test_a_wrong_option_is_told_in_the_assemblers_words(tmp_path):
    real = run("as", "--wrong", "x.s", cwd=tmp_path, status=1)
    ours = run(SHIMS / "as", "--wrong", "x.s", cwd=tmp_path, status=1)
    assert ours.stderr == real.stderr


def test_other_abis_stay_raw(tmp_path):
    for abi in ("--32", "--x32"):
        run(SHIMS / "as", abi, "-o", "x.o", cwd=tmp_path, stdin=" syscall\n")
        assert sites(tmp_path / "x.o") == 0
        assert "uk_gate" not in run("readelf", "-SW", "x.o", cwd=tmp_path).stdout


def test_a_source_without_a_call_gets_nothing(tmp_path):
    compile_c(tmp_path, "-c", source="int f(void) { return 1; }")
    names = run("readelf", "-SW", "a.o", cwd=tmp_path).stdout
    assert "uk_" not in names
    real = run("gcc", "-c", "a.c", "-o", "b.o", cwd=tmp_path)
    assert real.stderr == ""
    assert (tmp_path / "a.o").read_bytes() == (tmp_path / "b.o").read_bytes()


def test_paths_with_spaces(tmp_path):
    directory = tmp_path / "a b"
    directory.mkdir()
    compile_c(directory, "-c", "-o", "x y.o", name="ö ä.c")
    assert sites(directory / "x y.o") == 1


HEADER = """
template<class T> struct X {
    static long call() {
        long r;
        asm volatile("syscall" : "=a"(r) : "a"(39L) : "rcx", "r11", "memory");
        return r;
    }
};
inline long call() {
    long r;
    asm volatile("syscall" : "=a"(r) : "a"(39L) : "rcx", "r11", "memory");
    return r;
}
"""


@pytest.mark.parametrize("how", ["plain", "gc", "joined", "joined gc"])
def test_templates_and_inline_functions(tmp_path, how):
    (tmp_path / "h.h").write_text(HEADER)
    (tmp_path / "a.cc").write_text(
        '#include "h.h"\nlong g(); int main() { return X<int>::call() == g() ? 42 : 1; }\n'
    )
    (tmp_path / "b.cc").write_text('#include "h.h"\nlong g() { return call() + 0*X<int>::call(); }')
    flags = ["-O0", "-ffunction-sections"]
    run("g++", f"-B{SHIMS}/", *flags, "-c", "a.cc", "b.cc", cwd=tmp_path)
    objects = ["a.o", "b.o"]
    if how.startswith("joined"):
        run("ld", "-r", *objects, "-o", "r.o", cwd=tmp_path)
        run("objcopy", "--localize-hidden", "r.o", cwd=tmp_path)
        objects = ["r.o"]
    gc = ["-Wl,--gc-sections"] if how.endswith("gc") else []
    assert run("g++", *gc, *objects, "-o", "a", cwd=tmp_path).stderr == ""
    run("./a", cwd=tmp_path, status=42)
    assert len(listed_sites(tmp_path / "a")) == 2


def listed_sites(path):
    """The addresses in uk_sites_v1."""
    out = path.parent / "sites.bin"
    run("objcopy", "-O", "binary", "--only-section=uk_sites_v1",
        "--set-section-flags", "uk_sites_v1=alloc", path, out, cwd=path.parent)  # fmt: skip
    return struct.unpack(f"<{out.stat().st_size // 8}Q", out.read_bytes())


def test_sites_section_names_each_site(tmp_path):
    compile_c(tmp_path, "-O0", "-static", "-o", "a")
    (address,) = listed_sites(tmp_path / "a")
    code = run("objdump", "-d", f"--start-address={address}", f"--stop-address={address + 19}",
               "a", cwd=tmp_path).stdout  # fmt: skip
    assert [w for w in ("%r11", "%rcx", "jmp", "syscall") if w not in code] == []


def test_one_initialiser_runs_first(tmp_path):
    source = PROGRAM + "__attribute__((constructor(101))) static void early(void) {}\n"
    compile_c(tmp_path, "-static", "-o", "a", source=source)
    run("objcopy", "-O", "binary", "--only-section=.init_array", "a", "init", cwd=tmp_path)
    first = struct.unpack_from("<Q", (tmp_path / "init").read_bytes())[0]
    code = run("objdump", "-d", f"--start-address={first}", f"--stop-address={first + 10}", "a",
               cwd=tmp_path).stdout  # fmt: skip
    assert "mov    %cs,%eax" in code


def test_shared_library_has_a_range_of_its_own(tmp_path):
    compile_c(tmp_path, "-fPIC", "-shared", "-o", "libx.so", source=PROGRAM.replace("main", "f"))
    (tmp_path / "m.c").write_text("int f(void); int main(void) { return f(); }")
    run("gcc", "m.c", "-L.", "-lx", "-Wl,-rpath,$ORIGIN", "-o", "m", cwd=tmp_path)
    run("./m", cwd=tmp_path, status=42)
    symbols = run("readelf", "-sW", "libx.so", cwd=tmp_path).stdout
    for line in symbols.splitlines():
        if "uk_gate" in line:
            assert "HIDDEN" in line or "LOCAL" in line


def test_restorer_keeps_its_bytes(tmp_path):
    source = ".globl __restore_rt\n__restore_rt: movq $15, %rax\n syscall\nf: syscall\n"
    run("gcc", f"-B{SHIMS}/", "-x", "assembler", "-c", "-", "-o", "f.o", cwd=tmp_path, stdin=source)
    run("objcopy", "-O", "binary", "-j", ".text", "f.o", "text", cwd=tmp_path)
    assert (
        (tmp_path / "text").read_bytes().startswith(b"\x48\xc7\xc0\x0f\0\0\0\x0f\x05\x4c\x8b\x1d")
    )
    assert sites(tmp_path / "f.o") == 1


def test_branch_protection_marks_survive(tmp_path):
    compile_c(tmp_path, "-fcf-protection=full", "-c")
    notes = run("readelf", "-nW", "a.o", cwd=tmp_path).stdout
    assert "IBT, SHSTK" in notes


def test_unwinding_through_the_stub(tmp_path):
    compile_c(tmp_path, "-c")
    frames = run("readelf", "--debug-dump=frames", "a.o", cwd=tmp_path).stdout
    assert "DW_CFA_register: r16 (rip) in r2 (rcx)" in frames


def test_prelude_twice_is_prelude_once(tmp_path):
    compile_c(tmp_path, f"-Wa,{SHIMS}/prelude.s", "-c")
    assert sites(tmp_path / "a.o") == 1


def test_no_symbol_of_ours_in_a_linked_program(tmp_path):
    compile_c(tmp_path, "-O2", "-static", "-o", "a")
    names = run("nm", "a", cwd=tmp_path).stdout
    ours = {line.split()[-1] for line in names.splitlines() if "uk_" in line}
    assert ours <= {"__start_uk_gate_v1", "__stop_uk_gate_v1"}


def from_stdin(tmp_path, source=" syscall\n", limit="unlimited", **environ):
    """The shim reads a source from standard input, as under -pipe."""
    return subprocess.run(
        ["/bin/sh", "-c", f'ulimit -f {limit}; exec "$0" "$@"', SHIMS / "as", "-o", "x.o", "-"],
        cwd=tmp_path, env={"PATH": "/usr/bin:/bin", **environ}, input=source,
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["missing", "a file", "not writable", "empty", "unset"])
def test_temporary_directory_that_cannot_be_used(tmp_path, kind):
    place = tmp_path / "t"
    if kind == "a file":
        place.touch()
    elif kind == "not writable":
        place.mkdir(mode=0o500)
    given = {"empty": "", "unset": None}.get(kind, str(place))
    result = from_stdin(tmp_path, **({} if given is None else {"TMPDIR": given}))
    assert (result.returncode, result.stderr) == (0, "")
    assert sites(tmp_path / "x.o") == 1


@pytest.mark.parametrize("name", ["a b", "it's", '"', "-p", "$HOME", "*", "ö"])
def test_temporary_directory_with_an_odd_name(tmp_path, name):
    place = tmp_path / name
    place.mkdir()
    for given in (str(place), name):
        result = from_stdin(tmp_path, OWN_MACRO, TMPDIR=given)
        assert (result.returncode, result.stderr) == (0, "")
    assert list(place.iterdir()) == []


def test_nobody_can_wait_for_the_temporary_file(tmp_path):
    """Whatever lies in the directory beforehand, nothing of it is opened.

    The shell's number is the next one: FIFOs by all names that it could have had.
    """
    place = tmp_path / "t"
    place.mkdir()
    before = os.getpid()
    for number in range(before, before + 3000):
        os.mkfifo(place / f"ukcc-as.{number}")
    result = from_stdin(tmp_path, TMPDIR=str(place))
    assert (result.returncode, result.stderr) == (0, "")
    assert sites(tmp_path / "x.o") == 1
    assert {path.is_fifo() for path in place.iterdir()} == {True}


def test_the_temporary_file_is_nobody_elses(tmp_path):
    """It is made new, readable for its owner only, and without a name when the source comes."""
    place, tools = tmp_path / "t", tmp_path / "tools"
    place.mkdir()
    tools.mkdir()
    (tools / "cat").write_text(
        f"#!/bin/sh\nls {place} >names; exec 9>&1\n"
        "stat -Lc %a:%h /proc/$$/fd/9 >state; exec /bin/cat\n"
    )
    (tools / "as").write_text('#!/bin/sh\nexec /usr/bin/as "$@"\n')
    for tool in tools.iterdir():
        tool.chmod(0o755)
    result = from_stdin(tmp_path, TMPDIR=str(place), PATH=f"{tools}:/usr/bin:/bin")
    assert (result.returncode, result.stderr) == (0, "")
    assert (tmp_path / "names").read_text() == ""
    assert (tmp_path / "state").read_text() == "600:0\n"


def test_a_source_that_cannot_be_kept_is_an_error(tmp_path):
    """Half of it would be another program."""
    result = from_stdin(tmp_path, " nop\n" + "# long\n" * 20000, limit="16", TMPDIR=str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.endswith(f"as: error: cannot keep the source in {tmp_path}\n")
    assert not (tmp_path / "x.o").exists()


def test_missing_assembler_is_one_line(tmp_path):
    result = subprocess.run(
        ["/bin/sh", str(SHIMS / "as"), "x.s"],
        cwd=tmp_path, env={"PATH": "/nonexistent"}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert result.returncode == 1
    assert result.stderr == "as: error: no assembler on PATH; apt-get install binutils\n"


# The initialiser stores only in ring 0. Two bytes changed, it does so here too, and takes the
# program's entry point (AT_ENTRY, 9) for the gate, which stands behind the magic word or not.
ENTRY = """
#include <stdio.h>
extern void *const range_start[] __asm__("__start_uk_gate_v1");
extern void *const range_stop[] __asm__("__stop_uk_gate_v1");
__asm__(".globl entry\\n.balign 8\\n.quad MAGIC\\nentry: jmp _start\\n");
extern char entry[];
static long ours(void) { long r; __asm__("syscall" : "=a"(r) : "a"(39L) : "rcx", "r11"); return r; }
long (*volatile keep)(void) = ours;
int main(void) {
    int stored = 0, all = 0;
    for (void *const *gate = range_start; gate < range_stop; gate++, all++)
        stored += *gate == (void *)entry;
    printf("%d of %d\\n", stored, all);
}
"""


@pytest.mark.parametrize(
    ("magic", "said"), [("0x31764574614b55", "2 of 2"), ("0x32764574614b55", "0 of 2")]
)
@pytest.mark.parametrize("kind", ["-static", "-static-pie", "-pie"])
def test_initialiser_fills_its_range(tmp_path, magic, said, kind):
    if not _kernel_tells():
        pytest.skip("this host's kernel has no PR_GET_AUXV (Linux 6.4)")
    shims = tmp_path / "shims"
    shims.mkdir()
    (shims / "as").write_bytes((SHIMS / "as").read_bytes())
    (shims / "as").chmod(0o755)
    prelude = (SHIMS / "prelude.s").read_text()
    for before, after in ((".byte 0xa8, 0x03 ", ".byte 0xa8, 0x00 "), ("0xf8, 0x20 ", "0xf8, 9 ")):
        assert prelude.count(before) == 1
        prelude = prelude.replace(before, after)
    (shims / "prelude.s").write_text(prelude)
    (tmp_path / "e.c").write_text(ENTRY.replace("MAGIC", magic))
    run("gcc", f"-B{shims}/", "-fPIE", kind, "-Wl,-e,entry", "e.c", "-o", "e", cwd=tmp_path)
    result = subprocess.run([tmp_path / "e"], capture_output=True, text=True, timeout=60)
    assert (result.returncode, result.stdout.strip()) == (0, said)


def _kernel_tells():
    buffer = ctypes.create_string_buffer(512)
    return ctypes.CDLL(None).prctl(0x41555856, buffer, 512, 0, 0) > 0
