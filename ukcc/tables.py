"""Tables of TOML and JSON as frozen dataclasses and back, by their annotations: nothing is named
twice. Strictly: no unknown key, none missing, each of its type.
"""

import dataclasses
import functools
import re
import typing
from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from ukcc.errors import UkccError

_Record = TypeVar("_Record")

# Metadata of a field: a dataclass whose own fields stand in the table beside the others.
INLINE = {"inline": True}

_LONGEST_GUESS = 64  # characters of a key that are compared; a stranger's may have any number

_hints = functools.cache(typing.get_type_hints)


def record(kind: type[_Record], table: Any, where: str = "", *, whole: bool = False) -> _Record:
    """The dataclass of a table, dataclasses in its fields included.

    Fields are of type str, int, float, bool, tuple[X, ...], tuple[X, Y], Mapping[str, X], Any, or a
    dataclass; a field with a default may be missing, unless the table is to be `whole`. where: what
    an error calls the table, with a dot, or empty. Raises UkccError that names the key.
    """
    if not isinstance(table, dict):
        raise UkccError(f"{where.rstrip('.') or kind.__name__}: it takes a table")
    known = set(_keys(kind))
    for key in table:
        if key not in known:
            raise UkccError(f"{where}{key}: no such key; the nearest is {_nearest(key, known)}")
    return typing.cast("_Record", _build(kind, table, where, whole))


def plain(value: Any) -> Any:
    """The same back: dataclasses as tables, tuples as lists; all else as it is."""
    if dataclasses.is_dataclass(value):
        found: dict[str, Any] = {}
        for field in dataclasses.fields(value):
            part = plain(getattr(value, field.name))
            found |= part if field.metadata == INLINE else {field.name: part}
        return found
    if isinstance(value, tuple):
        return [plain(item) for item in value]
    return value


def check_pattern(pattern: str, where: str, groups: "int | None" = None) -> None:
    """Raises UkccError for what is no regular expression, or has more groups than so many."""
    try:
        found = re.compile(pattern).groups
    except re.error as error:
        raise UkccError(f"{where}: not a regular expression: {error}") from None
    if groups is not None and found > groups:
        raise UkccError(f"{where}: it has {found} groups, and may have {groups or 'none'}")


def _keys(kind: Any) -> Iterator[str]:
    for field in dataclasses.fields(kind):
        if field.metadata == INLINE:
            yield from _keys(_hints(kind)[field.name])
        else:
            yield field.name


def _nearest(key: str, known: "set[str]") -> str:
    import difflib  # for this alone

    return difflib.get_close_matches(key[:_LONGEST_GUESS], sorted(known), 1, 0)[0]


def _build(kind: Any, table: "dict[str, Any]", where: str, whole: bool) -> Any:
    values = {}
    for field in dataclasses.fields(kind):
        wanted = _hints(kind)[field.name]
        required = field.default is field.default_factory is dataclasses.MISSING
        if field.metadata == INLINE:
            values[field.name] = _build(wanted, table, where, whole)
        elif field.name in table:
            key = f"{where}{field.name}"
            values[field.name] = _value(wanted, table[field.name], key, whole)
        elif required or whole:
            raise UkccError(f"{where}{field.name} is missing")
    return kind(**values)


def _value(wanted: Any, value: Any, where: str, whole: bool) -> Any:
    """The value of one key, as the annotation of the field wants it."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any or (value is None and type(None) in parts):
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise UkccError(f"{where}: it takes a list")
        kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
        if len(kinds) != len(value):
            raise UkccError(f"{where}: it takes {len(kinds)} items, not {len(value)}")
        pairs = enumerate(zip(kinds, value, strict=True))
        return tuple(_value(part, v, f"{where}[{i}]", whole) for i, (part, v) in pairs)
    if origin is Mapping:
        if not isinstance(value, dict):
            raise UkccError(f"{where}: it takes a table")
        return {k: _value(parts[1], v, f"{where}.{k}", whole) for k, v in value.items()}
    kind = next((part for part in parts if part is not type(None)), wanted)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return record(kind, value, f"{where}.", whole=whole)
    if kind is float and type(value) is int:
        return float(value)
    if type(value) is not kind:
        raise UkccError(f"{where}: it takes {kind.__name__}, not {type(value).__name__}")
    return value
