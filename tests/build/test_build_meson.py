"""Builds by Meson, with our file as cross file or native file, or CC and CXX alone."""

import json

from support.builders import Project, is_image

CC_ALONE = {"CC": "uk-gcc", "CXX": "uk-g++"}


def our_file(project):
    return project.run("ukcc", "env", "--meson").strip()


def understood(said, cross):
    """What Meson must have found out, however it was told of the compiler."""
    for line in (
        "Compiler for C supports link arguments -Wl,-O1: YES ",
        'Checking for function "strlcpy" : NO ',
        'Checking for size of "void *" : 8',
        "Message: gcc true",
        f"Message: pages of 4096 cross {cross} can run true",
        "Message: big false false true",
        "Run-time dependency zlib found: YES",
    ):
        assert line in said


def works(project):
    assert project.run("b/clock", "14") == "noon, 150 degrees, zlib 1\n"
    assert is_image(project / "b/clock")
    assert (project / "b/libangle.so.1.2.0").is_file()
    said = project.run("meson", "test", "-C", "b")
    assert "\nFail:               0" in said


def test_native_file(tmp_path):
    project = Project("meson", tmp_path)
    options = ["--native-file", our_file(project), "-Db_lto=true", "--unity=on", "-Dstrip=true"]
    understood(project.run("meson", "setup", "b", *options), cross="false")
    project.run("ninja", "-C", "b")
    works(project)
    assert is_image(project / "b/makehours")
    project.run("meson", "install", "-C", "b", "--destdir", tmp_path / "stage")
    installed = tmp_path / "stage/usr/local/bin/clock"
    assert is_image(installed)
    assert project.run("nm", installed) == ""
    assert project.run(installed, "23") == "evening, 60 degrees, zlib 1\n"


def test_cross_file(tmp_path):
    """A cross build has another compiler for what it runs itself, and tests run all the same."""
    project = Project("meson", tmp_path)
    options = ["--cross-file", our_file(project)]
    understood(project.run("meson", "setup", "b", *options), cross="true")
    project.run("ninja", "-C", "b")
    works(project)
    kinds = {
        t["name"]: t["type"]
        for t in json.loads(project.run("meson", "introspect", "b", "--targets"))
    }
    assert kinds["sum"] == "static library"


def test_compilers_alone(tmp_path):
    """Meson makes a library shared unless it is told otherwise, and the program dynamic with it."""
    project = Project("meson", tmp_path)
    understood(project.run("meson", "setup", "b", "-Db_pie=true", **CC_ALONE), cross="false")
    project.run("ninja", "-C", "b")
    works(project)
    assert (project / "b/libsum.so").is_file()
    report = json.loads(project.run("ukcc", "inspect", "--json", "b/clock"))
    assert report["kind"] == "dynamic PIE"
