"""Rows of the compatibility table: what they may say, and what is refused."""

import copy
import re
from pathlib import Path
from typing import Any

import pytest
from compat.schema import Boot, Get, Suite, Talk, load, load_all, parse

from ukcc.errors import UkccError

ROOT = Path(__file__).parents[3]
ROWS = ROOT / "tests" / "compat" / "rows"

ROW: dict[str, Any] = {
    "title": "A",
    "sources": ["a"],
    "build": ["make"],
    "check": ["make check"],
    "suite": {"passed": "^PASS", "failed": "^FAIL"},
    "boot": [{"what": "says hi", "image": "a", "stdout": "^hi$"}],
}


def changed(**keys: Any) -> dict[str, Any]:
    return {**copy.deepcopy(ROW), **keys}


def test_row() -> None:
    row = parse("a", ROW)
    assert row.name == "a" and row.sources == ("a",) and not row.ci
    assert row.suite == Suite("^PASS", "^FAIL")
    assert row.boot == (Boot("says hi", "a", stdout="^hi$"),)


def test_server() -> None:
    boot = {
        "what": "answers",
        "image": "a",
        "port": 80,
        "files": {"etc/a.conf": "b"},
        "talk": [{"send": "x", "expect": "y"}],
        "get": [{"path": "/", "body": "z"}],
    }
    parsed = parse("a", changed(boot=[boot])).boot[0]
    assert parsed.talk == (Talk("x", "y"),) and parsed.get == (Get("/", "z"),)
    assert parsed.files == {"etc/a.conf": "b"}


BOOT = ROW["boot"][0]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"titel": "x"}, "titel: no such key; the nearest is title"),
        ({"suite": {"passd": "x"}}, "suite.passd: no such key; the nearest is passed"),
        ({"boot": [{**BOOT, "imge": "x"}]}, "boot[0].imge: no such key; the nearest is image"),
        ({"boot": [{"image": "a", "stdout": "x"}]}, "boot[0].what is missing"),
        ({"boot": []}, "sources, build and boot must not be empty"),
        ({"sources": "a"}, "sources: it takes a list"),
        ({"sources": [1]}, "sources[0]: it takes str, not int"),
        ({"ci": 1}, "ci: it takes bool, not int"),
        ({"suite": "x"}, "suite: it takes a table"),
        ({"check": []}, "check and suite belong together"),
        ({"suite": {"passed": "x"}}, "suite: one of failed and total is needed"),
        ({"suite": {"passed": "(", "total": "x"}}, "suite.passed: not a regular expression"),
        ({"suite": {"passed": "()()", "total": "x"}}, "suite.passed: it has 2 groups"),
        (
            {"suite": {"passed": "x", "total": "x", "known": 1}},
            "suite: known and known_why belong together",
        ),
        ({"boot": [{"what": "", "image": "a"}]}, "boot[0]: one of stdout, stdout_file"),
        ({"boot": [{**BOOT, "port": 1}]}, "boot[0]: port belongs to talk and get"),
        (
            {"boot": [{**BOOT, "port": 1, "get": [{"path": "/"}]}]},
            "boot[0].get: one of body and body_file is needed",
        ),
    ],
)
def test_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(UkccError, match=f"^{re.escape(message)}"):
        parse("a", changed(**keys))


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.toml"
    path.write_text("title = ")
    with pytest.raises(UkccError, match="^" + re.escape(str(path))):
        load(path)


def test_rows_are_right_and_packages_are_listed() -> None:
    """A package that a row needs is installed by somebody, and no other is."""
    rows = load_all(ROWS)
    assert rows
    listed = {
        name: {line.split()[0] for line in (ROOT / "scripts" / name).read_text().splitlines()}
        - {"#", ""}
        for name in ("system-packages.txt", "compat-packages.txt")
    }
    needed = {package for row in rows.values() for package in row.packages}
    system = listed["system-packages.txt"]
    assert needed - system == listed["compat-packages.txt"]
    assert not listed["compat-packages.txt"] & system
