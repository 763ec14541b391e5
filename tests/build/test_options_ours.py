"""Where uk-gcc cannot leave what gcc leaves, or does more: what it does instead.

`test_options.py` has all the points in which both are the same.
"""

import functools
import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support import twin
from support.hypervisor import is_image
from support.twin import BIN, DEADLINE, FILES

from ukcc.cc.toolchain import find_compiler, find_sysroot, find_tool

GCC = find_compiler("gcc", os.environ)


@pytest.fixture
def shell(tmp_path: Path) -> "object":
    """Runs a line in a directory with the sources; $CC is uk-gcc, with a kernel."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    return functools.partial(twin.shell, where=tmp_path)


# What the compiler says of itself


def test_where_things_are_is_where_they_are(shell) -> None:
    sysroot = find_sysroot(os.environ)
    for name in ("libc.a", "libm.a", "crt1.o", "rcrt1.o", "crti.o"):
        found = shell(f"$CC -print-file-name={name}").stdout.decode().strip()
        assert Path(found).samefile(f"{sysroot}/usr/lib/{name}")
    assert shell("$CC -print-prog-name=as").stdout == shell("gcc -print-prog-name=as").stdout


def test_search_directories_have_gccs_form(shell) -> None:
    done = shell("$CC -print-search-dirs")
    lines = [line.partition(": ")[0] for line in done.stdout.decode().splitlines()]
    assert lines == ["install", "programs", "libraries"]
    real = subprocess.run([GCC, "-print-search-dirs"], capture_output=True, text=True).stdout
    for ours, gccs in zip(done.stdout.decode().splitlines(), real.splitlines(), strict=True):
        assert ours.endswith(gccs.partition(": ")[2].lstrip("=").rpartition(":")[2])


SAID = (
    r"^(?:Using|COLLECT_GCC=|Target:|Thread|gcc version|COLLECT_GCC_OPTIONS|GNU C|#include|End of)"
)


@pytest.mark.parametrize("words", ["-v", "-v -c one.c", "-v -E one.c", "-### one.c", "-v one.c"])
def test_verbose_lines_are_gccs(shell, words: str) -> None:
    """configure and CMake find search paths and the linker's words between these."""
    ours = shell(f"UKCC_PLAIN=1 $CC {words}").stderr.decode()
    real = shell(f"{GCC} {words}").stderr.decode()
    assert re.findall(SAID, ours, re.MULTILINE) == re.findall(SAID, real, re.MULTILINE)
    for program in ("cc1 ", "collect2 "):
        assert (program in ours) == (program in real)


