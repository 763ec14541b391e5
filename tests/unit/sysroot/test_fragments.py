"""A configuration option that was asked for and did not come out is an error that names it."""

from pathlib import Path

import pytest

from ukcc.errors import UkccError
from ukcc.sysroot import fragments, kernels

ROOT = Path(__file__).resolve().parents[3]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_reads_all_forms() -> None:
    text = """
# a comment
CONFIG_A=y
CONFIG_B="some words"
CONFIG_C=0x200000
# CONFIG_D is not set
CONFIG_E=n
"""
    assert fragments.parse(text) == {
        "CONFIG_A": "y",
        "CONFIG_B": '"some words"',
        "CONFIG_C": "0x200000",
        "CONFIG_D": "n",
        "CONFIG_E": "n",
    }


def test_the_later_fragment_counts(tmp_path: Path) -> None:
    base = write(tmp_path / "base.config", "CONFIG_A=y\nCONFIG_N=1\n")
    more = write(tmp_path / "more.config", "# CONFIG_A is not set\n")
    final = write(tmp_path / ".config", "CONFIG_N=1\n")
    fragments.check([base, more], final)


def test_what_vanished_is_named_with_who_asked(tmp_path: Path) -> None:
    base = write(tmp_path / "base.config", "CONFIG_A=y\nCONFIG_GONE=y\nCONFIG_N=64\n")
    final = write(tmp_path / ".config", "CONFIG_A=y\n# CONFIG_GONE is not set\nCONFIG_N=8\n")
    with pytest.raises(UkccError) as caught:
        fragments.check([base], final)
    assert "CONFIG_GONE=y (base.config; it is n)" in caught.value.message
    assert "CONFIG_N=64 (base.config; it is 8)" in caught.value.message
    assert "CONFIG_A" not in caught.value.message
    assert str(final) in caught.value.hint


def test_an_unwanted_option_that_is_on_is_named(tmp_path: Path) -> None:
    base = write(tmp_path / "base.config", "# CONFIG_MITIGATIONS is not set\n")
    final = write(tmp_path / ".config", "CONFIG_MITIGATIONS=y\n")
    with pytest.raises(UkccError, match=r"CONFIG_MITIGATIONS=n \(base.config; it is y\)"):
        fragments.check([base], final)


def test_a_name_that_is_part_of_another_is_not_confused(tmp_path: Path) -> None:
    base = write(tmp_path / "base.config", "CONFIG_NET=y\n")
    final = write(tmp_path / ".config", "CONFIG_NET_9P=y\n")
    with pytest.raises(UkccError, match="CONFIG_NET=y"):
        fragments.check([base], final)


def test_every_fragment_of_the_project_is_used() -> None:
    """A file that nobody names configures nothing; virtiofs.config was one."""
    linux = ROOT / "sysroot" / "linux"
    there = {*linux.glob("config/*.config"), *linux.glob("[0-9]*/config/*.config")}
    assert there == {path.resolve() for k in kernels.KERNELS for path in k.fragments()}


def test_a_newer_kernels_fragment_only_says_what_differs() -> None:
    """A line that the shared fragments have already would hide a change of theirs."""
    for kernel in kernels.KERNELS:
        shared = {w.option: w.value for w in fragments.wishes(kernels.LONG_TERM.fragments())}
        for path in kernel.fragments()[len(kernels.FRAGMENTS) :]:
            own = fragments.parse(path.read_text())
            assert own
            assert not [option for option, value in own.items() if shared.get(option) == value]
