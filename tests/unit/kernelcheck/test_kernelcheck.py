"""What `make kernel-check` counts, reads and compares."""

import re

import pytest
from kernelcheck import exclusions, identity, revisions, style

from ukcc.errors import UkccError
from ukcc.sysroot import inputs, kernels
from ukcc.sysroot.kernels import KernelRelease
from ukcc.sysroot.sources import SourcePackage

EACH_KERNEL = pytest.mark.parametrize("kernel", kernels.KERNELS, ids=kernels.NAMES)

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


@EACH_KERNEL
def test_the_series_is_as_small_as_it_should_be(kernel: KernelRelease) -> None:
    patches = inputs.series(kernels.ONE_RING, kernel)
    assert 0 < sum(style.added_lines(patch.read_text()) for patch in patches) < style.MOST_ADDED


@EACH_KERNEL
def test_every_series_is_applied_and_its_files_have_names_of_their_own(
    kernel: KernelRelease,
) -> None:
    """What goes into a digest is a file's name and contents."""
    patches = kernel.directory(kernels.ONE_RING).parent
    assert {path.name for path in patches.iterdir()} == set(kernel.series)
    names = [patch.name for patch in patches.rglob("*.patch")]
    assert len(names) == len(set(names))
    fragments = [path.name for path in kernel.fragments()]
    assert len(fragments) == len(set(fragments))


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
        revisions.available(SourcePackage("linux-source-9.9", ""))


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


@EACH_KERNEL
def test_every_exclusion_of_the_series_is_checked(kernel: KernelRelease) -> None:
    """What Kconfig excludes is what the check asks for, neither more nor less."""
    text = "".join(patch.read_text() for patch in inputs.series(kernels.ONE_RING, kernel))
    dependencies = re.findall(r"^\+\tdepends on (.*)", text, re.MULTILINE)
    excluded = re.findall(r"!(\w+)|(\w+)=n", "\n".join(dependencies))
    assert {one or other for one, other in excluded} == set(exclusions.excluded(kernel.name))
    assert set(exclusions.MODULAR[kernel.name]) <= {other for _, other in excluded}


def test_a_fragment_that_asks_for_what_is_excluded() -> None:
    assert exclusions.wanted("KVM", "m", ["VIRTUALIZATION"]) == (
        "CONFIG_VIRTUALIZATION=y\nCONFIG_MODULES=y\nCONFIG_KVM=m\n"
    )
    assert exclusions.wanted("CFI", "y", ["-LTO"]) == "# CONFIG_LTO is not set\nCONFIG_CFI=y\n"


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
