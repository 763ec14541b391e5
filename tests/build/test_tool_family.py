"""The commands beside the compiler, and what stands between a build and its compiler."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from support.twin import BIN, DEADLINE, ENVIRON

from ukcc.cc import driver, tools
from ukcc.cc.toolchain import TRIPLE, find_tool

ROOT = Path(__file__).parents[2]
PREFIXES = ("uk-", f"{TRIPLE}-")
NAMES = [
    "gcc", "g++", "cc", "c++", "cpp", "as", "ld", "ld.bfd", "ar", "gcc-ar", "ranlib",
    "gcc-ranlib", "nm", "gcc-nm", "strip", "objcopy", "objdump", "readelf", "size", "strings",
    "addr2line", "c++filt", "elfedit", "gcov", "gprof", "pkg-config", "pkgconf",
]  # fmt: skip
FILES = {
    "main.c": "#include <stdio.h>\nint f(int);\n"
    'int main(int c, char **v) { printf("%s %d\\n", KIND, f(c)); return 42; }\n',
    "f.c": "int g(int);\nint f(int x) { return g(x) + 1; }\n",
    "g.c": "long pid(void);\nint g(int x) { return pid() > 0 ? x + 1 : 0; }\n",
    "pid.c": 'long pid(void)\n{\n    long r;\n    __asm__ volatile("syscall" : "=a"(r) : "a"(39)'
    ' : "rcx", "r11", "memory");\n    return r;\n}\n',
}
MAKEFILE = """
OBJECTS = f.o g.o pid.o
CPPFLAGS = '-DKIND="made by make"'
program: main.o libf.a
	$(CC) $(CFLAGS) $(LDFLAGS) $< -L. -lf -o $@
libf.a: $(OBJECTS)
	$(AR) rc $@ $^
	$(RANLIB) $@
"""
SAYS = "made by make 3\n"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "Makefile").write_text(MAKEFILE)
    return tmp_path


def run(line: str, where: Path, **environ: str) -> str:
    """Runs a line that must succeed; its standard output and error."""
    done = subprocess.run(
        ["bash", "-ec", line],
        cwd=where,
        env={
            **os.environ,
            **ENVIRON,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            "CCACHE_DIR": str(where / "cache"),
            **environ,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=DEADLINE,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def works(where: Path) -> None:
    done = subprocess.run(
        [where / "program"],
        cwd=where,  # where a script of libtool's looks for libraries that are not installed
        capture_output=True,
        text=True,
        timeout=DEADLINE,
    )
    assert (done.returncode, done.stdout) == (42, SAYS)


# Names


def test_all_names_are_installed() -> None:
    project = tomli.loads((ROOT / "pyproject.toml").read_text())
    (place,) = project["tool"]["hatch"]["build"]["targets"]["wheel"]["shared-scripts"]
    launchers = {path.name for path in (ROOT / place).iterdir()}
    assert {p + n for p in PREFIXES for n in NAMES} | {"uk-driver"} == launchers
    assert launchers <= {path.name for path in BIN.iterdir()}
    assert {*project["project"]["scripts"]} == {"ukcc"}
    assert {"as", *driver.COMPILERS, *tools.HOST_TOOLS} == set(NAMES)


@pytest.mark.parametrize("name", [n for n in NAMES if not n.startswith("pkg")])
def test_each_is_the_hosts(name: str, tmp_path: Path) -> None:
    host = {"cc": "gcc", "c++": "g++"}.get(name, name)
    expected = run(f"{find_tool(host, os.environ)} --version", tmp_path)
    for prefix in PREFIXES:
        assert run(f"{prefix}{name} --version", tmp_path) == expected


@pytest.mark.parametrize("name", ["pkg-config", "pkgconf"])
def test_pkg_config_names_what_archives_need(name: str, tmp_path: Path) -> None:
    (tmp_path / "pkg-config").write_text('#!/bin/sh\necho "$@"\n')
    (tmp_path / "pkg-config").chmod(0o755)
    for prefix in PREFIXES:
        line = f"PATH={BIN}:{tmp_path} {prefix}{name} --libs z"
        assert run(line, tmp_path) == "--libs z\n"
        assert run(line, tmp_path, UKCC_LINK="static") == "--static --libs z\n"


def test_a_name_that_is_not_served_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "uk-dlltool").symlink_to(BIN / "uk-ar")
    done = subprocess.run([tmp_path / "uk-dlltool"], capture_output=True, text=True)
    # What the link leads to has a name that is served, but its caller wanted another.
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "called by a name that ukcc does not serve" in done.stderr


@pytest.mark.parametrize("ar", ["uk-ar", "uk-gcc-ar", f"{TRIPLE}-ar"])
def test_archives_of_lto_objects_have_an_index(project: Path, ar: str) -> None:
    run(f"uk-gcc -flto -c f.c g.c pid.c; {ar} rc libf.a f.o g.o pid.o", project)
    for nm in ("uk-nm", "uk-gcc-nm"):
        index = run(f"{nm} -s libf.a", project)
        assert "f in f.o" in index
        assert "pid in pid.o" in index
    run("uk-gcc -flto -O2 '-DKIND=\"made by make\"' main.c -L. -lf -o program", project)
    works(project)


# Builds


@pytest.mark.parametrize(
    "variables",
    [
        "CC=uk-gcc AR=uk-ar RANLIB=uk-ranlib",
        "CC='uk-gcc -std=gnu11 -pipe' CFLAGS='-O2 -g' AR=uk-gcc-ar RANLIB=true",
        f"CC={TRIPLE}-gcc AR={TRIPLE}-ar RANLIB={TRIPLE}-ranlib LDFLAGS=-s",
        "CC='uk-g++ -x c++' LDFLAGS='-x none' AR=uk-ar RANLIB=uk-ranlib",
    ],
    ids=["uk", "with arguments", "triple", "C++"],
)
def test_make(project: Path, variables: str) -> None:
    run(f"make -s -j4 {variables}", project, UKCC_LOG="log")
    works(project)
    lines = (project / "log").read_text().splitlines()
    assert sum(" compile: " in line for line in lines) == 4
    assert sum(" link: " in line for line in lines) == 1
    assert all(line.split(None, 2)[0].isdigit() for line in lines)


LIBTOOL = """
lt='libtool --silent --tag=CC'
for name in f g pid; do $lt --mode=compile uk-gcc -g -O2 -c $name.c -o $name.lo; done
$lt --mode=link uk-gcc f.lo g.lo pid.lo -o libf.la -rpath /usr/local/lib FLAGS -lm
$lt --mode=compile uk-gcc '-DKIND="made by make"' -c main.c
$lt --mode=link uk-gcc main.lo libf.la -o program FLAGS
$lt --mode=install install -c libf.la program $PWD/root/ 2>/dev/null || true
"""


@pytest.mark.parametrize("flags", ["", "-static", "-all-static"])
def test_libtool(project: Path, flags: str) -> None:
    run(LIBTOOL.replace("FLAGS", flags), project)
    works(project)
    assert b"!<arch>" in (project / ".libs" / "libf.a").read_bytes()[:8]


# Between a build and its compiler

DISTCC = f"""#!{sys.executable}
# As distcc: preprocesses here, compiles what came out "elsewhere", and passes on what is no
# compilation of one source.
import os, subprocess, sys
compiler, *words = sys.argv[1:]
sources = [word for word in words if word.endswith(".c")]
if "-c" not in words or len(sources) != 1:
    os.execvp(compiler, [compiler, *words])
