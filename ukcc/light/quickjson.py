"""JSON for the link path: the `json` module's own engine, without the regular expressions that it
loads beside it (3 ms a link). Where there is no such engine (PyPy), `json` itself."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    # (context) -> (text, index) -> (value, index behind it)
    make_scanner: "Callable[[Any], Callable[[str, int], tuple[Any, int]]] | None"
    _quoted: "Callable[[str], str]"
else:
    try:
        from _json import encode_basestring_ascii as _quoted
        from _json import make_scanner
    except ImportError:
        make_scanner = None


class _Context:
    """What the engine asks of a decoder: json.decoder.JSONDecoder's defaults."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    parse_constant = None
    memo: "dict[str, str]" = {}  # noqa: RUF012  # the engine's, of keys


def loads(text: str) -> "Any":
    """The value of a JSON text. Raises ValueError."""
    if make_scanner is None:
        import json

        return json.loads(text)
    text = text.strip()
    try:
        value, end = make_scanner(_Context)(text, 0)
    except StopIteration as error:
        raise ValueError(f"no JSON value at character {error.value}") from None
    if end != len(text):
        raise ValueError(f"extra data at character {end}")
    return value


def dumps(value: "Any") -> str:
    """Objects, lists, strings, finite numbers, booleans, None; in their shortest form, keys sorted.

    As json.dumps(value, sort_keys=True, separators=(",", ":")).
    """
    if make_scanner is None:
        import json

        return json.dumps(value, sort_keys=True, separators=(",", ":"))
    if isinstance(value, str):
        return _quoted(value)
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{dumps(k)}:{dumps(value[k])}" for k in sorted(value)) + "}"
    if isinstance(value, list | tuple):
        return "[" + ",".join(map(dumps, value)) + "]"
    raise TypeError(f"{type(value).__name__} is not for JSON")
