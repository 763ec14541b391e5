"""From what a suite's own machinery left to a verdict; from verdicts to the report."""

from pathlib import Path

import pytest
from conformance import glibc_results, glibc_suite, kselftest, report, schema
from conformance.__main__ import select
from conformance.results import Result, Row, Suite
from conformance.schema import Excluded, Explained, Notes

from ukcc.errors import UkccError

STATUS = "original exit status 1\n"


@pytest.mark.parametrize(
    ("result", "output", "wanted"),
    [
        ("PASS: a/b\n", "noise\n", Result("pass")),
        ("XPASS: a/b\n", "", Result("pass")),
        ("FAIL: a/b\n" + STATUS, "one\ntwo\n", Result("fail", "two")),
        ("FAIL: a/b\n" + STATUS, "", Result("fail", "status 1")),
        (
            "FAIL: a/b\n" + STATUS,
            "start\n../sysdeps/x/tst-a.c:5: numeric comparison failure\nlast\n",
            Result("fail", "tst-a.c:5: numeric comparison failure"),
        ),
        (
            "FAIL: a/b\n",
            "Timed out: killed the child process\n",
            Result("timeout", "Timed out: killed the child process"),
        ),
        (
            "FAIL: a/b\noriginal exit status 124\n",
            "error: x\nconformance wrapper: t: killed after 9 s\n",
            Result("timeout", "conformance wrapper: t: killed after 9 s"),
        ),
        ("XFAIL: a/b\n", "error: x\n", Result("fail", "the suite expects it; error: x")),
        ("UNSUPPORTED: a/b\n", "no ns\n", Result("unsupported", "no ns")),
        ("nonsense", "", Result("fail", "the result is not readable")),
    ],
)
def test_a_glibc_result(result: str, output: str, wanted: Result) -> None:
    assert glibc_results.judge(result, output) == wanted


def test_a_glibc_result_in_its_tree(tmp_path: Path) -> None:
    (tmp_path / "io").mkdir()
    assert glibc_results.read(tmp_path, "io", "t") == glibc_results.NOT_BUILT
    (tmp_path / "io" / "t.test-result").write_text("FAIL: io/t\n")
    (tmp_path / "io" / "t.out").write_bytes(b"\xff words\n")
    assert glibc_results.read(tmp_path, "io", "t") == Result("fail", "\ufffd words")
    glibc_results.forget(tmp_path, "io", "t")
    assert not list((tmp_path / "io").iterdir())


@pytest.mark.parametrize(
    ("process", "unikernel", "alone", "wanted"),
    [
        (Result("pass"), Result("pass"), None, ("pass", "pass", "")),
        (Result("pass"), Result("fail", "x"), Result("fail", "y"), ("fail", "pass", "y")),
        (
            Result("pass"),
            Result("timeout", "x"),
            Result("pass"),
            ("pass", "pass", "passes alone; beside others: timeout: x"),
        ),
        (Result("fail", "z"), Result("pass"), None, ("pass", "fail", "as process: z")),
    ],
)
def test_a_glibc_row(
    process: Result, unikernel: Result, alone: "Result | None", wanted: tuple[str, str, str]
) -> None:
    assert glibc_suite.row("g", "n", process, unikernel, alone) == Row("g", "n", *wanted)


@pytest.mark.parametrize(
    ("status", "output", "verdict", "words"),
    [
        (0, "ok 1\n", "pass", ""),
        (4, "ok 1 # SKIP no rtc\n", "skip", "ok 1 # SKIP no rtc"),
        (124, "", "timeout", "status 124"),
        (1, "TAP version 13\nok 1\nnot ok 2 at 0x7ffe12\nbye\n", "fail", "not ok 2 at 0x…"),
        (139, "", "fail", "status 139"),
        (
            125,
            "FAIL\nconformance wrapper: the guest died: x\n",
            "fail",
            "conformance wrapper: the gu",
        ),
    ],
)
def test_a_kselftest(status: int, output: str, verdict: str, words: str) -> None:
    ran = kselftest.judge(status, output)
    assert ran.verdict == verdict and ran.words.startswith(words)
    assert bool(ran.words) == bool(words)


NOTES = Notes(
    (Excluded(("x86/iopl*",), "ring 0"),),
    (Explained(("x86/nx*", "a/b"), "fail", "no|bits"),),
)
SUITE = Suite(
    "kselftest",
    "6.12",
    (
        Row("x86", "iopl_64", "excluded", "excluded", "ring 0"),
        Row("x86", "nx_64", "fail", "pass", "words"),
        Row("x86", "odd_64", "timeout", "pass", "slow"),
        Row("x86", "old_64", "pass", "fail", "as process: old"),
        Row("x86", "skipped", "skip", "skip"),
        Row("rseq", "basic", "pass", "pass"),
    ),
)


