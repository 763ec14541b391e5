"""What a shell is told to complete."""

from pathlib import Path

import pytest
from click.shell_completion import BashComplete
from support.machine_samples import FACTS

from ukcc.cli import main
from ukcc.lifecycle.registry import Registry, default_directory


def completed(*words: str) -> "list[tuple[str, str]]":
    """(kind, text) of what can follow these words; the last one is incomplete."""
    *before, incomplete = words
    shell = BashComplete(main, {}, "ukcc", "_UKCC_COMPLETE")
    return [(item.type, item.value) for item in shell.get_completions(before, incomplete)]


def test_commands_and_options() -> None:
    assert completed("s") == [
        ("plain", name) for name in ("stop", "snapshot", "specialise", "size", "sbom", "sysroot")
    ]
    assert ("plain", "--accel") in completed("run", "--ac")
    assert completed("run", "--accel", "t") == [("plain", "tcg")]


def test_images_are_files() -> None:
    for command in ("run", "snapshot", "inspect", "needs"):
        assert completed(command, "./a") == [("file", "./a")]


def test_machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    assert completed("stop", "") == []
    tmp_path.chmod(0o700)
    Registry(default_directory()).prepare().claim(FACTS)
    for command in ("stop", "kill", "logs", "wait"):
        assert completed(command, "w") == [("plain", FACTS.name)]
        assert completed(command, "x") == []


def test_ports(tmp_path: Path) -> None:
    assert completed("port", "test", "redi") == [("plain", "redis")]
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "port.toml").write_text("")
    assert completed("port", "--ports", str(tmp_path), "show", "") == [("plain", "mine")]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_script_asks_ukcc(shell: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["completion", shell])
    assert caught.value.code == 0
    assert f"_UKCC_COMPLETE={shell}_complete" in capsys.readouterr().out
