"""n of m, read out of what an application's own test suite wrote."""

from dataclasses import dataclass

from compat.schema import Suite
from ukcc.errors import UkccError
from ukcc.ports.adding_up import add_up


@dataclass(frozen=True)
class Count:
    """`passed` of `total` tests; skipped ones are in neither."""

    passed: int
    total: int

    @property
    def failed(self) -> int:
        return self.total - self.passed

    def __str__(self) -> str:
        return f"{self.passed} of {self.total}"


def count(suite: Suite, text: str) -> Count:
    """Raises UkccError when the text has no tests in it, or the numbers contradict each other."""
    passed = add_up(suite.passed, text)
    total = add_up(suite.total, text) if suite.total else passed + add_up(suite.failed, text)
    if total == 0:
        raise UkccError("the suite's output names no tests", "are the row's patterns right?")
    if passed > total:
        raise UkccError(f"{passed} of {total} tests passed?", "are the row's patterns right?")
    return Count(passed, total)
