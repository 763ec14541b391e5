"""docs/index.md and the pages: none is missing there, none is listed twice."""

import re
from pathlib import Path

DOCS = Path(__file__).parents[3] / "docs"


def test_every_page_is_listed_once() -> None:
    listed = re.findall(r"^\| \[[^]]*\]\(([^)]+)\) \|", (DOCS / "index.md").read_text(), re.M)
    pages = {str(page.relative_to(DOCS)) for page in DOCS.rglob("*.md")} - {"index.md"}
    assert sorted(listed) == sorted(pages)
