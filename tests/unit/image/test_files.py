"""Files of the host for an image: what is taken, whose it is, and where it may not go."""

import os
import stat
from pathlib import Path

import pytest

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.image.accounts import Accounts, accounts_of, parse_accounts, parse_owner
from ukcc.image.collect import parse_word
from ukcc.image.files import FileSpec, check_places, file_entries


def test_a_directory_is_taken_whole(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir(mode=0o750)
    (tmp_path / "d" / "b").write_bytes(b"2")
    (tmp_path / "d" / "a").symlink_to("b")
    (tmp_path / "d" / "b").chmod(0o640)
    entries = file_entries([FileSpec(str(tmp_path / "d"), "/etc/d")])
    assert [(e.path, oct(e.mode), e.data) for e in entries] == [
        ("etc/d", oct((tmp_path / "d").stat().st_mode), b""),
        ("etc/d/a", "0o120777", b"b"),
        ("etc/d/b", "0o100640", b"2"),
    ]
    assert {(e.uid, e.gid) for e in entries} == {(0, 0)}


def test_the_files_of_who_builds_are_roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two users who build the same get the same; what is of others stays theirs."""
    (tmp_path / "f").write_bytes(b"x")
    real = os.lstat(tmp_path / "f")
    spec = FileSpec(str(tmp_path / "f"), "/f")

    def owner(uid: int, gid: int) -> tuple[int, int]:
        fields = [*real[:4], uid, gid, *real[6:]]
        monkeypatch.setattr(os, "lstat", lambda _: os.stat_result(fields))
        (entry,) = file_entries([spec])
        return entry.uid, entry.gid

    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    assert owner(1000, 100) == (0, 0)
    assert owner(1000, 33) == (0, 33)
    assert owner(33, 33) == (33, 33)
    assert owner(0, 0) == (0, 0)


def test_mode_and_owner(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x")
    spec = FileSpec(str(tmp_path / "f"), "/srv/f", 0o4711, "www-data:daemon")
    assert file_entries([spec]) == [cpio.Entry("srv/f", stat.S_IFREG | 0o4711, b"x", 33, 1)]
    with pytest.raises(UkccError, match="to a file only"):
        file_entries([FileSpec(str(tmp_path), "/srv", 0o700)])


def test_owners_are_those_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "passwd").write_text("redis:x:7:8::/:/bin/sh\n")
    (tmp_path / "f").write_bytes(b"x")
    own = FileSpec(str(tmp_path / "passwd"), "/etc/passwd")
    entry = file_entries([own, FileSpec(str(tmp_path / "f"), "/f", owner="redis")])[1]
    assert (entry.uid, entry.gid) == (7, 8)
    below = [cpio.regular("etc/passwd", b"redis:x:5:5::/:/bin/sh\n")]
    f = FileSpec(str(tmp_path / "f"), "/f", owner="redis")
    assert [e.uid for e in file_entries([f], below)] == [5]
    assert [e.uid for e in file_entries([f, own], below)] == [7, 0]
    with pytest.raises(UkccError, match="no user 'www-data'"):
        file_entries([own, FileSpec(str(tmp_path / "f"), "/f", owner="www-data")])


ACCOUNTS = Accounts({"root": (0, 0), "redis": (7, 8)}, {"root": 0, "data": 9})


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("redis", (7, 8)),
        ("redis:data", (7, 9)),
        ("redis:3", (7, 3)),
        ("12", (12, 12)),
        ("12:data", (12, 9)),
        ("0:4294967294", (0, 4294967294)),
    ],
)
def test_owner(text: str, ids: tuple[int, int]) -> None:
    assert parse_owner(text, ACCOUNTS) == ids


@pytest.mark.parametrize("text", ["", "who", ":data", "redis:", "redis:who", "4294967295", "-1"])
def test_owner_refused(text: str) -> None:
    with pytest.raises(UkccError, match="the image knows no"):
        parse_owner(text, ACCOUNTS)


def test_accounts_skip_what_is_no_account() -> None:
    odd = f"c:x:\u00b2:1:::\nd:x:{'9' * 5000}:1:::\ne:x:1:4294967295:::\n"
    assert parse_accounts(odd, f"f:x:\u00b2:\ng:x:{'9' * 5000}:\n") == Accounts({}, {})
    accounts = parse_accounts("# no\na:x:1:2:::\nb:x:1\na:x:9:9:::\n", "g:x:5:\nh:x\n")
    assert accounts == Accounts({"a": (1, 2)}, {"g": 5})


def test_the_accounts_of_init_are_whole() -> None:
    """Each line of the texts that init writes is one that getpwnam and getgrnam understand."""
    accounts = accounts_of({})
    init = Path(paths.data_dir("sysroot")) / "init"
    assert len(accounts.users) == len((init / "passwd.txt").read_text().splitlines())
    assert len(accounts.groups) == len((init / "group.txt").read_text().splitlines())
    assert set(accounts.groups.values()) >= {gid for _, gid in accounts.users.values()}


@pytest.mark.parametrize(
    ("paths", "reason"),
    [
        (["etc/a", "etc/a"], "/etc/a: two files"),
        (["init"], "/init: this place"),
        ([".uk/args"], "/.uk/args: this place"),
        (["app/p"], "/app/p: this place"),
        (["tmp/x"], "/tmp/x: the machine mounts"),
        (["proc/x"], "/proc/x: the machine mounts"),
    ],
)
def test_places_refused(paths: list[str], reason: str) -> None:
    with pytest.raises(UkccError) as caught:
        check_places([cpio.regular(path, b"") for path in paths], "/app/p")
    assert caught.value.message.startswith(reason)


def test_places() -> None:
    directory = cpio.Entry("etc", stat.S_IFDIR | 0o755)
    members = [cpio.regular(path, b"") for path in ("etc/a", "etc/b", "initial", "app/q")]
    check_places([directory, *members, directory], "/app/p")
    with pytest.raises(UkccError, match="two files"):
        check_places([directory, cpio.regular("etc", b"")], "/app/p")


@pytest.mark.parametrize(
    ("word", "places"),
    [("a:/b", ("a", "/b")), ("a:b:/c/../d", ("a:b", "/d")), ("/x", ("/x", "/x"))],
)
def test_word(word: str, places: tuple[str, str]) -> None:
    assert parse_word(word) == places


@pytest.mark.parametrize("word", ["a:b", ":/b", "", "a:"])
def test_word_refused(word: str) -> None:
    with pytest.raises(UkccError, match="begin with /"):
        parse_word(word)


def test_what_is_not_there() -> None:
    with pytest.raises(UkccError, match="/nowhere: No such file"):
        file_entries([FileSpec("/nowhere", "/x")])


def test_owners_in_the_archive() -> None:
    entry = cpio.Entry("a", stat.S_IFREG | 0o600, b"data", 33, 65534)
    assert list(cpio.members(cpio.archive([entry]))) == [entry]


def test_parents_that_are_known_stay_as_they_are() -> None:
    known = {"data": cpio.Entry("data", stat.S_IFDIR | 0o700, b"", 33, 33)}
    entries = cpio.with_parents([cpio.regular("data/new/f", b"")], known)
    assert entries[:2] == [known["data"], cpio.Entry("data/new", stat.S_IFDIR | 0o755)]
