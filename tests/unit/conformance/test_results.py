"""The file that every suite writes, and the report reads."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from conformance import results
from conformance.__main__ import main
from conformance.results import Row, Suite

from ukcc.errors import UkccError

SUITE = Suite(
    "glibc-signal",
    "2.36-9",
    (Row("signal", "tst-raise", "pass", "pass"), Row("signal", "tst-x", "fail", "skip", "hm")),
)


def test_what_is_kept_is_read_back(tmp_path: Path) -> None:
    file = results.keep(SUITE, tmp_path)
    assert file == tmp_path / "glibc-signal.json"
    assert results.kept(tmp_path) == [SUITE]
    assert [path.name for path in tmp_path.iterdir()] == ["glibc-signal.json"]


def test_a_row_differs_when_its_lives_do() -> None:
    assert [row.differs for row in SUITE.rows] == [False, True]


def test_a_verdict_is_one_of_those_agreed() -> None:
    with pytest.raises(ValueError, match="'ok' is no verdict"):
        Row("g", "n", "ok", "pass")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"suite": "s", "version": "1"}',
        '{"suite": "s", "version": "1", "rows": [{"group": "g"}]}',
        '{"suite": "s", "version": "1", "rows": ['
        '{"group": "g", "name": "n", "unikernel": "pass", "process": "great", "why": ""}]}',
        '{"suite": "s", "version": "1", "rows": ['
        '{"group": "g", "name": "n", "unikernel": "pass", "process": "pass", "why": ""},'
        '{"group": "g", "name": "n", "unikernel": "fail", "process": "pass", "why": ""}]}',
    ],
)
def test_another_file_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "s.json").write_text(text)
    with pytest.raises(UkccError, match=r"s\.json: not a suite's results"):
        results.kept(tmp_path)


def test_stress_has_a_report_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its results are kept in the same place, and a failure there is none of the suites'."""
    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    results.keep(Suite("stress-ng", "0.15", (Row("cpu", "af-alg", "fail", "pass"),)))
    results.keep(Suite("glibc-signal", "2.36", (Row("signal", "tst-raise", "pass", "pass"),)))
    done = CliRunner().invoke(main, ["--last"])
    assert (done.exit_code, done.output) == (
        0,
        "glibc-signal: 1 of 1 as unikernel, 1 of 1 as process\n",
    )
