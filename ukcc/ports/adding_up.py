"""Reads numbers out of what a test suite wrote."""

import re


def add_up(pattern: str, text: str) -> int:
    """What the group captures, added up; without a group, how many matches there are."""
    expression = re.compile(pattern, re.MULTILINE)
    matches = expression.finditer(text)
    if expression.groups:
        return sum(int(match[1]) for match in matches if match[1])
    return sum(1 for _ in matches)
