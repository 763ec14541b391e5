"""Builds by autoconf and automake, with the host's triple, with ours, and as a cross build."""

import re
import zlib
from pathlib import Path

import pytest
from support.builders import ROOT, TRIPLE, Project, is_image

SITE = str(ROOT / "toolchain-shims" / "config.site")
NATIVE = "x86_64-pc-linux-gnu"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """With its configure script made, and configured for plain gcc in the directory `plain`."""
    made = Project("autotools", tmp_path_factory.mktemp("build"))
    made.run("autoreconf", "-fi")
    (made / "plain").mkdir()
    made.run("../configure", "--enable-strict", "--cache-file=cache", "CC=gcc", cwd="plain")
    return made


def configured(project, directory, command, **environ):
    """What configure says in a new directory; its config.h must be plain gcc's."""
    (project / directory).mkdir()
    said = project.run("sh", "-c", command, cwd=directory, **environ)
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


def test_variables_of_ukcc_env(project):
    said = configured(project, "alone", 'eval "$(ukcc env)"; ../configure --enable-strict')
    assert "whether we are cross compiling... no" in said
    assert f"checking host system type... {NATIVE}" in said
    assert "\nCC = uk-gcc\n" in (project / "alone/Makefile").read_text()
    makes(project, "alone")


def test_host_triple(project):
    """Tools by their prefix; what configure builds can be run, so it asks instead of guessing."""
    said = configured(project, "host", f"../configure --enable-strict --host={TRIPLE}")
    assert f"checking host system type... {TRIPLE}" in said
    assert "whether we are cross compiling... no" in said
    for tool in ("gcc", "ar", "ranlib", "strip", "pkg-config"):
        assert re.search(rf"checking for {TRIPLE}-{tool}\.\.\. .*{TRIPLE}-{tool}", said)
    assert " -lz" in (project / "host/Makefile").read_text()
    makes(project, "host")


def test_cross_build(project):
    """With --build too, nothing that configure builds is run: config.site has the answers."""
    # The project's own question is answered by who builds it.
    command = f"../configure --build={NATIVE} --host={TRIPLE} --enable-strict"
    said = configured(
        project, "cross", f"{command} weigh_cv_free_null=yes", CC="uk-gcc", CONFIG_SITE=SITE
    )
    assert "whether we are cross compiling... yes" in said
    assert f"loading site script {SITE}" in said
    makes(project, "cross")


def test_answers_of_config_site_are_what_the_checks_find(project):
    """As far as this project asks; the others were compared when they were written down."""
    found = dict(re.findall(r"^(\w+)=\$\{\1=(.*)\}$", (project / "plain/cache").read_text(), re.M))
    answers = dict(re.findall(r'^ *: "\$\{(\w+)=(.*)\}"$', Path(SITE).read_text(), re.M))
    asked = answers.keys() & found.keys()
    assert {name: answers[name] for name in asked} == {name: found[name] for name in asked}
    assert asked >= {"ac_cv_c_bigendian", "ac_cv_func_fork_works", "ac_cv_func_malloc_0_nonnull"}


def test_answers_of_config_site_are_for_our_triple_only(project):
    question = 'host_alias=$1; . "$2"; echo "${ac_cv_func_malloc_0_nonnull-unknown}"'
    for triple, answer in ((TRIPLE, "yes"), ("x86_64-w64-mingw32", "unknown")):
        assert project.run("sh", "-c", question, "sh", triple, SITE) == f"{answer}\n"


def test_config_sub_knows_the_triple(project):
    assert project.run("build-aux/config.sub", TRIPLE) == f"{TRIPLE}\n"
