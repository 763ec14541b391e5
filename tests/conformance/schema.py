"""The suites and what is known of their tests: data in tests/conformance/*.toml."""

import fnmatch
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli

from conformance.results import VERDICTS, Row
from ukcc.errors import UkccError

DATA = Path(__file__).parent


@dataclass(frozen=True)
class SuiteData:
    """One entry of suites.toml: its name, the module that runs it, and directories (groups)."""

    name: str
    kind: str
    directories: tuple[str, ...]


@dataclass(frozen=True)
class Excluded:
    """Tests that are not run. tests: patterns of GROUP/NAME as a shell has them; why: one line."""

    tests: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Explained:
    """Why tests end so in a unikernel, and otherwise as a process."""

    tests: tuple[str, ...]
    unikernel: str
    why: str


@dataclass(frozen=True)
class Notes:
    """What is known of a suite's tests: notes/<suite>.toml."""

    excluded: tuple[Excluded, ...] = ()
    explained: tuple[Explained, ...] = field(default=())

    def exclusion(self, group: str, name: str) -> str:
        """Why the test is not run, or "" when it is."""
        return next((e.why for e in self.excluded if matches(e.tests, group, name)), "")

    def explanation(self, row: Row) -> str:
        """Why the row's verdicts differ, or ""."""
        found = (
            e.why
            for e in self.explained
            if e.unikernel == row.unikernel and matches(e.tests, row.group, row.name)
        )
        return next(found, "")


def matches(patterns: Iterable[str], group: str, name: str) -> bool:
    """Whether one of the patterns fits GROUP/NAME; `*` does not stop at a `/`."""
    return any(fnmatch.fnmatchcase(f"{group}/{name}", pattern) for pattern in patterns)


def suites(file: Path = DATA / "suites.toml") -> dict[str, SuiteData]:
    """The suites by name. Raises UkccError."""
    table = _load(file)
    return {name: _entry(SuiteData, {"name": name, **entry}, file) for name, entry in table.items()}


def notes(suite: str, directory: Path = DATA / "notes") -> Notes:
    """A suite's notes; none when it has no file. Raises UkccError."""
    file = directory / f"{suite}.toml"
    if not file.exists():
        return Notes()
    table = _load(file)
    for key in table:
        if key not in ("excluded", "explained"):
            raise UkccError(f"{file}: {key}: no such table; there are excluded and explained")
    explained = tuple(_entry(Explained, entry, file) for entry in table.get("explained", ()))
    for entry in explained:
        if entry.unikernel not in VERDICTS:
            raise UkccError(f"{file}: {entry.unikernel!r} is no verdict")
    return Notes(
        tuple(_entry(Excluded, entry, file) for entry in table.get("excluded", ())), explained
    )


def _load(file: Path) -> dict[str, Any]:
    try:
        return tomli.loads(file.read_text())
    except (OSError, tomli.TOMLDecodeError) as error:
        raise UkccError(f"{file}: {error}") from None


def _entry(kind: Any, entry: Mapping[str, Any], file: Path) -> Any:
    """A dataclass from a table of strings and lists of strings, none of them empty."""
    values = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
    types = {key: field.type for key, field in kind.__dataclass_fields__.items()}
    if values.keys() != types.keys():
        wrong = ", ".join(sorted(values.keys() ^ types.keys()))
        raise UkccError(f"{file}: {wrong}: an entry has the keys {', '.join(types)}")
    for key, value in values.items():
        words = (value,) if types[key] is str else value
        good = isinstance(words, tuple) and words and all(isinstance(w, str) and w for w in words)
        if not good:
            raise UkccError(f"{file}: {key}: it takes {'text' if types[key] is str else 'a list'}")
    return kind(**values)
