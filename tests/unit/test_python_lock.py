"""The lock of the Python packages holds all that is needed, in versions that fit the ranges."""

import sys
from importlib import metadata
from pathlib import Path

import pytest
import python_lock
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from python_lock import LOCKS, Lock, Pin

from ukcc.errors import UkccError

PINS = {name: pin for lock in LOCKS for name, pin in python_lock.read(lock.file).items()}
INSTALLED = {
    canonicalize_name(found.name): found for found in metadata.distributions() if found.name
}
as_locked = pytest.mark.skipif(
    Path(sys.prefix).name == "lowest", reason="`make test-lowest` has other versions on purpose"
)


def needs() -> dict[str, list[Requirement]]:
    """What each installed package asks for."""
    return {
        name: [Requirement(word) for word in found.requires or ()]
        for name, found in INSTALLED.items()
    }


def unmet(requirements: "list[Requirement]", pins: "dict[str, Pin]") -> list[str]:
    """Those that no pin, or a pin of another version, stands for."""
    return [
        str(requirement)
        for requirement in requirements
        if (pin := pins.get(canonicalize_name(requirement.name))) is None
        or not requirement.specifier.contains(pin.version, prereleases=True)
    ]


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_the_lock_fits_the_ranges(lock: Lock) -> None:
    assert unmet(python_lock.wanted(lock), PINS) == []


@as_locked
@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.name)
def test_the_lock_holds_what_is_needed_in_turn(lock: Lock) -> None:
    for python in lock.pythons:
        found = list(python_lock.closure(python_lock.wanted(lock), needs(), python))
        assert unmet(found, PINS) == [], python


@as_locked
def test_the_lock_of_running_needs_no_other() -> None:
    """The Debian package has it alone."""
    pins = python_lock.read(python_lock.RUN.file)
    for python in python_lock.PYTHONS:
        assert (
            unmet(
                list(python_lock.closure(python_lock.wanted(python_lock.RUN), needs(), python)),
                pins,
            )
            == []
        )


@as_locked
def test_nothing_else_is_in_it() -> None:
    wanted = [r for lock in LOCKS for r in python_lock.wanted(lock)]
    found = {
        canonicalize_name(requirement.name)
        for python in python_lock.PYTHONS
        for requirement in python_lock.closure(wanted, needs(), python)
    }
    assert set(PINS) - found == set()
    assert sum(len(python_lock.read(lock.file)) for lock in LOCKS) == len(PINS)


@as_locked
def test_what_is_installed_is_what_is_locked() -> None:
    here = {name: found.version for name, found in INSTALLED.items() if name in PINS}
    assert here == {name: PINS[name].version for name in here}
    assert set(PINS) - set(here) <= set(python_lock.read(python_lock.FUZZ.file))


def test_a_package_that_is_missing_or_does_not_fit_is_found_out() -> None:
    asked = [Requirement("one>=2,<3"), Requirement("two"), Requirement("one[more]>=1")]
    assert unmet(asked, {"one": Pin("1.9", frozenset())}) == ["one<3,>=2", "two"]


def test_closure_follows_extras_and_markers() -> None:
    inner = {
        "one": [
            Requirement("always"),
            Requirement("wordy; extra == 'more'"),
            Requirement("old; python_version < '3.12'"),
        ],
        "wordy": [Requirement("deep==1")],
    }

    def names(word: str, python: str) -> list[str]:
        return sorted({r.name for r in python_lock.closure([Requirement(word)], inner, python)})

    assert names("one", "3.11") == ["always", "old", "one"]
    assert names("one", "3.12") == ["always", "one"]
    assert names("one[more]", "3.12") == ["always", "deep", "one", "wordy"]


def test_a_file_is_read_as_it_was_written(tmp_path: Path) -> None:
    pins = {
        "b": Pin("1", frozenset({"0" * 64, "f" * 64})),
        "a.c": Pin("2.0", frozenset({"1" * 64})),
    }
    file = tmp_path / "x.lock"
    file.write_text(python_lock.text(python_lock.RUN, pins))
    assert python_lock.read(file) == {"b": pins["b"], "a-c": pins["a.c"]}


@pytest.mark.parametrize("line", ["click", "click>=8", "click==8.5.1", "click==8 --hash=md5:00"])
def test_a_line_without_a_hash_is_refused(tmp_path: Path, line: str) -> None:
    file = tmp_path / "x.lock"
    file.write_text(f"{line}\n")
    with pytest.raises(UkccError, match="not a version with hashes"):
        python_lock.read(file)


def test_lowest() -> None:
    asked = [Requirement("one>=1.2,<2"), Requirement("two==3")]
    assert python_lock.lowest(asked) == ["one==1.2", "two==3"]
    with pytest.raises(UkccError, match="no lowest version"):
        python_lock.lowest([Requirement("three<4")])
