"""What glibc's test machinery left of a test: its result, and its last words."""

import re
from pathlib import Path

from conformance.results import Result
from conformance.wrapper import MARK, TIMED_OUT

# `PASS: signal/tst-raise`, the first line of a .test-result (glibc's scripts/evaluate-test.sh).
_RESULT = re.compile(r"(PASS|FAIL|XPASS|XFAIL|UNSUPPORTED): ")
_VERDICTS = {
    "PASS": "pass",
    "XPASS": "pass",
    "FAIL": "fail",
    "XFAIL": "fail",
    "UNSUPPORTED": "unsupported",
}

# support/support_test_main.c: the test's own deadline.
_TIMED_OUT = re.compile(r"^Timed out: ", re.MULTILINE)

_WORDS = 200  # characters of last words that a row keeps


NOT_BUILT = Result("unsupported", "does not build")


def read(build: Path, directory: str, name: str) -> Result:
    """The result in the build tree; NOT_BUILT when there is none."""
    place = build / directory / name
    try:
        line = Path(f"{place}.test-result").read_text()
    except FileNotFoundError:
        return NOT_BUILT
    output = Path(f"{place}.out")
    text = output.read_bytes()[-20000:].decode(errors="replace") if output.exists() else ""
    return judge(line, text)


def judge(result: str, output: str) -> Result:
    """From the two files' texts."""
    found = _RESULT.match(result)
    if found is None:
        return Result("fail", "the result is not readable")
    verdict = _VERDICTS[found[1]]
    if verdict == "pass":
        return Result("pass")
    if verdict == "fail" and (_TIMED_OUT.search(output) or f"status {TIMED_OUT}" in result):
        verdict = "timeout"
    expected = "the suite expects it; " if found[1] == "XFAIL" else ""
    return Result(verdict, expected + last_words(output, result))


def last_words(output: str, result: str) -> str:
    """What says most about a failure: a line with `error` or the like, else the last one.

    Paths are shortened to the names of files. A test that said nothing has only its status.
    """
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    telling = [line for line in lines if re.search(r"\b(error|FAIL|fail|Timed out|died)", line)]
    ours = [line for line in lines if line.startswith(MARK)]
    chosen = (ours or telling or lines[-1:])[:1]
    if not chosen:
        status = re.search(r"status (\d+)", result)
        return f"status {status[1]}" if status else ""
    return re.sub(r"(?<![\w.])(?:\.\.)?/[^\s:'\"]*/", "", chosen[0])[:_WORDS]


def forget(build: Path, directory: str, name: str) -> None:
    """Removes the result, so that make runs the test again."""
    for suffix in (".out", ".test-result"):
        Path(f"{build / directory / name}{suffix}").unlink(missing_ok=True)
