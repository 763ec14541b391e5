"""The values of a document, checked: each function names the place of what it refuses.

`where` is `FILE: KEY`. All raise UkccError. Part of a link, see `document`.
"""

from __future__ import annotations

from ukcc.errors import UkccError
from ukcc.settings.keys import FLAG, INTEGER, NUMBER, TEXT, TEXTS, Key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any


def check_known(table: Iterable[str], known: Sequence[str], where: str) -> None:
    """Raises UkccError for a key of the table that is none of these."""
    for key in table:
        if key not in known:
            raise unknown(where, key, known)


def unknown(where: str, key: str, known: Iterable[str]) -> UkccError:
    """Names the nearest of the known keys, or all if none is near."""
    import difflib  # only for a mistake: it costs a link some ms

    near = difflib.get_close_matches(key, known, 1, 0.5)
    mend = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
    return UkccError(f"{where}: unknown key {key!r}", mend)


def value(given: Any, key: Key, where: str) -> Any:
    """The value, if it has the key's shape. Neither 1 nor "1" is true, and true is no number."""
    if key.shape == TEXTS:
        return list(texts(given, where))
    if key.shape == TEXT:
        word = text(given, where)
        if key.choices and word not in key.choices:
            raise UkccError(f"{where}: {word!r} is not one of {', '.join(key.choices)}")
        return word
    kinds: dict[str, tuple[type, ...]] = {INTEGER: (int,), NUMBER: (int, float), FLAG: (bool,)}
    if type(given) not in kinds[key.shape]:
        raise wrong(where, key.shape, given)
    if isinstance(given, float) and given - given != 0:  # inf, nan
        raise UkccError(f"{where}: {given} is not a number")
    return given


def wrong(where: str, wanted: str, given: Any) -> UkccError:
    """A value of another shape, by the name that TOML has for it."""
    names = {
        str: "a string",
        bool: "a boolean",
        int: "an integer",
        float: "a float",
        list: "an array",
        dict: "a table",
    }
    return UkccError(f"{where}: it takes {wanted}, not {names.get(type(given), 'a date or time')}")


def text(given: Any, where: str) -> str:
    """A string that can be an argument or a path."""
    if not isinstance(given, str):
        raise wrong(where, TEXT, given)
    if "\0" in given:
        raise UkccError(f"{where}: {given!r} has a NUL in it")
    return given


def texts(given: Any, where: str) -> tuple[str, ...]:
    """An array of such strings."""
    if not isinstance(given, list | tuple):
        raise wrong(where, TEXTS, given)
    return tuple(text(item, f"{where}: item {n}") for n, item in enumerate(given, start=1))


def table(given: Any, where: str) -> dict[str, Any]:
    """A table of anything."""
    if not isinstance(given, dict):
        raise wrong(where, "a table", given)
    return given


def environment(given: Any, where: str) -> tuple[str, ...]:
    """`["NAME=VALUE", "NAME"]`, or a table `NAME = "VALUE"`, as words of the first form."""
    if isinstance(given, dict):
        words = tuple(f"{name}={text(word, f'{where}.{name}')}" for name, word in given.items())
        names = list(given)
    else:
        words = texts(given, where)
        names = [word.partition("=")[0] for word in words]
    for name in names:
        if not name or "=" in name or "\0" in name:
            raise UkccError(f"{where}: {name!r} is not the name of a variable")
    return words


def mode(given: Any, where: str) -> int:
    """Permissions as text: 0640 would be no TOML, and 640 decimal."""
    digits = text(given, where)
    if not 0 < len(digits) <= 5 or set(digits) - set("01234567") or int(digits, 8) > 0o7777:
        raise UkccError(
            f"{where}: {digits!r} is not a file mode", 'it takes octal digits, like "0640"'
        )
    return int(digits, 8)
