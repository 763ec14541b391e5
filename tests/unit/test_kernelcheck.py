"""What `make kernel-check` counts, reads and compares."""

import re
from pathlib import Path

import pytest

from ukcc.errors import UkccError
from ukcc.kernelcheck import exclusions, identity, revisions, style
from ukcc.sysroot import inputs

PATCHES = Path("sysroot/linux/patches")
SERIES = sorted((PATCHES / inputs.ONE_RING).glob("*.patch"))

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


def test_every_series_is_applied_and_its_files_have_names_of_their_own() -> None:
    """What goes into a digest is a file's name and contents."""
    assert {path.name for path in PATCHES.iterdir()} == set(inputs.SERIES)
    names = [patch.name for patch in PATCHES.rglob("*.patch")]
    assert len(names) == len(set(names))


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
    ours = "CONFIG_UK=y\nCONFIG_UK_ONE_COPY=y\nCONFIG_CRC32_PCLMUL=y\n"
    text = f"{ours}CONFIG_UKULELE=y\n# CONFIG_VT is not set\n"
    assert identity.without_ours(text) == "CONFIG_UKULELE=y\n# CONFIG_VT is not set\n"


def test_objects_that_differ() -> None:
    before = {"a.o": "1", "b.o": "2", "gone.o": "3"}
    after = {"a.o": "1", "b.o": "4", "new.o": "5"}
    assert identity.differing(before, after) == ["b.o", "gone.o", "new.o"]


def test_checkpatch_does_not_judge_assembly_as_c() -> None:
    header = "arch/x86/entry/uk-macros.h:40: ERROR:SPACING: need consistent spacing around '%'"
    report = [
        header,
        header.replace(".h", ".c"),
        header.replace("SPACING", "SPDX_LICENSE_TAG"),
        "total: 3 errors, 0 warnings, 182 lines checked",
    ]
    assert style.complaints(report) == report[1:3]


def series_text() -> str:
    return "".join(patch.read_text() for patch in SERIES)


def test_every_exclusion_of_the_series_is_checked() -> None:
    """What Kconfig excludes is what the check asks for, neither more nor less."""
    dependencies = re.findall(r"^\+\tdepends on (.*)", series_text(), re.MULTILINE)
    excluded = re.findall(r"!(\w+)|(\w+)=n", "\n".join(dependencies))
    assert {one or other for one, other in excluded} == set(exclusions.EXCLUDED)


def test_a_fragment_that_asks_for_what_is_excluded() -> None:
    assert exclusions.wanted("KVM", "m") == (
        "CONFIG_VIRTUALIZATION=y\nCONFIG_MODULES=y\nCONFIG_KVM=m\n"
    )
    assert "# CONFIG_TRIM_UNUSED_KSYMS is not set\n" in exclusions.wanted("LIVEPATCH", "y")


@pytest.mark.parametrize(
    ("option", "config", "complaint"),
    [
        ("KVM", {"CONFIG_UK": "y", "CONFIG_KVM": "y"}, "CONFIG_UK with CONFIG_KVM=y"),
        ("KVM", {"CONFIG_UK": "y", "CONFIG_KVM": "m"}, "CONFIG_UK with CONFIG_KVM=y"),
        ("KVM", {"CONFIG_UK": "n", "CONFIG_KVM": "y"}, ""),
        ("KVM", {"CONFIG_UK": "y"}, "CONFIG_KVM=y does not come out"),
        ("CFI_CLANG", {"CONFIG_UK": "y"}, ""),
    ],
)
def test_a_judgement(option: str, config: "dict[str, str]", complaint: str) -> None:
    found = exclusions.judge(option, "y", config)
    assert found.startswith(complaint) and bool(found) == bool(complaint)
