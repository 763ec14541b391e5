"""Builds by autoconf and automake, with the host's triple, with ours, and as a cross build."""

import re
import zlib

import pytest
from builders import ROOT, TRIPLE, Project, is_image

SITE = str(ROOT / "toolchain-shims" / "config.site")
NATIVE = "x86_64-pc-linux-gnu"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """With its configure script made, and configured for plain gcc in the directory `plain`."""
    made = Project("autotools", tmp_path_factory.mktemp("build"))
    made.run("autoreconf", "-fi")
    (made / "plain").mkdir()
    made.run("../configure", "--enable-strict", "CC=gcc", cwd="plain")
    return made


def configured(project, directory, *words, **environ):
    """What configure says in a new directory; its config.h must be plain gcc's."""
    (project / directory).mkdir()
    said = project.run("../configure", "--enable-strict", *words, cwd=directory, **environ)
    ours = (project / directory / "config.h").read_text()
    assert ours == (project / "plain/config.h").read_text()
    assert "#define HAVE_WORKING_FORK 1" in ours
    assert "#define PAGE_4096 1" in ours
    assert "/* #undef malloc */" in ours
    assert "/* #undef HAVE_KQUEUE */" in ours
    return said


def makes(project, directory):
    project.run("make", "-j4", cwd=directory)
    assert is_image(project / directory / "weigh")
    said = project.run("./weigh", "2.5", "kg", cwd=directory)
    assert said == f"2500 g, {zlib.crc32(b'kg')}\n"
    assert "# PASS:  1\n" in project.run("make", "check", cwd=directory)


def test_cc_alone(project):
    said = configured(project, "alone", CC="uk-gcc", LDFLAGS="-Wl,-O1")
    assert "whether we are cross compiling... no" in said
    assert "-pc-linux-gnu" in said
    makes(project, "alone")


def test_host_triple(project):
    """Tools by their prefix; what configure builds can be run, so it asks instead of guessing."""
    said = configured(project, "host", f"--host={TRIPLE}")
    assert f"checking host system type... {TRIPLE}" in said
    assert "whether we are cross compiling... no" in said
    for tool in ("gcc", "ar", "ranlib", "strip", "pkg-config"):
        assert re.search(rf"checking for {TRIPLE}-{tool}\.\.\. .*{TRIPLE}-{tool}", said)
    assert " -lz" in (project / "host/Makefile").read_text()
    makes(project, "host")


def test_cross_build(project):
    """With --build too, nothing that configure builds is run: config.site has the answers."""
    answers = ["weigh_cv_free_null=yes"]  # the project's own question
    said = configured(
        project, "cross", f"--build={NATIVE}", f"--host={TRIPLE}", *answers, CONFIG_SITE=SITE
    )
    assert "whether we are cross compiling... yes" in said
    assert f"loading site script {SITE}" in said
    makes(project, "cross")


def test_answers_of_config_site_are_for_our_triple_only(project):
    question = 'host_alias=$1; . "$2"; echo "${ac_cv_func_malloc_0_nonnull-unknown}"'
    for triple, answer in ((TRIPLE, "yes"), ("x86_64-w64-mingw32", "unknown")):
        assert project.run("sh", "-c", question, "sh", triple, SITE) == f"{answer}\n"


def test_config_sub_knows_the_triple(project):
    assert project.run("build-aux/config.sub", TRIPLE) == f"{TRIPLE}\n"
