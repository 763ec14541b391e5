"""Tables as frozen dataclasses: strict, by the annotations, and back."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from ukcc.errors import UkccError
from ukcc.tables import INLINE, plain, record


@dataclass(frozen=True)
class Part:
    size: int
    name: str = "x"


@dataclass(frozen=True)
class Spot:
    row: int = 1
    pair: tuple[int, str] = (1, "a")


@dataclass(frozen=True)
class Whole:
    part: Part
    parts: tuple[Part, ...] = ()
    spot: Spot = field(default=Spot(), metadata=INLINE)
    since: float = 0.0
    maybe: "int | None" = None
    table: Mapping[str, int] = field(default_factory=dict)


FULL: dict[str, Any] = {
    "part": {"size": 1, "name": "y"},
    "parts": [{"size": 2, "name": "z"}],
    "row": 3,
    "pair": [4, "b"],
    "since": 1.5,
    "maybe": None,
    "table": {"k": 5},
}
VALUE = Whole(Part(1, "y"), (Part(2, "z"),), Spot(3, (4, "b")), 1.5, None, {"k": 5})


def test_there_and_back() -> None:
    assert record(Whole, FULL) == record(Whole, FULL, whole=True) == VALUE
    assert plain(VALUE) == FULL


def test_a_default_may_be_missing_unless_the_table_is_whole() -> None:
    assert record(Whole, {"part": {"size": 1}}) == Whole(Part(1))
    for key in ("parts", "row", "since", "maybe"):
        table = {name: value for name, value in FULL.items() if name != key}
        with pytest.raises(UkccError, match=f"^{key} is missing$"):
            record(Whole, table, whole=True)
    with pytest.raises(UkccError, match=r"^part\.name is missing$"):
        record(Whole, {**FULL, "part": {"size": 1}}, whole=True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"rows": 1}, "rows: no such key; the nearest is row"),
        ({"spot": {}}, "spot: no such key"),
        ({"x" * (1 << 20): 1}, "no such key"),
        ({"part": 1}, "part: it takes a table"),
        ({"part": {"size": True}}, r"part\.size: it takes int, not bool"),
        ({"part": {"size": 1.0}}, r"part\.size: it takes int, not float"),
        ({"parts": [{"size": "1"}]}, r"parts\[0\]\.size: it takes int, not str"),
        ({"parts": "ab"}, "parts: it takes a list"),
        ({"pair": [1]}, "pair: it takes 2 items, not 1"),
        ({"pair": ["a", 1]}, r"pair\[0\]: it takes int, not str"),
        ({"row": None}, "row: it takes int, not NoneType"),
        ({"since": "1"}, "since: it takes float, not str"),
        ({"maybe": "1"}, "maybe: it takes int, not str"),
        ({"table": {"k": "v"}}, r"table\.k: it takes int, not str"),
    ],
)
def test_what_is_refused(change: "dict[str, Any]", said: str) -> None:
    with pytest.raises(UkccError, match=said):
        record(Whole, {**FULL, **change})


@pytest.mark.parametrize("table", [None, [], 1, "part"])
def test_what_is_no_table(table: object) -> None:
    with pytest.raises(UkccError, match="Whole: it takes a table"):
        record(Whole, table)


def test_a_whole_number_of_seconds_is_a_number() -> None:
    since = record(Whole, {**FULL, "since": 2}).since
    assert since == 2.0 and isinstance(since, float)
