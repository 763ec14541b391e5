"""The table of docs/files.md is what tests/boot/test_file_operations.py holds machines to."""

import re
from pathlib import Path

from support import file_differences

ROOT = Path(__file__).parents[3]


def test_the_table() -> None:
    text = (ROOT / "docs" / "files.md").read_text()
    assert "\n".join(["", *file_differences.table(), ""]) in text


def test_the_operations_are_in_the_program() -> None:
    source = (ROOT / "tests" / "boot" / "programs" / "file_operations.c").read_text()
    operations = re.findall(r"OPERATION\((\w+)\)", source)[1:]  # the first defines it
    assert len(operations) == len(set(operations)) >= 60
    assert {one.operation for one in file_differences.DIFFERENCES} <= set(operations)
