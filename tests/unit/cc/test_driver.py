"""The driver without tools: what a compile loads, names, and errors in one line."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ukcc.cc import driver, log, toolchain, tools
from ukcc.errors import UkccError
from ukcc.light import tool as process

ROOT = Path(__file__).resolve().parents[3]

# What the interpreter itself loads before any of our code runs depends on the installation, so
# the compile path is compared with it rather than with a list.
LOADED = """
import sys
before = set(sys.modules)
sys.path.insert(0, sys.argv[1])
import os
from ukcc.light import tool as process
def become(command, environ):
    print("\\n".join(sorted(set(sys.modules) - before)))
    raise SystemExit(0)
process.become = become
sys.argv = ["uk-gcc", "-c", "-O2", "a.c"]
from ukcc.cc.driver import main
main()
"""

ALLOWED = {
    "_operator",
    "_signal",
    "os",
    "sys",
    "ukcc",
    "ukcc.cc",
    "ukcc.cc.atfile",
    "ukcc.cc.driver",
    "ukcc.cc.linkage",
    "ukcc.cc.log",
    "ukcc.cc.options",
    "ukcc.cc.parse",
    "ukcc.cc.plan",
    "ukcc.cc.shared",
    "ukcc.cc.static_words",
    "ukcc.cc.toolchain",
    "ukcc.errors",
    "ukcc.light",
    "ukcc.light.record",
    "ukcc.light.sonames",
    "ukcc.light.tool",
    "ukcc.paths",
}


@pytest.fixture(autouse=True)
def own_interrupts():
    """The driver takes pytest's handler away."""
    handler = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.fixture
def host(tmp_path):
    """A PATH with tools that are never run."""
    for name in ("gcc", "ar", "as", "pkg-config"):
        tool = tmp_path / name
        tool.write_text("#!/bin/sh\n")
        tool.chmod(0o755)
    return {"PATH": str(tmp_path), "UKCC_SYSROOT": ""}


def test_compile_path_loads_nothing_else(host):
    result = subprocess.run(
        [sys.executable, "-I", "-c", LOADED, str(ROOT)],
        env=host,
        capture_output=True,
        text=True,
        check=True,
    )
    assert set(result.stdout.split()) <= ALLOWED


def test_link_path_loads_little():
    """Beside our own: what Python has loaded at its start, and these."""
    code = (
        "import sys; before = set(sys.modules); import ukcc.cc.link, ukcc.image.pack;"
        "print(*(set(sys.modules) - before))"
    )
    argv = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}"]
    loaded = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
    foreign = {name for name in loaded if name.partition(".")[0] != "ukcc"}
    small = {"__future__", "_json", "_operator", "_struct", "fcntl", "struct", "zlib"}
    assert foreign <= small | {"_signal", "_stat", "os", "stat"}


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("/x/uk-gcc", "gcc"),
        ("x86_64-uk-linux-gnu-g++", "g++"),
        ("uk-pkg-config", "pkg-config"),
        ("gcc", ""),
    ],
)
def test_names(name, plain):
    assert toolchain.plain_name(name) == plain


def test_tools_are_the_hosts(host, tmp_path):
    assert tools.command("ar", ["rcs", "x.a"], host) == [f"{tmp_path}/ar", "rcs", "x.a"]
    asked = ["--libs", "z"]
    assert tools.command("pkg-config", asked, host)[1:] == asked
    wanted = {**host, "UKCC_LINK": "static"}
    assert tools.command("pkg-config", asked, wanted)[1:] == ["--static", *asked]
    assert tools.command("as", ["x.s"], host) == [f"{tmp_path}/as", "x.s"]


def test_a_link_named_gcc_that_is_us_is_passed_over(host, tmp_path):
    ours = tmp_path / "first"
    ours.mkdir()
    (ours / "gcc").symlink_to("../uk-gcc")
    wrapper = tmp_path / "uk-gcc"
    wrapper.write_text("#!/bin/sh\n")
    wrapper.chmod(0o755)
    path = f"{ours}:{host['PATH']}"
    assert toolchain.find_compiler("gcc", {"PATH": path}) == f"{tmp_path}/gcc"


