"""Lines of prose in docs/ have at most 100 columns.

Not tables and blocks of code, nor what a command prints for the page.
"""

import re
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"
COLUMNS = 100

# Pages that a command writes.
_WRITTEN = {"commands.md", "ports.md"}
# Where the part begins that a command prints for a page; it reaches to the page's end.
_PRINTED_FROM = {"compatibility.md": re.compile(r"\*\*.+\.\*\*$")}
# Lines that a command prints for a page.
_PRINTED_LINES = {"performance.md": re.compile(r"- \w+, (size|speed): ")}

PAGES = [page for page in sorted(DOCS.rglob("*.md")) if page.name not in _WRITTEN]


def prose(text: str, name: str = "") -> list[str]:
    """The lines of a page that people wrap."""
    found, fence, item = [], "", False
    for line in text.splitlines():
        start = line.strip()
        if name in _PRINTED_FROM and _PRINTED_FROM[name].match(line):
            break
        if fence:
            fence = "" if start.startswith(fence) else fence
            continue
        if opened := re.match(r"(`{3,}|~{3,})", start):
            fence = opened[1]
            continue
        # an indented line is code, but in an item of a list
        item = bool(re.match(r"\s*([-*+]|\d+[.)]) ", line)) or (item and line[:1] in ("", " "))
        code = line.startswith("    ") and not item
        other = start.startswith(("|", "#", "<")) or bool(re.match(r"\[[^]]+\]: ", start))
        printed = name in _PRINTED_LINES and bool(_PRINTED_LINES[name].match(line))
        if not (code or other or printed):
            found.append(line)
    return found


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(DOCS)))
def test_columns(page: Path) -> None:
    long = [line for line in prose(page.read_text(), page.name) if len(line) > COLUMNS]
    assert not long


def test_what_is_prose() -> None:
    text = "a\n```\nb\n```\n| c |\n\n    d\n\n- e\n    f\n\n    g\n\nh\n    i\n[j]: k\n"
    assert [line.strip() for line in prose(text) if line.strip()] == ["a", "- e", "f", "g", "h"]
