"""What `make kernel-check` counts, reads and compares."""

from pathlib import Path

import pytest

from ukcc.errors import UkccError
from ukcc.kernelcheck import identity, revisions, style

SERIES = sorted(Path("sysroot/linux/patches").glob("*.patch"))

PATCH = """\
--- a/kernel/fork.c
+++ b/kernel/fork.c
@@ -1 +1,3 @@
 a
+b
+
++c
--- /dev/null
+++ b/init/new.c
@@ -0,0 +1 @@
+d
"""


def test_added_lines_are_counted_as_grep_does() -> None:
    assert style.added_lines(PATCH) == 2


def test_the_series_is_as_small_as_it_should_be() -> None:
    assert 0 < sum(style.added_lines(patch.read_text()) for patch in SERIES) < style.MOST_ADDED


def test_files_that_a_patch_touches() -> None:
    assert revisions.touched_files([PATCH]) == ("init/new.c", "kernel/fork.c")


@pytest.mark.parametrize(
    ("text", "versions"),
    [
        ("", ()),
        (
            " linux | 6.12.2-1 | http://m security/main amd64 Packages\n"
            " linux | 6.12.1-1~x | http://m bookworm/main amd64 Packages\n"
            " linux | 6.12.2-1 | http://m bookworm/main Sources\n",
            ("6.12.2-1", "6.12.1-1~x"),
        ),
    ],
)
def test_madison(text: str, versions: "tuple[str, ...]") -> None:
    assert revisions.parse_madison(text) == versions


def test_no_version_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(revisions.proc, "output", lambda argv: "")
    with pytest.raises(UkccError, match="apt knows no version"):
        revisions.available("linux-source-9.9")


def test_the_unpatched_tree_is_not_asked_for_our_options() -> None:
    text = "CONFIG_UK=y\nCONFIG_UK_ARCHIVE=y\nCONFIG_UKULELE=y\n# CONFIG_VT is not set\n"
    assert identity.without_ours(text) == "CONFIG_UKULELE=y\n# CONFIG_VT is not set\n"


def test_objects_that_differ() -> None:
    before = {"a.o": "1", "b.o": "2", "gone.o": "3"}
    after = {"a.o": "1", "b.o": "4", "new.o": "5"}
    assert identity.differing(before, after) == ["b.o", "gone.o", "new.o"]
