"""The directory for files by names that can be guessed is the user's alone."""

import os
import stat
import tempfile
from pathlib import Path

import pytest

from ukcc.private_dir import private_directory

NAME = f"ukcc-{os.geteuid()}"


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_made_once_and_closed_to_others(temporary: Path) -> None:
    made = private_directory()
    assert made == private_directory() == temporary / NAME
    assert stat.S_IMODE(made.stat().st_mode) == 0o700


@pytest.mark.parametrize("prepared", ["link", "dangling link", "file", "fifo", "open", "foreign"])
def test_what_others_have_put_there_is_not_used(temporary: Path, prepared: str) -> None:
    place, elsewhere = temporary / NAME, temporary / "elsewhere"
    if prepared == "link":
        elsewhere.mkdir(mode=0o700)
        place.symlink_to(elsewhere)
    elif prepared == "dangling link":
        place.symlink_to(elsewhere)
    elif prepared == "file":
        place.touch()
    elif prepared == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
        place.chmod(0o777 if prepared == "open" else 0o700)
    if prepared == "foreign":
        if os.geteuid() != 0:
            pytest.skip("only root can give a directory away")
        os.chown(place, 65534, 65534)
    made = private_directory()
    assert made.parent == temporary and made != place
    assert stat.S_IMODE(made.stat().st_mode) == 0o700
    assert not elsewhere.exists() or not list(elsewhere.iterdir())
