"""apt's two formats of sources, and which of them are Debian's."""

import errno
import os
from pathlib import Path

import pytest

from ukcc import debsource, proc
from ukcc.debsource import Repository
from ukcc.errors import UkccError

DEB822 = """\
# a comment
Types: deb
URIs: http://deb.example/debian http://other.example/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By: /usr/share/keyrings/k.gpg

Enabled: no
Types: deb
URIs: http://off.example/debian
Suites: bookworm
Components: main

Types: deb
URIs: http://vendor.example/apt
Suites: nodistro
Components: main
"""

LIST = """\
# deb http://off.example/debian bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://deb.example/debian bookworm main non-free # tail
deb-src http://deb.example/debian bookworm main
deb http://vendor.example/apt ./
"""


def test_deb822() -> None:
    found = debsource.parse_deb822(DEB822)
    key = "/usr/share/keyrings/k.gpg"
    assert found == [
        Repository(f"http://{host}.example/debian", suite, ("main", "contrib"), key)
        for host in ("deb", "other")
        for suite in ("bookworm", "bookworm-updates")
    ] + [Repository("http://vendor.example/apt", "nodistro", ("main",))]


def test_list() -> None:
    assert debsource.parse_list(LIST) == [
        Repository("http://deb.example/debian", "bookworm", ("main", "non-free"), "/k.gpg"),
        Repository("http://deb.example/debian", "bookworm", ("main",)),
    ]


def test_only_debian_counts(tmp_path: Path) -> None:
    parts = tmp_path / "sources.list.d"
    parts.mkdir()
    with pytest.raises(UkccError):
        debsource.debian_repositories(tmp_path)
    (parts / "debian.sources").write_text(DEB822)
    (parts / "ignored.save").write_text(LIST)
    (tmp_path / "sources.list").write_text(LIST)
    suites = [repository.suite for repository in debsource.debian_repositories(tmp_path)]
    assert "nodistro" not in suites and suites.count("bookworm") == 4


def test_another_suite_comes_from_the_archive_of_the_release() -> None:
    """Not from the one of security fixes, and with the same keys."""
    security = Repository("http://s/debian-security", "bookworm-security", ("main",))
    vendor = Repository("http://v/apt", "bookworm", ("contrib",))
    release = Repository("http://d/debian", "bookworm", ("main", "contrib"), "/k.gpg")
    found = debsource.in_suite([security, vendor, release], "unstable")
    assert found == Repository("http://d/debian", "unstable", ("main",), "/k.gpg")
    with pytest.raises(UkccError, match="could have unstable too"):
        debsource.in_suite([security, vendor], "unstable")


def test_a_package_that_a_suite_has_no_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(debsource.proc, "output", lambda argv: "")
    with pytest.raises(UkccError, match="Debian's suite unstable has no such package") as caught:
        debsource._candidate(tmp_path, "linux-source-7.2", "unstable")
    assert caught.value.hint


def test_source_line() -> None:
    repository = Repository("http://d/debian", "bookworm", ("main", "contrib"), "/k.gpg")
    line = "deb-src [signed-by=/k.gpg] http://d/debian bookworm main contrib"
    assert repository.line("deb-src") == line


def test_versions_in_debians_order() -> None:
    found = ["1.0-1", "1:0.9-1", "1.0-1+deb12u2", "1.0~rc1-1", "1.0-1"]
    assert debsource.newest_first(found) == ("1:0.9-1", "1.0-1+deb12u2", "1.0-1", "1.0~rc1-1")


def test_a_version_that_is_listed_but_not_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mirror's next one is taken; when there is none, its failure is told."""
    asked = []

    def download(root: Path, request: list[str], files: Path) -> None:
        *_, package = request
        asked.append(package)
        if package.endswith("=2"):
            raise proc.ProgramFailed("404", "", 100, [])

    monkeypatch.setattr(debsource, "_download", download)
    assert debsource._delivered(tmp_path, "a", ("2", "1:1")).version == "1:1"
    assert asked == ["a=2", "a=1:1"]
    with pytest.raises(proc.ProgramFailed):
        debsource._delivered(tmp_path, "a", ("2",))


def test_lists_of_packages_are_not_asked_for_on_a_disk_that_is_almost_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """apt-get would wait for ever."""
    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    monkeypatch.setattr(debsource, "debian_repositories", lambda: tuple(debsource.parse_list(LIST)))
    monkeypatch.setattr(debsource, "_SPACE_NEEDED", 1 << 62)
    monkeypatch.setattr(proc, "run", lambda *_, **__: pytest.fail("started"))
    with pytest.raises(UkccError, match="MB free, lists of packages need"):
        debsource.download("hello")


def test_a_store_that_is_no_place_for_packages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    monkeypatch.setattr(Path, "mkdir", refuse)
    with pytest.raises(UkccError, match="read-only file system"):
        debsource.download("hello")
