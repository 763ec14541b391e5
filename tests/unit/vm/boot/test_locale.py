"""A locale goes to the machines in which a program may load one, and LANG is the same in all."""

from dataclasses import replace
from pathlib import Path

import pytest

from ukcc.image.facts import ImageMetadata, facts_of
from ukcc.image.files import FileSpec
from ukcc.vm.boot import locale
from ukcc.vm.boot.guest import Guest
from ukcc.vm.options import RunOptions, Share

NONE = ImageMetadata(loads_locale=False)
PLAIN = RunOptions("image")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = tmp_path / "C.utf8"
    (place / "LC_MESSAGES").mkdir(parents=True)
    (place / "LC_CTYPE").write_bytes(b"c")
    (place / "LC_MESSAGES" / "SYS_LC_MESSAGES").write_bytes(b"m")
    monkeypatch.setattr(locale, "LOCALE", place)
    return place


def test_it_is_the_hosts(there: Path) -> None:
    place = str(there).lstrip("/")
    assert {entry.path: entry.data for entry in locale.entries()} == {
        f"{place}/LC_CTYPE": b"c",
        f"{place}/LC_MESSAGES/SYS_LC_MESSAGES": b"m",
    }


def test_who_may_load_one() -> None:
    assert locale.may_load(PLAIN, ImageMetadata())
    assert not locale.may_load(PLAIN, NONE)
    shared = replace(PLAIN, shares=(Share("/host", "/guest"),))
    assert locale.may_load(shared, NONE)
    with_file = replace(PLAIN, guest=Guest(files=(FileSpec("/host", "/bin/x"),)))
    assert locale.may_load(with_file, NONE)


def test_an_older_image_may() -> None:
    assert facts_of({}).loads_locale
    assert not facts_of({"loads_locale": False}).loads_locale


def test_language(there: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = replace(PLAIN, environment=((b"A", b"1"),))
    told = locale.with_language(given)
    assert told.environment == ((b"LANG", b"C.UTF-8"), (b"A", b"1"))
    own = replace(PLAIN, environment=((b"LANG", b"de_DE"),))
    assert locale.with_language(own) == own
    monkeypatch.setattr(locale, "LOCALE", there / "none")
    assert locale.with_language(given) == given
    assert locale.entries() == []
