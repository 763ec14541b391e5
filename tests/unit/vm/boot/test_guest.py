"""What `ukcc run` tells init: user, limits, steps, zone, and the members of the second archive."""

import os
from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.image.files import FileSpec
from ukcc.settings import words
from ukcc.settings.document import InitStep
from ukcc.settings.limits import Limit, parse_limit
from ukcc.vm.boot import guest
from ukcc.vm.boot.guest import Guest

UNLIMITED = (1 << 64) - 1


@pytest.mark.parametrize(
    ("text", "limit", "line"),
    [
        ("nofile=10", Limit("nofile", 10, 10), "nofile:7:10:10"),
        ("core=0:unlimited", Limit("core", 0, UNLIMITED), f"core:4:0:{UNLIMITED}"),
        ("stack=-1", Limit("stack", UNLIMITED, UNLIMITED), f"stack:3:{UNLIMITED}:{UNLIMITED}"),
        ("nofile=1:1048576", Limit("nofile", 1, 1048576), "nofile:7:1:1048576"),
    ],
)
def test_limit(text: str, limit: Limit, line: str) -> None:
    assert parse_limit(text) == limit and limit.line == line


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("nofiles=1", "no limit has that name"),
        ("nofile", "is not understood"),
        ("nofile=", "is not understood"),
        ("nofile=a", "is not understood"),
        ("nofile=1:2:3", "is not understood"),
        ("nofile=-2", "is not understood"),
        (f"as={UNLIMITED + 1}", "is not understood"),
        ("nofile=3:2", "above the hard one"),
        ("nofile=1:1048577", "at most 1048576 files"),
    ],
)
def test_limit_refused(text: str, reason: str) -> None:
    with pytest.raises(MachineError, match=reason) as caught:
        parse_limit(text)
    assert repr(text) in caught.value.message


@pytest.mark.parametrize("text", ["a", "a-b.example", "1", "x" * 64])
def test_hostname(text: str) -> None:
    assert words.parse_hostname(text) == text


@pytest.mark.parametrize("text", ["", "-a", "a-", "a..b", "a b", "a\nuser=root", "x" * 65, "ü"])
def test_hostname_refused(text: str) -> None:
    with pytest.raises(MachineError):
        words.parse_hostname(text)


@pytest.mark.parametrize("text", ["", ":", "a:", ":b", "a:b:c", "a b", "a\ncwd=/"])
def test_user_refused(text: str) -> None:
    with pytest.raises(MachineError):
        words.parse_user(text)


@pytest.mark.parametrize("text", ["", "x", "/a\nb"])
def test_workdir_refused(text: str) -> None:
    with pytest.raises(MachineError):
        words.parse_workdir(text)


def test_zone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    zones = tmp_path / "zones"
    monkeypatch.setattr(guest, "ZONES", zones)
    with pytest.raises(MachineError) as caught:
        guest.parse_zone("UTC")
    assert "install tzdata" in caught.value.hint
    zones.mkdir()
    (zones / "UTC").write_bytes(b"TZif2")
    (zones / "tzdata.zi").write_text("rules")
    (tmp_path / "secret").write_bytes(b"TZif2")
    assert guest.parse_zone("UTC") == "UTC"
    for text in ("", "tzdata.zi", "../secret", str(tmp_path / "secret"), "Nowhere"):
        with pytest.raises(MachineError, match="no such time zone"):
            guest.parse_zone(text)


def test_lines() -> None:
    told = Guest("box", "redis:0", "/data", (Limit("core", 0, 1),))
    lines = ["hostname=box", "user=redis:0", "cwd=/data", "ulimit=core:4:0:1"]
    assert guest.settings_lines(told) == lines
    assert guest.settings_lines(Guest()) == []


def test_members(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "ZONES", tmp_path)
    (tmp_path / "Zone").write_bytes(b"TZif2")
    step = InitStep(("/bin/a", "", "b c"), "u", "/d", ("A=1", "HERE", "AWAY"), True)
    told = Guest(zone="Zone", steps=(InitStep(("/x",)), step))
    found = {entry.path: entry.data for entry in guest.entries(told, "", "", {b"HERE": b"\xff"})}
    assert found == {
        "etc/localtime": b"TZif2",
        "etc/timezone": b"Zone\n",
        ".uk/steps/1/args": b"/x\0",
        ".uk/steps/1/env": b"",
        ".uk/steps/1/settings": b"",
        ".uk/steps/2/args": b"/bin/a\0\0b c\0",
        ".uk/steps/2/env": b"A=1\0HERE=\xff\0",
        ".uk/steps/2/settings": b"user=u\ncwd=/d\noptional=1\n",
    }


def test_each_machine_has_a_seed_of_its_own() -> None:
    (one,), (other,) = guest.seed(), guest.seed()
    assert (one.path, one.mode & 0o777, len(one.data)) == (".uk/seed", 0o600, 64)
    assert one.data != other.data


def test_files_that_cannot_be_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guest, "archive_of", lambda image, wanted: [])
    told = Guest(files=(FileSpec(os.devnull, "/x"),), files_from="uk.toml: files")
    with pytest.raises(MachineError) as caught:
        guest.entries(told, "image", "", {})
    assert caught.value.message.startswith(f"uk.toml: files: {os.devnull}: neither file,")
