"""Builds whose programs need shared libraries of their own or load plugins: dynamic images."""

import json

from support.builders import Project, is_image

CC_ALONE = {"CC": "uk-gcc", "CXX": "uk-g++"}


def kind(project, path):
    assert is_image(project / path)
    return json.loads(project.run("ukcc", "inspect", "--json", path))["kind"]


def test_own_library_without_an_archive(tmp_path):
    project = Project("ownlib", tmp_path)
    project.run("make", "-j2", "CC=uk-gcc")
    here = {"LD_LIBRARY_PATH": str(project.root)}
    said = project.run("./app", "you", "all", status=42, **here)
    assert said == "hello, you (3)\nhello, all (3)\n"
    assert project.run(project / "here", "you", cwd="..", status=41) == "hello, you (3)\n"
    assert kind(project, "app") == kind(project, "here") == "dynamic"


def test_plugins(tmp_path):
    project = Project("plugins", tmp_path)
    project.run("make", "-j2", "CC=uk-gcc")
    plugins = ["./plugins/double.so", "./plugins/negate.so"]
    assert project.run("./chain", "21", *plugins) == "double: 42\nnegate: -42\n"
    assert kind(project, "chain") == "dynamic"


def test_plugins_that_need_nothing_of_the_program(tmp_path):
    project = Project("plugins", tmp_path)
    project.run("make", "lone", "plugins/work.so", "CC=uk-gcc")
    assert project.run("./lone", "./plugins/work.so") == "work on 21\n42\n"
    assert kind(project, "lone") == "dynamic"


def test_cmake_changes_the_run_path_at_installation(tmp_path):
    project = Project("cmake", tmp_path)
    options = ["-DLINK_SHARED=ON", "-DCMAKE_INSTALL_RPATH=$ORIGIN/../lib"]
    project.run("cmake", "-S.", "-Bb", "-GNinja", *options, **CC_ALONE)
    project.run("ninja", "-C", "b", "shared")
    assert project.run("b/shared", "a") == "2\n"
    assert kind(project, "b/shared") == "dynamic"
    project.run("cmake", "--install", "b", "--strip", "--component", "shared", "--prefix", "stage")
    assert project.run("stage/bin/shared", "b") == "1\n"
    assert kind(project, "stage/bin/shared") == "dynamic"


def test_meson_changes_the_run_path_at_installation(tmp_path):
    project = Project("meson", tmp_path)
    project.run("meson", "setup", "b", "-Dlink_shared=true", **CC_ALONE)
    project.run("ninja", "-C", "b", "shared")
    assert project.run("b/shared") == "2 turns\n"
    project.run(
        "meson", "install", "-C", "b", "--strip", "--tags", "shared", "--destdir", "../stage"
    )
    assert project.run("stage/usr/local/bin/shared") == "2 turns\n"
    assert kind(project, "stage/usr/local/bin/shared") == "dynamic"


def test_position_independent_program_with_a_run_path(tmp_path):
    project = Project("pkgconfig", tmp_path)
    project.run("uk-gcc", "-pie", "-Wl,-rpath,/opt/lib", "app.c", "outer.c", "inner.c", "-lm",
                "-DUSES_OUTER=2", "-o", "app", UKCC_PLAIN="1")  # fmt: skip
    assert project.run("./app", "27") == "6\n"
