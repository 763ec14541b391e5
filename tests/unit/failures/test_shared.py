"""Paths that a guest names, below the directory that it was given."""

import os
from pathlib import Path

import pytest

from ukcc.failures.modules import GuestFiles
from ukcc.failures.shared import below, open_below


@pytest.mark.parametrize(
    ("path", "directory", "parts"),
    [
        ("/data/lib/a.so", "/data", ("lib", "a.so")),
        ("/data//a.so", "/data/", ("a.so",)),
        ("/a", "/", ("a",)),
        ("/data/../../etc/shadow", "/data", None),
        ("/data/x/../a", "/data", None),
        ("/data", "/data", None),
        ("/database/a", "/data", None),
        ("/etc/shadow", "/data", None),
        ("data/a", "/data", None),
        ("/data/a\0b", "/data", None),
        ("", "/data", None),
    ],
)
def test_what_is_below(path: str, directory: str, parts: "tuple[str, ...] | None") -> None:
    assert below(path, directory) == parts


@pytest.fixture
def share(tmp_path: Path) -> Path:
    (tmp_path / "secret").write_text("of the host")
    share = tmp_path / "share"
    (share / "lib").mkdir(parents=True)
    (share / "lib" / "a.so").write_text("of the guest")
    (share / "out").symlink_to("..")
    (share / "file").symlink_to("../secret")
    (share / "inner").symlink_to("lib/a.so")
    os.mkfifo(share / "fifo")
    with (share / "large").open("wb") as file:
        file.truncate((1 << 30) + 1)
    return share


def read(share: Path, *parts: str) -> "bytes | None":
    fd = open_below(str(share), parts)
    if fd is None:
        return None
    try:
        return os.read(fd, 100)
    finally:
        os.close(fd)


def test_a_file(share: Path) -> None:
    assert read(share, "lib", "a.so") == b"of the guest"
    (share.parent / "link").symlink_to("share")  # the user's own
    assert read(share.parent / "link", "lib", "a.so") == b"of the guest"


@pytest.mark.parametrize(
    "parts",
    [
        ("out", "secret"),
        ("file",),
        ("inner",),
        ("lib",),
        ("fifo",),
        ("large",),
        ("no",),
        ("lib", "no"),
    ],
)
def test_what_is_no_file_below(share: Path, parts: "tuple[str, ...]") -> None:
    """Links lead anywhere, a FIFO would wait for ever."""
    assert read(share, *parts) is None


def test_the_paths_of_a_core_do_not_leave_the_share(share: Path) -> None:
    """Seen: /data/../../../../etc/shadow was opened."""
    files = GuestFiles.__new__(GuestFiles)
    files._members, files._program, files._shares = {}, "", ((str(share), "/data"),)
    found = files.locate("/data/lib/a.so")
    assert found is not None and Path(found).read_text() == "of the guest"
    for path in ("/data/../secret", "/data/out/secret", "/data/file", "/data/fifo", "/etc/passwd"):
        assert files.locate(path) is None, path