output = words[words.index("-o") + 1] if "-o" in words else sources[0][:-2] + ".o"
rest = [w for w in words if w not in ("-c", "-o", output, sources[0])]
here = subprocess.run([compiler, *rest, "-E", sources[0]], stdout=subprocess.PIPE, check=True)
os.makedirs("elsewhere", exist_ok=True)
name = os.path.basename(output)
with open(f"elsewhere/{{name}}.i", "wb") as file:
    file.write(here.stdout)
flags = [w for w in rest if not w.startswith(("-D", "-I"))]
command = [compiler, *flags, "-c", f"{{name}}.i", "-o", name]
environ = {{name: os.environ[name] for name in ("PATH", "UKCC_PLAIN", "HOME")}}
subprocess.run(command, cwd="elsewhere", env=environ, check=True)
os.rename(f"elsewhere/{{name}}", output)
"""


def test_distcc(project: Path) -> None:
    tool = project / "distcc"
    tool.write_text(DISTCC)
    tool.chmod(0o755)
    run("make -s -j2 CC='./distcc uk-gcc' CFLAGS=-O2 AR=uk-ar RANLIB=uk-ranlib", project)
    works(project)
    assert {path.name for path in (project / "elsewhere").iterdir()} == {
        "main.o.i", "f.o.i", "g.o.i", "pid.o.i"
    }  # fmt: skip
    # What was compiled "elsewhere" is what gcc makes here.
    run("gcc -O2 -c pid.c -o real.o", project)
    assert (project / "pid.o").read_bytes() == (project / "real.o").read_bytes()


def test_ccache_hits(project: Path) -> None:
    make = "make -s CC='ccache uk-gcc -std=gnu11' CFLAGS='-O2 -g' AR=uk-ar RANLIB=uk-ranlib"
    run(make, project)
    objects = {path: path.read_bytes() for path in project.glob("*.o")}
    statistics = run(f"rm *.o program libf.a; ccache -z >/dev/null; {make}; ccache -s", project)
    works(project)
    assert "Hits:               4 /    4" in statistics
    assert {path: path.read_bytes() for path in project.glob("*.o")} == objects
    assert run("uk-gcc -std=gnu11 -O2 -g -c pid.c -o own.o", project) == ""
    assert (project / "own.o").read_bytes() == objects[project / "pid.o"]


def test_no_variable_of_python_reaches_a_launcher() -> None:
    environ = {**os.environ, "PYTHONHOME": "/nonexistent"}
    done = subprocess.run([BIN / "uk-gcc", "-dumpversion"], env=environ, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")
