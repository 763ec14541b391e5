"""n of m out of suites' output."""

import pytest
from compat.counting import Count, count
from compat.schema import Suite

from ukcc.errors import UkccError

AUTOMAKE = "PASS: a\nPASS: b\nSKIP: c\nFAIL: d\n# TOTAL: 4\n# PASS:  2\n"


def test_matches_are_counted() -> None:
    assert count(Suite("^PASS: ", failed="^FAIL: "), AUTOMAKE) == Count(2, 3)


def test_numbers_are_added_up() -> None:
    text = "Tests=3, Failed=1\nTests=4, Failed=0\n"
    assert count(Suite(r"^ok$", failed=r"Failed=(\d+)"), text + "ok\n") == Count(1, 2)
    assert count(Suite(r"^# PASS: +(\d+)", total=r"^# TOTAL: (\d+)"), AUTOMAKE) == Count(2, 4)


def test_a_group_that_took_no_part_is_nothing() -> None:
    assert count(Suite(r"passed(?: (\d+))?", total=r"of (\d+)"), "passed of 1\n") == Count(0, 1)


@pytest.mark.parametrize("text", ["", "make: *** Error 2\n"])
def test_no_tests_are_no_success(text: str) -> None:
    with pytest.raises(UkccError, match="names no tests"):
        count(Suite("^PASS", failed="^FAIL"), text)


def test_more_passed_than_there_are() -> None:
    with pytest.raises(UkccError, match="2 of 1"):
        count(Suite("^PASS: ", total="^FAIL: "), AUTOMAKE)