@pytest.mark.parametrize("name", ["ccache", "distcc"])
def test_what_stands_before_compilers_is_passed_over(host, tmp_path, name):
    """As Debian has it in /usr/lib/ccache: its objects would not know of our assembler."""
    front = tmp_path / "front"
    front.mkdir()
    (tmp_path / name).write_text("#!/bin/sh\n")
    (tmp_path / name).chmod(0o755)
    (front / "gcc").symlink_to(f"../{name}")
    path = f"{front}:{host['PATH']}"
    assert toolchain.find_compiler("gcc", {"PATH": path}) == f"{tmp_path}/gcc"
    assert toolchain.find_compiler("gcc", {"PATH": path, "UKCC_CC": f"{front}/gcc"}).startswith(
        str(front)
    )


def test_errors_keep_the_bytes_of_names(capfdbinary):
    process.complain("uk-gcc: error: bad\udcff")
    assert capfdbinary.readouterr().err == b"uk-gcc: error: bad\xff\n"


def test_pythonpath_of_a_build_chooses_no_module_of_ours(monkeypatch, tmp_path):
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:relative")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path), "/kept", f"{tmp_path}/relative"])
    process.behave_as_a_tool()
    assert sys.path == ["/kept"]


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"PATH": "/nonexistent"}, "no 'gcc' on PATH; apt-get install gcc"),
        ({"PATH": "/", "UKCC_CC": "/x/gcc"}, "UKCC_CC names '/x/gcc', which cannot be run"),
    ],
)
def test_missing_compiler_is_one_line(environ, message):
    with pytest.raises(UkccError) as caught:
        toolchain.find_compiler("gcc", environ)
    assert message in caught.value.line("uk-gcc")


def test_link_without_sysroot_is_one_line(host, monkeypatch, capfd):
    monkeypatch.setattr(sys, "argv", ["/x/uk-gcc", "a.c"])
    for name, value in host.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("UKCC_PLAIN", raising=False)
    assert driver.main() == 1
    assert capfd.readouterr().err == (
        "uk-gcc: error: no sysroot to link against; run `ukcc sysroot build`\n"
    )


def test_log_lines_can_be_pasted(tmp_path):
    file = tmp_path / "log"
    log.record({"UKCC_LOG": str(file)}, "link", ["gcc", "a b", "it's", ""])
    assert file.read_text() == f"{os.getpid()} link: gcc 'a b' 'it'\\''s' ''\n"
    log.record({"UKCC_LOG": "/nonexistent/x"}, "link", ["gcc"])
    log.record({}, "link", ["gcc"])


def test_the_locale_is_the_users_own():
    came_without = {"LC_CTYPE": "C.UTF-8", "HOME": "/"}
    if "LC_CTYPE" not in Path("/proc/self/environ").read_bytes().decode(errors="replace"):
        assert process.original_environment(came_without) == {"HOME": "/"}
    assert process.original_environment({"LC_CTYPE": "de_DE"}) == {"LC_CTYPE": "de_DE"}


def test_a_sysroot_is_named_from_the_root(tmp_path, monkeypatch):
    """A link would look for a relative one in vain, and a symbolic link may change meanwhile."""
    (tmp_path / "real sysroot").mkdir()
    (tmp_path / "link").symlink_to("real sysroot")
    monkeypatch.chdir(tmp_path)
    real = str(tmp_path / "real sysroot")
    for name in ("real sysroot", "./link/", "link/../real sysroot//", f"{tmp_path}/link"):
        assert toolchain.find_sysroot({"UKCC_SYSROOT": name}) == real
    assert toolchain.find_sysroot({"UKCC_SYSROOT": ""}) == ""
