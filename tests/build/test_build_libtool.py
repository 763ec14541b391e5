"""Builds by libtool: libraries that depend on each other, with archives beside them and without."""

import pytest
from support.builders import TRIPLE, Project, is_image

from ukcc.errors import MachineError
from ukcc.image.facts import read_facts


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    made = Project("libtool", tmp_path_factory.mktemp("build"))
    made.run("autoreconf", "-fi")
    return made


def built(project, directory, *options):
    """Configured and built in a directory of its own, tested, and installed under `stage` there."""
    (project / directory).mkdir()
    options = (f"--host={TRIPLE}", "--prefix=/usr", *options)
    project.run("../configure", *options, cwd=directory)
    project.run("make", "-j4", cwd=directory)
    # ./walker is libtool's script, which sets up what the program needs to find its libraries.
    assert project.run("./walker", "3", "4", cwd=directory) == "10 steps\n"
    assert "# PASS:  1\n" in project.run("make", "check", cwd=directory)
    stage = project / directory / "stage"
    project.run("make", "install-strip", f"DESTDIR={stage}", cwd=directory)
    assert is_image(stage / "usr/bin/walker")
    assert (stage / "usr/lib/libbase.so.1.2.1").is_file()
    assert (stage / "usr/lib/libwalk-2.1.so").is_file()
    return stage


def is_dynamic(project, path):
    return b"/ld-linux-x86-64.so.2\0" in (project / path).read_bytes()[:4096]


def test_with_archives(project):
    """libwalk needs libbase by itself, which no archive says: the program stays as gcc links it."""
    stage = built(project, "both")
    where = {"LD_LIBRARY_PATH": f"{stage}/usr/lib"}
    assert project.run(stage / "usr/bin/walker", "6", "8", **where) == "20 steps\n"
    assert is_image(project / "both/.libs/walker")
    assert is_dynamic(project, "both/.libs/walker")
    with pytest.raises(MachineError, match="not an ELF file") as running:
        read_facts(str(project / "both/walker"))
    assert running.value.hint.endswith(f"the program is {project.root}/both/.libs/walker")
    # The shared libraries serve an ordinary program, and its process.
    rpath = f"-Wl,-rpath,{project.root}/both/.libs"
    project.run("gcc", "walker.c", "-o", "plain", "-Lboth/.libs", "-lwalk", rpath)
    assert project.run("./plain", "3", "4") == "10 steps\n"
    # A second project links what was installed.
    needed = [f"-L{stage}/usr/lib", "-lwalk", "-lbase", "-lm"]
    project.run("uk-gcc", "walker.c", "-o", "second", *needed, UKCC_LINK="static")
    assert project.run("./second", "3", "4") == "10 steps\n"
    assert not is_dynamic(project, "second")


def test_without_archives(project):
    stage = built(project, "shared", "--disable-static")
    assert not list((project / "shared").rglob("libbase.a"))
    assert is_dynamic(project, "shared/.libs/walker")
    where = {"LD_LIBRARY_PATH": f"{stage}/usr/lib"}
    assert project.run(stage / "usr/bin/walker", "6", "8", **where) == "20 steps\n"
