"""Builds by plain make, after a configure script written by hand, and with pkg-config."""

import pytest
from support.builders import TRIPLE, Project, is_image


def check_calc(project):
    assert project.run("./calc", "3") == "sine of 3 is 0.141\n"
    assert is_image(project / "calc")
    assert project.run("./tally", "x", "y", "x") == "x=2 y=1\n"
    assert is_image(project / "tally")


def test_make(tmp_path):
    project = Project("make", tmp_path)
    project.run("make", "-j4", "CC=uk-gcc", "CXX=uk-g++", "AR=uk-ar")
    check_calc(project)
    # The program that the build ran is an image too: nothing tells it from the others.
    assert is_image(project / "maketable")
    project.run("make", "check", "CC=uk-gcc", "CXX=uk-g++")


def test_make_takes_the_tools_from_the_environment(tmp_path):
    project = Project("make", tmp_path)
    tools = {"CC": "uk-gcc -pipe", "CXX": "uk-g++", "CFLAGS": "-O1 -g"}
    project.run("make", "-e", LDFLAGS="-Wl,--gc-sections", LDLIBS="-lm -lpthread", **tools)
    check_calc(project)


def test_make_installs_and_strips(tmp_path):
    project = Project("make", tmp_path)
    stage = tmp_path / "stage"
    project.run("make", "install", f"DESTDIR={stage}", "CC=uk-gcc", "CXX=uk-g++")
    installed = stage / "usr/bin/calc"
    assert is_image(installed)
    assert project.run(installed, "3") == "sine of 3 is 0.141\n"
    assert project.run("nm", installed) == ""


def test_configure_script_written_by_hand(tmp_path):
    project = Project("handmade", tmp_path)
    found = project.run("./configure", CC="gcc")
    header = (project / "config.h").read_text()
    assert "runs: yes\n" in found and "endian: little\n" in found and "zlib: yes\n" in found
    tools = {"CC": "uk-gcc", "AR": "uk-ar", "CFLAGS": "-O2 -flto=auto", "LDFLAGS": "-s"}
    assert project.run("./configure", **tools) == found
    assert (project / "config.h").read_text() == header
    project.run("make", "-j2")
    assert is_image(project / "report")
    assert project.run("./report", "report.c", status=1) == "report.c: 15\n"


@pytest.mark.parametrize("name", ["uk-pkg-config", f"{TRIPLE}-pkg-config"])
def test_pkg_config_names_what_an_archive_needs(tmp_path, name):
    project = Project("pkgconfig", tmp_path)
    words = ("make", "CC=uk-gcc", f"PKG_CONFIG={name}")
    project.run(*words, UKCC_PLAIN="1", UKCC_LINK="static")
    assert project.run("./app", "27") == "6\n"


def test_pkg_config_asks_as_ever(tmp_path):
    project = Project("pkgconfig", tmp_path)
    where = {"PKG_CONFIG_PATH": str(project.root)}
    assert project.run("uk-pkg-config", "--modversion", "outer", **where) == "2.0\n"
    assert project.run("uk-pkg-config", "--print-requires-private", "outer", **where).split() == [
        *("inner", ">=", "1.5"),
    ]
    project.run("uk-pkg-config", "--exists", "no-such-library", status=1)
    project.run("uk-pkg-config", "--atleast-version=3", "outer", status=1, **where)


def test_warnings_of_the_linker_may_be_fatal(tmp_path):
    """Meson asks for every option of the linker with this one beside it."""
    project = Project("handmade", tmp_path)
    (project / "main.c").write_text("int main(void) { return 42; }\n")
    project.run("uk-gcc", "-Wl,--fatal-warnings", "main.c", "-o", "main", UKCC_PLAIN="1")
    project.run("./main", status=42)
