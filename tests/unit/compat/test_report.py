"""The table, which rows are in it, and how boots' words are expanded."""

import errno
import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from compat import __main__ as compat
from compat import report, results
from compat.__main__ import select
from compat.row import Outcome
from compat.schema import Boot, Row, Suite
from compat.steps import Place, variable

from ukcc.errors import UkccError


def a_row(name: str, *, ci: bool = False) -> Row:
    boot = Boot(what="it says hi", image=name, stdout="hi")
    return Row(
        name,
        title=name.upper(),
        sources=(name,),
        build=("make",),
        boot=(boot,),
        suite=Suite("x", "y", known=1, known_why="it is wrong."),
        ci=ci,
        note="one\ntwo\n",
    )


GOOD = Outcome("a", "A", "1.0", "yes", "yes", "2 of 3", "yes", "static", 61.0)
BAD = Outcome("b", "B", "1.0", "yes", "no", "-", "-", "-", 1.0, error="make failed", tail="x\ny")


def test_select() -> None:
    rows = {name: a_row(name, ci=name == "b") for name in ("a", "b")}
    assert [row.name for row in select(rows, [], ci=False)] == ["a", "b"]
    assert [row.name for row in select(rows, [], ci=True)] == ["b"]
    assert [row.name for row in select(rows, ["b", "a"], ci=False)] == ["b", "a"]
    with pytest.raises(UkccError, match="no such row; the nearest is a"):
        select(rows, ["aa"], ci=False)


def test_json() -> None:
    first, second = json.loads(report.as_json([GOOD, BAD]))
    assert first["passed"] and first["suite"] == "2 of 3"
    assert not second["passed"] and second["error"] == "make failed"


def test_markdown() -> None:
    text = report.markdown([GOOD], {"a": a_row("a")})
    assert "| A | 1.0 | yes | yes | 2 of 3 | static | yes | 1 min 01 s |\n" in text
    assert "- Boots: it says hi.\n" in text
    assert "- one two\n" in text
    assert "1: it is wrong." in text


def test_failure_and_line() -> None:
    assert report.failure(BAD) == "b: make failed\n    x\n    y\n"
    assert "FAILED: make failed" in report.line(BAD)
    assert "FAILED" not in report.line(GOOD)


def test_expand(tmp_path: Path) -> None:
    made = Place(tmp_path, tmp_path, "1", {"TREE": "/t", "SOURCE_LIB_A": "/a"})
    assert made.expand("$TREE/x:$SOURCE_LIB_A/y:$$") == "/t/x:/a/y:$"
    with pytest.raises(UkccError, match="no such variable"):
        made.expand("$TREES")


def test_variable() -> None:
    assert variable("lua5.4-x") == "SOURCE_LUA5_4_X"


def test_outcomes_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    rows = [a_row("a"), a_row("b")]
    assert results.kept(rows) == []
    results.keep(BAD)
    assert results.kept(rows) == [BAD]
    results.keep(GOOD)
    assert results.kept(rows) == [GOOD, BAD]
    (tmp_path / "compat" / "a" / "outcome.json").write_text("{}")
    with pytest.raises(UkccError, match="not by this version"):
        results.kept(rows)


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(compat, "run_all", full)
    monkeypatch.setenv("UKCC_HOME", "/the/store")
    done = CliRunner().invoke(compat.main, ["zlib"])
    assert done.exit_code == 1
    assert done.output == (
        "compat: error: the disk is full: /the/store; free some space, or set UKCC_HOME\n"
    )
