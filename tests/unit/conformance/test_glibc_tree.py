"""The tree of glibc's own tests: what its libraries were made of."""

from pathlib import Path

import pytest
from conformance.glibc_tree import Tree

from ukcc.errors import UkccError


def tree(root: Path, list_of_parts: str) -> Tree:
    (root / "build").mkdir()
    (root / "build" / "sysd-sorted").write_text(list_of_parts)
    return Tree(root, "2.36")


def test_tests_are_made_with_the_parts_of_the_build(tmp_path: Path) -> None:
    """With all directories as parts, make finds libc out of date, and links no test."""
    built = tree(tmp_path, "a: b\nsorted-subdirs := csu nscd signal support po nptl\n")
    assert built.parts() == ["csu", "signal", "nptl"]
    assert "subdirs=csu signal nptl" in built.make("setjmp", 1, "xtests")


def test_a_tree_without_the_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(UkccError, match="sysd-sorted has no list"):
        tree(tmp_path, "").parts()