def test_dry_run_leaves_nothing(shell, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    assert shell("$CC -### one.c -o x").returncode == 0
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("sanitizer", ["address", "thread", "leak"])
def test_a_sanitizer_with_a_shared_runtime_makes_a_dynamic_program(shell, sanitizer) -> None:
    done = shell(f"$CC -fsanitize={sanitizer} one.c -o x")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"Requesting program interpreter" in shell("readelf -lW x").stdout
    # The user's own -static is GCC's to refuse.
    done = shell(f"$CC -static -fsanitize={sanitizer} one.c -o y")
    if sanitizer != "leak":
        assert done.returncode == 1
        assert re.fullmatch(rf".*error: .*-fsanitize={sanitizer}\n", done.stderr.decode())


def test_undefined_behaviour_is_reported(shell, tmp_path: Path) -> None:
    source = "int main(int c, char **v) { return (0x7fffffff + c) != 42 ? 42 : 0; }\n"
    (tmp_path / "ub.c").write_text(source)
    done = shell("UKCC_PLAIN=1 $CC -g -fsanitize=undefined ub.c -o x && ./x")
    assert done.returncode == 42
    assert b"ub.c:1:48: runtime error: signed integer overflow" in done.stderr
    trap = "-fsanitize=undefined -fno-sanitize-recover=all"
    assert shell(f"UKCC_PLAIN=1 $CC {trap} ub.c -o x && exec ./x").returncode == 1


# Images

IMAGES = {
    "a.out": ("$CC one.c", "a.out"),
    "joined": ("$CC one.c -ox", "x"),
    "-o of the linker": ("$CC one.c -o x -Wl,-o,y", "y"),
    "from a response file": ("echo '-o x one.c' >r; $CC @r", "x"),
    "in another directory": ("mkdir d; cd d; $CC ../one.c -o ../x", "x"),
    "standard input": ("$CC -x c - -o x <one.c", "x"),
    "closed descriptors": ("$CC one.c -o x <&- >&- 2>&-", "x"),
    "ignored interrupts": ("trap '' INT TERM; $CC one.c -o x", "x"),
    "spaces and bytes": ("n=$(printf 'a \\377'); $CC -x c - -o \"$n\" <one.c", b"a \xff"),
    "LTO": ("$CC -O2 -g -flto=auto one.c -o x", "x"),
    "beside a shared library": (
        "$CC -fPIC -shared b.c -o libb.so; $CC -c b.c; uk-ar rc libb.a b.o;"
        " sed 's/int main/int f(int); &/;s/, c)/, f(c) - 1)/' one.c >q.c;"
        " $CC q.c libb.so -Wl,-rpath,. -o x",
        "x",
    ),
    "static PIE": ("$CC -static-pie -fPIE one.c -o x", "x"),
    "gold": ("$CC -fuse-ld=gold one.c -o x", "x"),
    "undefined behaviour": ("$CC -g -fsanitize=undefined one.c -o x", "x"),
    "instrumented": ("$CC --coverage -pg one.c -o x", "x"),
    "stripped": ("$CC -s -Wl,--gc-sections one.c -o x", "x"),
}  # fmt: skip


@pytest.mark.parametrize(("line", "name"), IMAGES.values(), ids=IMAGES)
def test_an_image_comes_out(shell, tmp_path: Path, line: str, name: "str | bytes") -> None:
    done = shell(line, UKCC_PLAIN="")
    assert (done.returncode, done.stderr) == (0, b"")
    image = tmp_path / os.fsdecode(name)
    assert is_image(image)
    ran = subprocess.run([image], cwd=tmp_path, capture_output=True, timeout=DEADLINE)
    assert (ran.returncode, ran.stdout) == (42, b"hi 1\n")


def test_an_output_that_is_a_device_stays_one(shell) -> None:
    assert shell("$CC one.c -o /dev/null").returncode == 0
    assert Path("/dev/null").is_char_device()
    ours = shell("$CC one.c -o /dev/full")
    assert ours.returncode == shell(f"{GCC} -static one.c -o /dev/full").returncode != 0
    assert Path("/dev/full").is_char_device()


def test_an_image_that_does_not_fit_leaves_nothing(shell, tmp_path: Path) -> None:
    """The program fits into the limit (1 KiB blocks), the image does not."""
    before = sorted(tmp_path.iterdir())
    done = shell("ulimit -f 4000; $CC one.c -o x")
    assert done.returncode == 1
    assert re.fullmatch(r"uk-gcc: error: [^\n]*File too large\n", done.stderr.decode())
    assert sorted(tmp_path.iterdir()) == before


# An interrupt


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["INT", "TERM"])
def test_interrupted_while_the_linker_reads(shell, tmp_path: Path, number: signal.Signals) -> None:
    """As the terminal does it: to the whole group. The linker waits for an object that is a pipe.

    The status is gcc's; gcc leaves a file without content, which a later `make` would take.
    """
    shell("mkdir t; $CC -c one.c; mkfifo pipe.o")
    before = sorted(tmp_path.rglob("*"))
    link = subprocess.Popen(
        [BIN / "uk-gcc", "one.o", "pipe.o", "-o", "x"],
        cwd=tmp_path,
        env={**os.environ, "TMPDIR": str(tmp_path / "t")},
        stderr=subprocess.PIPE,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    writer = open_when_read(tmp_path / "pipe.o")
    os.killpg(link.pid, number)
    _, errors = link.communicate(timeout=DEADLINE)
    os.close(writer)
    assert (link.returncode, errors) == (-number, b"")
    assert sorted(tmp_path.rglob("*")) == before


def open_when_read(pipe: Path) -> int:
    """The writing end of a named pipe as soon as it has a reader."""
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        try:
            return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
        except OSError:
            time.sleep(0.02)
    pytest.fail("nobody read the pipe")


def test_the_log_gets_what_was_done_and_stderr_does_not(shell, tmp_path: Path) -> None:
    done = shell("$CC -c one.c && $CC one.o -o x && uk-ar rc l.a one.o", UKCC_LOG="log")
    assert (done.returncode, done.stderr) == (0, b"")
    events = [line.split()[1] for line in (tmp_path / "log").read_text().splitlines()]
    assert events == ["compile:", "link:", "static:", "pack:", "inputs:", "ar:"]
    commands = [line.partition(": ")[2] for line in (tmp_path / "log").read_text().splitlines()]
    assert commands[0].startswith(GCC)
    assert f"{find_sysroot(os.environ)}/usr/lib/libc.a" in commands[4]
    assert commands[5] == f"{find_tool('ar', os.environ)} rc l.a one.o"
    # A line of the log can be run again.
    assert shell(f"rm one.o; {commands[0]} && test -f one.o").returncode == 0


def test_explain_says_where_everything_comes_from(shell, tmp_path: Path) -> None:
    """Of a link that is not run: what it would find, in the linker's order."""
    shell("$CC -c b.c; uk-ar rc libb.a b.o")
    before = sorted(tmp_path.iterdir())
    text = shell("ukcc explain -- uk-gcc b.c one.c -L. -lb -lm -Wl,-o,y").stdout.decode()
    files = text[text.index("files:\n") :].partition("\nrun:")[0].splitlines()[1:]
    found = dict(row.split(None, 1) for row in files)
    sysroot, libgcc = find_sysroot(os.environ), shell(f"{GCC} -print-libgcc-file-name").stdout
    assert list(found) == [
        "crt1.o", "crti.o", "crtbeginT.o", "room.o", "-lb", "-lm", "-l:libuk_charsets.a",
        "-lgcc", "-lgcc_eh", "-lc", "crtend.o", "crtn.o", "kernel",
    ]  # fmt: skip
    for name in ("crt1.o", "crti.o", "crtbeginT.o", "crtn.o"):
        printed = shell(f"$CC -print-file-name={name}").stdout.decode().strip()
        assert Path(found[name]).samefile(printed)
    assert found["-lb"] == "libb.a"
    assert Path(found["-lc"]).samefile(f"{sysroot}/usr/lib/libc.a")
    assert Path(found["-lgcc"]).samefile(libgcc.decode().strip())
    assert Path(found["kernel"]).samefile(f"{sysroot}/kernel/kernel.bin")
    assert text.endswith(" around y\n")
    assert "\nlinkage: static: it needs nothing of a loader\n" in text
    assert sorted(tmp_path.iterdir()) == before


def test_explain_says_why_a_link_is_dynamic(shell, tmp_path: Path) -> None:
    before = sorted(tmp_path.iterdir())
    text = shell("ukcc explain -- uk-gcc -MD one.c -lnosuch -o x -Wl,-Map,m").stdout.decode()
    assert "  -lnosuch    not found\n" in text
    assert "\nlinkage: not known, since the link fails\n" in text
    (tmp_path / "d.c").write_text("#include <dlfcn.h>\nint main(void) { return !dlsym(0, 0); }\n")
    text = shell("ukcc explain -- uk-gcc -w d.c -o x -Wl,-Map,m -save-temps").stdout.decode()
    assert "\nlinkage: dynamic: it looks up symbols (dlsym)\n" in text
    assert "crtbegin.o" in text
    assert sorted(tmp_path.iterdir()) == sorted([*before, tmp_path / "d.c"])


# What the plan of a link does not do yet. Each of these fails when it does: then it moves up.

WANTED = {
    "a library of the project named as one of glibc's": "mkdir d; $CC -c b.c -o d/b.o;"
    " uk-ar rc d/libutil.a d/b.o; $CC a.c -Ld -lutil -o x && ./x",
    "a sanitizer's runtime, static as everything": "$CC -fsanitize=undefined -static-libubsan one.c"
    " -o x && ./x",
    "the leak sanitizer": "$CC -fsanitize=leak one.c -o x && ./x",
}


@pytest.mark.parametrize("line", WANTED.values(), ids=WANTED)
def test_wanted(shell, line: str) -> None:
    assert shell(f"{line}", UKCC_PLAIN="1").returncode == 42


def test_an_output_that_is_a_link_to_nothing_is_made_there(shell, tmp_path: Path) -> None:
    """As the linker does it: what is not there, or empty, is written through the link."""
    shell("ln -s there x; $CC one.c -o x")
    assert (tmp_path / "x").is_symlink()
    assert is_image(tmp_path / "there")
