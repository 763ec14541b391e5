"""The rig for another Debian as the host: its words, and the checkout that the root gets."""

import shutil
import subprocess
from pathlib import Path

import host_check
import pytest

from ukcc.errors import UkccError


def test_steps_are_chosen() -> None:
    assert host_check.chosen(["trixie"]) == ("trixie", host_check.USUAL)
    assert host_check.chosen(["trixie", "packages", "unit"]) == ("trixie", ("packages", "unit"))
    assert set(host_check.USUAL) < set(host_check.STEPS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "not a suite"),
        (["../etc"], "not a suite"),
        (["trixie", "unit", "boot"], "no such step: boot"),
    ],
)
def test_words_that_are_wrong(words: list[str], message: str) -> None:
    with pytest.raises(UkccError, match=message):
        host_check.chosen(words)


@pytest.mark.skipif(not shutil.which("git"), reason="no git, which lists a checkout's files")
def test_the_root_has_the_checkout_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, root = tmp_path / "checkout", tmp_path / "root"
    for place in (checkout / "ukcc", root / "ukcc" / ".venv", root / "ukcc" / "gone"):
        place.mkdir(parents=True)
    (checkout / ".gitignore").write_text("ignored\n")
    (checkout / "ukcc" / "one.py").write_text("1\n")
    (checkout / "ukcc" / "link").symlink_to("one.py")
    (checkout / "removed").write_text("")
    (checkout / "ignored").write_text("")
    (root / "ukcc" / "old").write_text("")
    for words in (["init", "-q"], ["add", "removed"]):
        subprocess.run(["git", *words], cwd=checkout, check=True)
    (checkout / "removed").unlink()
    monkeypatch.setattr(host_check, "ROOT", checkout)
    host_check.renew_checkout(root)
    found = sorted(str(p.relative_to(root / "ukcc")) for p in (root / "ukcc").rglob("*"))
    assert found == [".gitignore", ".venv", "ukcc", "ukcc/link", "ukcc/one.py"]
    assert (root / "ukcc" / "ukcc" / "link").is_symlink()
