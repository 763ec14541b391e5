"""The compilers' launcher: what it does by itself is what Python would have done."""

import os
import pwd
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support.image_samples import make_shims

from ukcc import paths

ROOT = Path(__file__).resolve().parents[3]
LAUNCHER = ROOT / "toolchain-shims" / "bin" / "uk-gcc"

FAST = [
    "-c a.c",
    "a.c -O2 -g -c -o a.o",
    "-Wall -W -Werror -std=gnu11 -fPIC -pthread -DX=1 -D Y -I. -I inc -c -oa.o a.c",
    "-MD -MF a.d -MT a.o -MP -c a.c",
    "-E a.c",
    "-E -x c /dev/null",
    "-S -masm=intel a.c",
    "-Wp,-MD,x.d -Wa,--noexecstack -c a.c b.c",
    "-isystem inc -include config.h -isystem/usr/x -c a.c",
    "-c -M a.c",
    "-c -fsyntax-only a.c",
    "-B/x/shims/ -c a.c",
]

SLOW = [
    "",
    "a.c",
    "a.c -o a",
    "a.o b.o -lm",
    "-c",
    "-c -o a.o",
    "-o -c a.c",
    "-D -c a.c",
    "-include -E a.c",
    "-Xlinker -c a.c",
    "-u -c a.c",
    "-z -c a.c",
    "-L -c a.c",
    "-T -c a.c",
    "-e -c a.o",
    "--param -c a.c",
    "-c a.c -o",
    "-nostdinc -c a.c",
    "-ffreestanding -c a.c",
    "-m32 -c a.c",
    "-c @words",
    "-o @words -c a.c",
    "-B -c a.c",
    "-c -### a.c",
    "--version -c",
    "-dumpversion",
    "-print-search-dirs",
    "-c a.c --help",
    "-c -",
    "--sysroot=/x -c a.c",
    "-shared a.o",
]


@pytest.fixture
def installed(tmp_path):
    """A directory for PATH: launchers, a Python that says when it was asked, compilers that say
    what they were given; and the environment that names it."""
    place = tmp_path / "bin"
    place.mkdir()
    for name in ("uk-gcc", "x86_64-uk-linux-gnu-g++"):
        shutil.copy(LAUNCHER, place / name)
    driver = place / "uk-driver"
    driver.write_text(
        f'#!/bin/sh\necho "$0" >>{tmp_path}/asked\n'
        f'exec {sys.executable} {ROOT}/ukcc/cc/start.py "$@"\n'
    )
    for name in ("gcc", "g++"):
        (place / name).write_text(f'#!/bin/sh\necho {name}; for word; do echo "<$word>"; done\n')
    for path in place.iterdir():
        path.chmod(0o755)
    make_shims(tmp_path / "home" / "sysroots" / "0123")
    (tmp_path / "home" / "sysroots" / "current").symlink_to("0123")
    (tmp_path / "words").write_text("-O2")
    return {
        "PATH": f"{place}:/usr/bin:/bin",
        "PYTHONPATH": str(ROOT),
        "UKCC_HOME": str(tmp_path / "home"),
        "HOME": str(tmp_path),
    }


def run(environ, *argv, cwd):
    return subprocess.run(argv, cwd=cwd, env=environ, capture_output=True, text=True)


def launch(environ, line, tmp_path, name="uk-gcc"):
    """What the launcher does, and whether it asked Python."""
    asked = tmp_path / "asked"
    asked.unlink(missing_ok=True)
    done = run(environ, f"{tmp_path}/bin/{name}", *line.split(), cwd=tmp_path)
    return (done.returncode, done.stdout, done.stderr), asked.exists()


def python(environ, line, tmp_path, name="uk-gcc"):
    done = run(environ, f"{tmp_path}/bin/uk-driver", name, *line.split(), cwd=tmp_path)
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("line", FAST)
def test_plain_compilations_go_straight(installed, tmp_path, line):
    for name in ("uk-gcc", "x86_64-uk-linux-gnu-g++"):
        done, asked = launch(installed, line, tmp_path, name)
        assert not asked
        assert done[0] == 0
        assert done == python(installed, line, tmp_path, name)


@pytest.mark.parametrize("line", SLOW)
def test_all_others_are_pythons(installed, tmp_path, line):
    assert launch(installed, line, tmp_path)[1]


@pytest.mark.parametrize("variable", ["UKCC_CC", "UKCC_CXX", "UKCC_SYSROOT", "UKCC_LOG"])
def test_what_was_set_for_us_is_pythons(installed, tmp_path, variable):
    values = {"UKCC_SYSROOT": "", "UKCC_LOG": str(tmp_path / "log")}
    compiler = f"{tmp_path}/bin/gcc"
    environ = {**installed, variable: values.get(variable, compiler)}
    assert launch(environ, "-c a.c", tmp_path)[1]


def test_a_link_to_us_is_not_the_compiler(installed, tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    (first / "gcc").symlink_to(f"{tmp_path}/bin/uk-gcc")
    environ = {**installed, "PATH": f"{first}:{installed['PATH']}"}
    done, asked = launch(environ, "-c a.c", tmp_path)
    assert asked
    assert done[1].startswith("gcc\n<-idirafter>")


def test_a_link_to_ccache_is_pythons_to_pass_over(installed, tmp_path):
    first = tmp_path / "first"
    first.mkdir()
    (first / "ccache").write_text("#!/bin/sh\necho ccache\n")
    (first / "ccache").chmod(0o755)
    (first / "gcc").symlink_to("ccache")
    environ = {**installed, "PATH": f"{first}:{installed['PATH']}"}
    done, asked = launch(environ, "-c a.c", tmp_path)
    assert asked
    assert done[1].startswith("gcc\n<-idirafter>")


def test_called_by_a_link_elsewhere(installed, tmp_path):
    (tmp_path / "mine").symlink_to(f"{tmp_path}/bin/uk-gcc")
    (tmp_path / "uk-gcc").symlink_to(f"{tmp_path}/bin/uk-gcc")
    done = run(installed, f"{tmp_path}/uk-gcc", "--version", cwd=tmp_path)
    assert (done.returncode, done.stdout[:4]) == (0, "gcc\n")


def test_an_old_sysroot_is_not_used_in_silence(installed, tmp_path):
    (tmp_path / "home/sysroots/0123/usr/lib/libuk_charsets.a").unlink()
    (status, out, err), asked = launch(installed, "-c a.c", tmp_path)
    assert (status, out, asked) == (1, "", True)
    assert "is not a sysroot of this ukcc; run `ukcc sysroot build`" in err


def test_a_build_with_another_home(monkeypatch, tmp_path):
    """curl's tests, and those that build packages, set HOME to a place of their own."""
    for name in ("UKCC_HOME", "XDG_DATA_HOME", "UKCC_SYSROOT"):
        monkeypatch.delenv(name, raising=False)
    sysroots = tmp_path / "me" / ".local/share/ukcc/sysroots"
    (sysroots / "0123").mkdir(parents=True)
    (sysroots / "current").symlink_to("0123")
    me = pwd.struct_passwd(("me", "x", os.getuid(), 0, "", str(tmp_path / "me"), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: me)
    monkeypatch.setenv("HOME", "/nonexistent")
    assert paths.current_sysroot() == str(sysroots / "0123")
    # Who says where the store is, means it.
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "empty"))
    assert paths.current_sysroot() is None
