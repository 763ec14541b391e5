"""Text from elsewhere (a guest, a stranger's image, a path), made safe to show on a terminal."""

import unicodedata

# Categories of Unicode that a terminal or a reader could take for something else than text:
# control characters (C0, C1), formats (direction, invisible joins), surrogates, private use,
# unassigned, and the separators of lines and paragraphs.
_ESCAPED = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})

# What `errors="surrogateescape"` makes of a byte that is not UTF-8.
_RAW_FIRST, _RAW_LAST = 0xDC80, 0xDCFF
_NAMES = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str) -> str:
    r"""The text on one line, as a terminal may show it: what is not printable is escaped.

    `\n`, `\x1b`, `\u202e`, `\U000e0001` as in Python; a byte that was not UTF-8 is `\xff`.
    Printable text of any script stays as it is, and so does a backslash: the same text a second
    time is unchanged.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(_escaped(char) if _is_escaped(char) else char for char in text)


def shown_lines(text: str) -> "list[str]":
    r"""The same for text of several lines (ended by `\n` or `\r\n`); tabs become spaces."""
    return [
        shown(line.removesuffix("\r").expandtabs()) for line in text.removesuffix("\n").split("\n")
    ]


def shown_bytes(data: bytes) -> str:
    """The same for bytes that should be UTF-8."""
    return shown(data.decode("utf-8", "surrogateescape"))


def _is_escaped(char: str) -> bool:
    return unicodedata.category(char) in _ESCAPED


def _escaped(char: str) -> str:
    number = ord(char)
    if char in _NAMES:
        return _NAMES[char]
    if _RAW_FIRST <= number <= _RAW_LAST:
        return f"\\x{number & 0xFF:02x}"
    if number <= 0xFF:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