def test_patterns_of_notes() -> None:
    assert NOTES.exclusion("x86", "iopl_64") == "ring 0"
    assert NOTES.exclusion("x86", "ioperm_64") == ""
    assert NOTES.explanation(Row("a", "b", "fail", "pass")) == "no|bits"
    # an explanation is for one verdict: when the test fails otherwise, it says nothing
    assert NOTES.explanation(Row("a", "b", "timeout", "pass")) == ""


def test_only_what_fails_here_alone_and_unexplained_counts() -> None:
    annotated = report.annotate(SUITE, NOTES)
    assert [row.name for row in annotated.unexplained] == ["odd_64"]
    assert [row.name for row in report.annotate(SUITE, Notes()).unexplained] == ["nx_64", "odd_64"]


def test_the_report_counts_and_names_all_differences() -> None:
    text = report.markdown([report.annotate(SUITE, NOTES)])
    assert "| kselftest | 6.12 | x86 | 1 of 3 | 2 of 3 | 1 |" in text
    assert "| kselftest | 6.12 | rseq | 1 of 1 | 1 of 1 |  |" in text
    assert "| x86/nx_64 | fail | pass | no\\|bits |" in text
    assert "| x86/odd_64 | timeout | pass | not explained yet: slow |" in text
    assert "| x86/old_64 | pass | fail | not explained yet: as process: old |" in text
    assert "| x86/iopl_64 | ring 0 |" in text
    assert report.plain([report.annotate(SUITE, NOTES)]) == (
        "kselftest x86: 1 of 3 as unikernel, 2 of 3 as process\n"
        "kselftest rseq: 1 of 1 as unikernel, 1 of 1 as process\n"
        "kselftest: x86/odd_64: timeout as unikernel, pass as process: slow\n"
    )


def test_the_data_of_this_checkout() -> None:
    suites = schema.suites()
    assert suites["glibc-stdio"].directories == ("stdio-common", "libio")
    notes = {path.stem for path in (schema.DATA / "notes").glob("*.toml")}
    assert notes <= suites.keys() | {"stress-ng"}
    for name in notes:
        assert schema.notes(name) != Notes()


def test_suites_by_name() -> None:
    suites = schema.suites()
    assert [data.name for data in select(suites, ["kselftest"])] == ["kselftest"]
    assert select(suites, []) == list(suites.values())
    with pytest.raises(UkccError, match="the nearest is glibc-signal"):
        select(suites, ["signal"])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[x]", "x: no such table"),
        ("[[excluded]]\ntests = ['a']", "why: an entry has the keys tests, why"),
        ("[[excluded]]\ntests = 'a'\nwhy = 'b'", "tests: it takes a list"),
        ("[[excluded]]\ntests = []\nwhy = 'b'", "tests: it takes a list"),
        ("[[excluded]]\ntests = ['a']\nwhy = 5", "why: it takes text"),
        ("[[explained]]\ntests = ['a']\nwhy = 'b'\nunikernel = 'bad'", "'bad' is no verdict"),
        ("[[", "Invalid|Expected"),
    ],
)
def test_wrong_notes_are_refused(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "s.toml").write_text(text)
    with pytest.raises(UkccError, match=rf"s\.toml: .*({why})"):
        schema.notes("s", tmp_path)


def test_a_second_chance_is_named() -> None:
    process, crowded, alone = Result("pass"), Result("fail", "x"), "passes alone"
    row = kselftest.row("timers", "lat", process, crowded, Result("pass"))
    assert row.unikernel == "pass" and row.why == f"{alone}; beside others: x"
    assert kselftest.row("timers", "lat", process, crowded).unikernel == "fail"


def test_what_fails_in_both_lives_is_listed() -> None:
    both = Suite("s", "1", (Row("g", "n", "fail", "fail", "words"),))
    text = report.markdown([report.annotate(both, Notes())])
    assert "### s: fails in both lives" in text and "| g/n | words |" in text
    assert not report.annotate(both, Notes()).unexplained


def test_an_exclusion_holds_for_earlier_results() -> None:
    earlier = Suite("s", "1", (Row("x86", "iopl_64", "timeout", "pass", "late"),))
    annotated = report.annotate(earlier, NOTES)
    assert annotated.suite.rows == (Row("x86", "iopl_64", "excluded", "excluded", "ring 0"),)
    assert not annotated.unexplained and "late" not in report.markdown([annotated])
