"""docs/troubleshooting.md has each error line of the code that says how to fix it, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from ukcc import errors

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "troubleshooting.md"

# It puts the disk before a message, so the words are those of its callers.
_MAKES_DISK_ERRORS = ("storage", "_refused")


def modules() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in sorted((ROOT / "ukcc").rglob("*.py"))}


def error_classes(trees: dict[Path, ast.Module]) -> set[str]:
    """UkccError and what is derived from it, by name."""
    found: set[str] = set()
    more = {"UkccError"}
    while more - found:
        found |= more
        for tree in trees.values():
            for node in ast.walk(tree):
                if isinstance(node, ast.ClassDef) and found & {last_name(b) for b in node.bases}:
                    more.add(node.name)
    return found


def last_name(node: ast.expr) -> str:
    """`Name` of `Name` and of `module.Name`."""
    return ast.unparse(node).rpartition(".")[2]


def hint_of(call: ast.Call) -> ast.expr | None:
    """The second argument, by place or by name."""
    by_name = next((word.value for word in call.keywords if word.arg == "hint"), None)
    return by_name or (call.args[1] if len(call.args) > 1 else None)


def form(message: ast.expr) -> str:
    """The message as a regular expression: its fixed words, and anything for what varies."""
    if isinstance(message, ast.Constant):
        return re.escape(str(message.value))
    if isinstance(message, ast.JoinedStr):
        return "".join(form(part) for part in message.values)
    if isinstance(message, ast.BinOp) and isinstance(message.op, ast.Add):
        return form(message.left) + form(message.right)
    return ".*"


def hands_on(message: ast.expr, hint: ast.expr) -> bool:
    """Both are another error's, which has its own site."""
    source = ast.unparse(message)
    return ast.unparse(hint).split(" or ")[0].endswith(".hint") and bool(
        re.search(r"\.(message|problem)\b|\bmessage\b", source)
    )


def own_words(call: ast.Call, classes: set[str], room: str) -> str:
    """The form of the message of an error that has a hint; empty for any other call."""
    name = last_name(call.func)
    if (room, name) == _MAKES_DISK_ERRORS:
        return rf"\-\-disk\ .*:\ {form(call.args[-2])}"
    if name not in classes or not call.args:
        return ""
    hint, message = hint_of(call), call.args[0]
    return "" if hint is None or hands_on(message, hint) else form(message)


def sites() -> Iterator[tuple[str, str]]:
    """`path:line` of each error with a hint, and the form of its message.

    Not those without a word of their own, such as `{path}: {error.strerror}`.
    """
    trees = modules()
    classes = error_classes(trees)
    for path, tree in trees.items():
        for node in ast.walk(tree):
            is_call = isinstance(node, ast.Call)
            wanted = own_words(node, classes, path.parent.name) if is_call else ""
            if re.search(r"[a-z]{2}", wanted):
                wanted = re.sub(r"(\.\*)+", ".*", wanted)
                yield f"{path.relative_to(ROOT)}:{node.lineno}", wanted
    yield "ukcc/errors.py", re.escape(errors.SysrootMissing().message)


def messages() -> list[str]:
    """The first cells of the page's tables, without their backticks."""
    rows = re.findall(r"^\| (`+) ?(.+?) ?\1 \| .+ \| .+ \|$", PAGE.read_text(), re.M)
    return [message for _, message in rows]


def without_row(forms: list[str], shown: list[str]) -> list[str]:
    """The forms for which no row is left when each has one of its own (a bipartite matching)."""
    holder: dict[str, str] = {}

    def place(wanted: str, tried: set[str]) -> bool:
        for message in shown:
            if message not in tried and re.fullmatch(wanted, message):
                tried.add(message)
                if message not in holder or place(holder[message], tried):
                    holder[message] = wanted
                    return True
        return False

    return [wanted for wanted in forms if not place(wanted, set())]


def test_each_error_with_a_hint_has_a_row() -> None:
    places = {wanted: place for place, wanted in sites()}
    assert not [f"{places[wanted]}: {wanted}" for wanted in without_row([*places], messages())]


def test_each_row_is_an_error_of_the_code() -> None:
    forms = {wanted for _, wanted in sites()}
    assert len(forms) > 200
    stale = [m for m in messages() if not any(re.fullmatch(wanted, m) for wanted in forms)]
    assert not stale


def test_no_message_is_there_twice() -> None:
    assert len(messages()) == len(set(messages()))


def test_a_form_without_a_row_is_found() -> None:
    assert without_row(["a\\ .*", ".*\\ b"], ["a b"]) != []
    assert without_row(["a\\ .*", ".*\\ b"], ["a b", "a c"]) == []
