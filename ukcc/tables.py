"""TOML tables as frozen dataclasses, strictly: no unknown key, none missing, each of its type."""

import dataclasses
import difflib
import re
import typing
from collections.abc import Mapping
from typing import Any, TypeVar

from ukcc.errors import UkccError

_Record = TypeVar("_Record")


def record(kind: type[_Record], table: Mapping[str, Any], where: str = "") -> _Record:
    """The dataclass of a table, dataclasses in its fields included.

    Fields are of type str, int, bool, tuple[X, ...], Mapping[str, X], Any, or a dataclass; a field
    with a default may be missing. where: what an error calls the table, with a dot, or empty.
    Raises UkccError that names the key.
    """
    types = typing.get_type_hints(kind)
    for key in table:
        if key not in types:
            near = difflib.get_close_matches(key, types, 1, 0)
            raise UkccError(f"{where}{key}: no such key; the nearest is {near[0]}")
    values = {}
    for field in dataclasses.fields(kind):  # type: ignore[arg-type]
        required = field.default is field.default_factory is dataclasses.MISSING
        if field.name in table:
            key = f"{where}{field.name}"
            values[field.name] = _value(types[field.name], table[field.name], key)
        elif required:
            raise UkccError(f"{where}{field.name} is missing")
    return kind(**values)


def check_pattern(pattern: str, where: str, groups: "int | None" = None) -> None:
    """Raises UkccError for what is no regular expression, or has more groups than so many."""
    try:
        found = re.compile(pattern).groups
    except re.error as error:
        raise UkccError(f"{where}: not a regular expression: {error}") from None
    if groups is not None and found > groups:
        raise UkccError(f"{where}: it has {found} groups, and may have {groups or 'none'}")


def _value(wanted: Any, value: Any, where: str) -> Any:
    """The value of one key, as the annotation of the field wants it."""
    origin, parts = typing.get_origin(wanted), typing.get_args(wanted)
    if wanted is Any or (value is None and type(None) in parts):
        return value
    if origin is tuple:
        if not isinstance(value, list):
            raise UkccError(f"{where}: it takes a list")
        return tuple(_value(parts[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise UkccError(f"{where}: it takes a table")
        return {k: _value(parts[1], v, f"{where}.{k}") for k, v in value.items()}
    kind = next((part for part in parts if part is not type(None)), wanted)
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if not isinstance(value, dict):
            raise UkccError(f"{where}: it takes a table")
        return record(kind, value, f"{where}.")
    if type(value) is not kind:
        raise UkccError(f"{where}: it takes {kind.__name__}, not {type(value).__name__}")
    return value
