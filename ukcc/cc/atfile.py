"""Response files: `@file` stands for the words in it, nested, quoted as libiberty reads them."""

import os

_SPACE = " \t\n\r\f\v"
_NESTED_LIMIT = 2000  # libiberty's own limit against a file that names itself


def split(text: str) -> "list[str]":
    """The words of a response file: white space separates, ' and \" quote, \\ escapes anywhere."""
    words: list[str] = []
    word: list[str] = []
    inside = False
    quote = ""
    characters = iter(text)
    for character in characters:
        if character == "\\":
            word.append(next(characters, ""))
            inside = True
        elif quote:
            if character == quote:
                quote = ""
            else:
                word.append(character)
        elif character in "'\"":
            quote = character
            inside = True
        elif character in _SPACE:
            if inside:
                words.append("".join(word))
            word.clear()
            inside = False
        else:
            word.append(character)
            inside = True
    if inside:
        words.append("".join(word))
    return words


def expand(argv: "list[str]") -> "list[tuple[str, str]]":
    """Every word with the top-level `@file` it came from ("" when it stood on the command line).

    What cannot be read stays a word, as in GCC.
    """
    result: list[tuple[str, str]] = []
    pending = [(word, "") for word in reversed(argv)]
    budget = _NESTED_LIMIT
    while pending:
        word, origin = pending.pop()
        content = _read(word) if word.startswith("@") and budget else None
        if content is None:
            result.append((word, origin))
        else:
            budget -= 1
            pending.extend((inner, origin or word) for inner in reversed(split(content)))
    return result


def _read(word: str) -> "str | None":
    # Not blocking, and only what libiberty can seek in: a pipe stays a word, unread.
    try:
        file = os.open(word[1:], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except (OSError, ValueError):
        return None
    try:
        content = os.pread(file, os.fstat(file).st_size, 0)
    except OSError:
        return None
    finally:
        os.close(file)
    return os.fsdecode(content.partition(b"\0")[0])  # as C reads it
