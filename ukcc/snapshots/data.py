"""Frozen dataclasses as JSON and back, by their annotations: nothing is named twice."""

import dataclasses
import types
import typing
from typing import Any, TypeVar

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Dataclasses as objects, tuples as arrays; all else as it is."""
    if dataclasses.is_dataclass(value):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def typed(kind: "type[T]", data: Any) -> T:
    """The dataclass of that kind. Raises ValueError for a field too many, too few, or wrong."""
    if not isinstance(data, dict):
        raise ValueError(f"{kind.__name__}: no object")
    hints = typing.get_type_hints(kind)
    wrong = sorted(hints.keys() ^ data.keys())
    if wrong:
        raise ValueError(f"{kind.__name__}: {wrong[0]}")
    fields = {name: _value(hint, data[name], name) for name, hint in hints.items()}
    return kind(**fields)


def _value(hint: Any, data: Any, name: str) -> Any:
    origin, words = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        if data is None and type(None) in words:
            return None
        return _value(next(word for word in words if word is not type(None)), data, name)
    if origin is tuple:
        if not isinstance(data, list):
            raise ValueError(f"{name}: no array")
        if len(words) == 2 and words[1] is Ellipsis:
            return tuple(_value(words[0], item, name) for item in data)
        if len(words) != len(data):
            raise ValueError(f"{name}: {len(data)} items")
        return tuple(_value(word, item, name) for word, item in zip(words, data, strict=True))
    if dataclasses.is_dataclass(hint):
        return typed(typing.cast("type[Any]", hint), data)
    if type(data) is not hint:
        raise ValueError(f"{name}: {data!r}")
    return data
