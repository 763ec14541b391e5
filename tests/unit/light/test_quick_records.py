"""What stands in for `typing.NamedTuple` and `json` on the link path does what they do."""

import json

import pytest

from ukcc.light import quickjson
from ukcc.light.record import Record


class Point(Record):
    """Two fields, one with a default."""

    x: int
    y: int = 7

    @property
    def sum(self) -> int:
        return self.x + self.y


def test_record():
    point = Point(1, y=2)
    assert (point.x, point.y, point.sum) == (1, 2, 3)
    assert point == (1, 2) == Point._make((1, 2)) == Point(x=1, y=2)
    assert Point(1) == (1, 7)
    assert point._replace(y=5) == (1, 5)
    assert repr(point) == "Point(x=1, y=2)"
    assert {point: "found"}[Point(1, 2)] == "found"
    first, second = point
    assert (first, second) == (1, 2)


@pytest.mark.parametrize(
    ("values", "named"), [((), {}), ((1, 2, 3), {}), ((1,), {"z": 2}), ((1, 2), {"x": 3})]
)
def test_a_record_with_wrong_fields(values, named):
    with pytest.raises(TypeError):
        Point(*values, **named)


def test_a_record_does_not_change():
    with pytest.raises(AttributeError):
        Point(1, 2).x = 3


VALUES = [
    {},
    [],
    {"b": [1, -2, {"c": None}], "a": 'ü"\\\n\x01', "t": True, "f": False},
    {"big": 1 << 40, "nested": {"z": [], "y": {}}},
    {"seconds": 1.5, "small": 1e-09, "whole": 2.0},
    "text",
    [["a"], ["b", "c"]],
]


@pytest.mark.parametrize("value", VALUES, ids=str)
def test_json(value):
    text = quickjson.dumps(value)
    assert text == json.dumps(value, sort_keys=True, separators=(",", ":"))
    assert quickjson.loads(f"\n{text} ") == value


@pytest.mark.parametrize("text", ["", "{", '{"a":}', "[1,]", "{} x", '"\\q"', "nul"])
def test_wrong_json(text):
    with pytest.raises(ValueError):
        quickjson.loads(text)
