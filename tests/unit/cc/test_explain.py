"""`ukcc explain` and `ukcc env` without tools."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner
from support.image_samples import make_shims

from ukcc.cli.env import env
from ukcc.cli.explain import explain
from ukcc.errors import UkccError


@pytest.fixture
def run(tmp_path, monkeypatch):
    for name in ("gcc", "ar"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("UKCC_SYSROOT", str(make_shims(tmp_path / "root-of-it")))
    for name in ("UKCC_CC", "UKCC_PLAIN"):
        monkeypatch.delenv(name, raising=False)

    def runner(command, *words):
        return CliRunner().invoke(command, words, catch_exceptions=False).output

    return runner


def test_a_link(run, tmp_path):
    text = run(explain, "--", "uk-gcc", "-O2", "a b.c", "-Wl,-O1,-Bdynamic", "-o", "x")
    assert "  'a b.c'            an input\n" in text
    assert "  -o x               names the output\n" in text
    assert "kind: program\n" in text
    assert f"run: {tmp_path}/gcc -Xlinker " in text
    assert "'a b.c' -Wl,-O1,-Bdynamic -o x -no-pie" in text
    assert "linkage: a static program, as the command line says\n" in run(
        explain, "--", "uk-gcc", "a.c", "-static"
    )
    assert text.endswith(f"then: pack the kernel of {tmp_path}/root-of-it around x\n")


def test_a_compile(run):
    text = run(explain, "--", "x86_64-uk-linux-gnu-gcc", "-c", "a.c")
    assert "kind: compile\nwhy: stop after assembling\n" in text
    assert "become: " in text


def test_a_link_without_sysroot(run, monkeypatch):
    monkeypatch.setenv("UKCC_SYSROOT", "")
    assert run(explain, "--", "uk-gcc", "a.c").endswith("run `ukcc sysroot build`\n")


def test_a_tool(run, tmp_path):
    assert run(explain, "--", "uk-ar", "rcs", "x.a") == f"run: {tmp_path}/ar rcs x.a\n"


def test_a_stranger(run):
    with pytest.raises(UkccError, match="is not a command of ukcc"):
        run(explain, "--", "gcc", "a.c")


def test_env(run):
    lines = run(env).splitlines()
    assert {"export CC=uk-gcc", "export CXX=uk-g++", "export AR=uk-ar"} <= set(lines)
    for option, ending in (("--cmake", "toolchain.cmake"), ("--meson", "cross.meson")):
        path = Path(run(env, option).strip())
        assert path.name == ending
        assert path.is_file()
