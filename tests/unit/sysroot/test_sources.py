"""Where sources come from: a suite of its own for a kernel that the release does not have."""

import subprocess
from pathlib import Path

import pytest

from ukcc import debsource
from ukcc.debsource import Delivered
from ukcc.errors import ToolFailed, UkccError
from ukcc.sysroot import sources
from ukcc.sysroot.sources import SourcePackage
from ukcc.sysroot.store import Store

PACKAGE = SourcePackage("linux-source-0.9", "usr/src/linux-source-0.9.tar.xz", suite="unstable")


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setattr(sources, "_installed_version", lambda package: "")
    return Store(tmp_path / "store")


def make_deb(directory: Path) -> Path:
    """A package with nothing but the tarball."""
    root = directory / "root"
    (root / "DEBIAN").mkdir(parents=True)
    control = "Package: linux-source-0.9\nVersion: 0.9-1\nArchitecture: all\nMaintainer: n\n"
    (root / "DEBIAN/control").write_text(f"{control}Description: d\n")
    (root / "usr/src").mkdir(parents=True)
    (root / PACKAGE.tarball).write_bytes(b"tar")
    files = directory / "files"
    files.mkdir()
    words = ["dpkg-deb", "--root-owner-group", "-b", str(root), str(files / "l.deb")]
    subprocess.run(words, check=True, capture_output=True)
    return files


def test_a_kernel_of_a_suite_is_fetched_once(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def download(name: str, *, suite: str) -> Delivered:
        asked.append((name, suite))
        return Delivered(name, "0.9-1", make_deb(tmp_path))

    monkeypatch.setattr(debsource, "download_binary", download)
    first, second = sources.locate(PACKAGE, store), sources.locate(PACKAGE, store)
    assert first == second and first.version == "0.9-1" and first.package == PACKAGE.name
    assert first.tarball.read_bytes() == b"tar" and store.root in first.tarball.parents
    assert asked == [("linux-source-0.9", "unstable")]


def test_a_suite_that_cannot_be_reached_is_one_line(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def download(name: str, *, suite: str) -> Delivered:
        raise ToolFailed("apt-get: no network")

    monkeypatch.setattr(debsource, "download_binary", download)
    with pytest.raises(UkccError, match=r"linux-source-0\.9 .* cannot be downloaded") as caught:
        sources.locate(PACKAGE, store)
    assert "unstable" in caught.value.hint
    assert not list(store.sources.glob("linux*"))
