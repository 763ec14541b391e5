"""Programs that cannot be static: in both lives with their libraries, by our own glibc in the
machine; thin images; and programs at random addresses."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ukcc.image.inspect import inspect_image

BIN = Path(sys.executable).parent

LIBRARY = """
#include <unistd.h>
int from_library(void) { return getppid() > 0 ? 7 : 1; }
"""
USES_LIBRARY = """
#include <stdio.h>
int from_library(void);
int main(void) { printf("library says %d\\n", from_library()); return 42; }
"""
PLUGIN = """
#include <stdio.h>
extern const char *hosts_word(void);
int run(void) { printf("plugin heard: %s\\n", hosts_word()); fflush(stdout); return 5; }
"""
LOADS_PLUGIN = """
#include <dlfcn.h>
#include <stdio.h>
const char *hosts_word(void) { return "from the host"; }
int main(int argc, char **argv)
{
    void *plugin = dlopen(argv[1], RTLD_NOW);
    if (!plugin) { puts(dlerror()); return 1; }
    return ((int (*)(void))dlsym(plugin, "run"))();
}
"""
UNWINDS = """
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static void cleaned(void *word) { printf("%s\\n", (char *)word); }
static void *wait_for_ever(void *unused)
{
    pthread_cleanup_push(cleaned, "cancelled and cleaned");
    for (;;) pause();
    pthread_cleanup_pop(0);
    return unused;
}
int main(void)
{
    pthread_t thread;
    pthread_create(&thread, 0, wait_for_ever, 0);
    pthread_cancel(thread);
    pthread_join(thread, 0);
    return 42;
}
"""
WHERE = """
#include <stdio.h>
int main(void) { int local; printf("%p %p\\n", (void *)main, (void *)&local); return 0; }
"""
OVERFLOW = """
#include <stdlib.h>
int main(int argc, char **argv) { char *p = malloc(4); return p[argc + 3]; }
"""


@pytest.fixture
def compile_in(tmp_path):
    """Runs uk-gcc in an empty directory; sources are written there by name."""

    def compile_here(*argv, sources, **environ):
        for name, text in sources.items():
            (tmp_path / name).write_text(text)
        done = subprocess.run(
            [str(BIN / "uk-gcc"), "-g", *argv],
            cwd=tmp_path,
            env={**os.environ, **environ},
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")

    return compile_here


def process(*argv, cwd, **environ):
    done = subprocess.run(argv, cwd=cwd, env={**os.environ, **environ}, capture_output=True)
    return done.returncode, done.stdout


def test_a_library_of_the_build(compile_in, tmp_path, boot):
    compile_in("-shared", "-fPIC", "own.c", "-o", "libown.so", sources={"own.c": LIBRARY})
    compile_in("main.c", "-L.", "-lown", "-o", "main", sources={"main.c": USES_LIBRARY})
    report = inspect_image(tmp_path / "main")
    assert report.kind == "dynamic"
    modules = {module.path: module for module in report.modules}
    assert {"/usr/lib/libown.so", "/usr/lib/libc.so.6"} <= set(modules)
    assert modules["/usr/lib/libc.so.6"].sites_redirected > 300
    said = (42, b"library says 7\n")
    assert process("./main", cwd=tmp_path, LD_LIBRARY_PATH=".") == said
    subprocess.run(["strip", str(tmp_path / "main")], check=True)
    assert process("./main", cwd=tmp_path, LD_LIBRARY_PATH=".") == said
    status, out, _ = boot(tmp_path / "main")
    assert (status, out) == said


def test_a_library_without_the_link_of_its_soname(tmp_path, boot):
    """The linker found it by `libown.so`; `libown.so.1` is made by `make install`."""
    (tmp_path / "l.c").write_text(LIBRARY)
    (tmp_path / "m.c").write_text(USES_LIBRARY)
    make(
        "gcc", "-shared", "-fPIC", "l.c", "-o", "libown.so", "-Wl,-soname,libown.so.1", at=tmp_path
    )
    make(BIN / "uk-gcc", "m.c", "-o", "m", "-L.", "-lown", at=tmp_path)
    assert boot(tmp_path / "m")[:2] == (42, b"library says 7\n")


def test_a_library_that_is_nowhere(tmp_path, boot):
    """In the machine as in a process: the loader says which one, and the status is 127."""
    (tmp_path / "d.c").write_text("int dep(void) { return 1; }\n")
    (tmp_path / "l.c").write_text("int dep(void); int from_library(void) { return dep(); }\n")
    (tmp_path / "m.c").write_text(USES_LIBRARY)
    make(
        "gcc",
        "-shared",
        "-fPIC",
        "d.c",
        "-o",
        "libdep.so.1",
        "-Wl,-soname,libdep.so.1",
        at=tmp_path,
    )
    make("gcc", "-shared", "-fPIC", "l.c", "libdep.so.1", "-o", "libown.so", at=tmp_path)
    (tmp_path / "libdep.so.1").rename(tmp_path / "libdep.so.1.gone")
    allow = "-Wl,--allow-shlib-undefined"
    said = make(BIN / "uk-gcc", "m.c", "-o", "m", "-L.", "-lown", allow, at=tmp_path)
    assert "uk-gcc: warning: the image will not start: " in said
    lacks = b"error while loading shared libraries: libdep.so.1: cannot open shared object file"
    status, stdout, stderr = boot(tmp_path / "m")
    assert status == 127 and lacks in stdout + stderr
    here = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run([str(tmp_path / "m")], env=here, capture_output=True)
    assert done.returncode == 127 and lacks in done.stderr
    given = ["--file", f"{tmp_path}/libdep.so.1.gone:/usr/lib/libdep.so.1"]
    assert boot(tmp_path / "m", options=given)[:2] == (42, b"library says 1\n")


def make(*words, at):
    """Runs a compiler; returns what it said."""
    done = subprocess.run([str(word) for word in words], cwd=at, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stderr


def test_plugins(compile_in, tmp_path, boot):
    compile_in("-shared", "-fPIC", "plugin.c", "-o", "plugin.so", sources={"plugin.c": PLUGIN})
    compile_in("-rdynamic", "host.c", "-o", "host", sources={"host.c": LOADS_PLUGIN})
    assert inspect_image(tmp_path / "host").kind == "dynamic"
    said = (5, b"plugin heard: from the host\n")
    assert process("./host", "./plugin.so", cwd=tmp_path) == said
    share = ["-v", f"{tmp_path}:/plugins:ro"]
    status, out, _ = boot(tmp_path / "host", "/plugins/plugin.so", options=share)
    assert (status, out) == said


def test_plugins_of_a_program_that_exports_nothing(compile_in, tmp_path, boot):
    plugin = PLUGIN.replace("hosts_word()", '"nothing"')
    compile_in("-shared", "-fPIC", "plugin.c", "-o", "plugin.so", sources={"plugin.c": plugin})
    compile_in("host.c", "-o", "host", sources={"host.c": LOADS_PLUGIN})
    said = (5, b"plugin heard: nothing\n")
    assert process("./host", "./plugin.so", cwd=tmp_path) == said
    share = ["-v", f"{tmp_path}:/plugins:ro"]
    assert boot(tmp_path / "host", "/plugins/plugin.so", options=share)[:2] == said


def test_exported_symbols_without_plugins_stay_static(compile_in, tmp_path):
    compile_in("-rdynamic", "main.c", "-o", "main", sources={"main.c": WHERE})
    assert inspect_image(tmp_path / "main").kind == "static"
    compile_in("-rdynamic", "-static", "h.c", "-o", "h", "-w", sources={"h.c": LOADS_PLUGIN})
    assert inspect_image(tmp_path / "h").kind == "static"


def test_what_glibc_opens_by_itself_is_there(compile_in, tmp_path, boot):
    compile_in("-shared", "-fPIC", "own.c", "-o", "libown.so", sources={"own.c": LIBRARY})
    compile_in("main.c", "libown.so", "-o", "main", sources={"main.c": UNWINDS})
    status, out, _ = boot(tmp_path / "main")
    assert (status, out) == (42, b"cancelled and cleaned\n")


@pytest.mark.parametrize("name", ["address", "undefined"])
def test_sanitizers(compile_in, tmp_path, boot, name):
    compile_in(f"-fsanitize={name}", "main.c", "-o", "main", sources={"main.c": OVERFLOW})
    status, _, err = boot(tmp_path / "main")
    if name == "address":
        assert status == 1
        assert b"AddressSanitizer: heap-buffer-overflow" in err
        assert b"in main" in err
    else:
        assert (status, err) == (0, b"")


@pytest.mark.parametrize("flags", [[], ["-pie", "-fPIE"]], ids=["fixed", "PIE"])
def test_thin(compile_in, tmp_path, boot, flags):
    compile_in(*flags, "w.c", "-o", "thin", sources={"w.c": WHERE}, UKCC_IMAGE="thin")
    thin = tmp_path / "thin"
    assert thin.stat().st_size < 2_000_000
    assert inspect_image(thin).thin
    assert process("./thin", cwd=tmp_path)[0] == 0
    subprocess.run(["strip", str(thin)], check=True)
    for _ in range(2):  # made, and then taken from the store
        status, out, err = boot(thin)
        assert (status, err) == (0, b"")
        assert out.startswith(b"0x")


def test_thin_and_dynamic(compile_in, tmp_path, boot):
    compile_in("-shared", "-fPIC", "own.c", "-o", "libown.so", sources={"own.c": LIBRARY})
    main = {"main.c": USES_LIBRARY}
    compile_in("main.c", "libown.so", "-o", "main", sources=main, UKCC_IMAGE="thin")
    status, out, _ = boot(tmp_path / "main")
    assert (status, out) == (42, b"library says 7\n")
    # The library is taken as it is on the day.
    changed = {"own.c": LIBRARY.replace("? 7", "? 8")}
    compile_in("-shared", "-fPIC", "own.c", "-o", "libown.so", sources=changed)
    assert boot(tmp_path / "main")[1] == b"library says 8\n"


def test_thin_without_its_kernel(compile_in, tmp_path, boot):
    compile_in("w.c", "-o", "thin", sources={"w.c": WHERE}, UKCC_IMAGE="thin")
    status, out, err = boot(tmp_path / "thin", env={"UKCC_HOME": str(tmp_path / "empty")})
    assert (status, out) == (125, b"")
    assert re.fullmatch(
        rb"ukcc: error: .*thin: a thin image, and its kernel \(sysroot [0-9a-f]{16}\) is not here; "
        rb"run `ukcc sysroot build` by the ukcc that linked it, or link it without UKCC_IMAGE\n",
        err,
    ), err


@pytest.mark.parametrize("flags", [["-static-pie"], ["-pie"]], ids=" ".join)
def test_addresses_differ_in_both_lives(compile_in, tmp_path, boot, flags):
    compile_in(*flags, "-fPIE", "w.c", "-o", "pie", sources={"w.c": WHERE})
    assert inspect_image(tmp_path / "pie").kind == "static PIE"
    processes = [process("./pie", cwd=tmp_path)[1] for _ in range(3)]
    boots = [boot(tmp_path / "pie")[1] for _ in range(3)]
    for life in (processes, boots):
        code, stack = zip(*(line.split() for line in life), strict=True)
        assert len(set(code)) > 1
        assert len(set(stack)) > 1
