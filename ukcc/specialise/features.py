"""From what a program needs to the features of its kernel, by the table features.toml.

A pure function of the needs, of what a run was announced to need, and of the user's own words.
"""

import difflib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import tomli

from ukcc import tables
from ukcc.errors import UkccError
from ukcc.needs import CodePlace, Needs, Values
from ukcc.needs.arguments import GROUPS
from ukcc.needs.find import INIT
from ukcc.specialise.told import WORDS
from ukcc.sysroot import fragments

_TABLE = Path(__file__).with_name("features.toml")

# What kernels are made for: few bytes, or few instructions for each call.
SIZE, SPEED = "size", "speed"
GOALS = (SIZE, SPEED)

# A kernel that has every call can be traced: strace makes many.
TRACE = "trace"

NETWORK = "net"


@dataclass(frozen=True)
class Feature:
    """A row of features.toml, whose head says what the keys mean."""

    name: str
    what: str
    why: str
    calls: tuple[str, ...] = ()
    arguments: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    any: tuple[str, ...] = ()
    asked: tuple[str, ...] = ()
    imports: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()
    told: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()
    brings: tuple[str, ...] = ()


@dataclass(frozen=True)
class GlibcPath:
    """Paths that glibc itself opens, and does without. shared: only texts of libc.so.6 that begin
    so; it has them whether a program uses them or not."""

    paths: tuple[str, ...]
    why: str
    shared: bool = False


@dataclass(frozen=True)
class Table:
    """features.toml."""

    feature: tuple[Feature, ...]
    glibc: tuple[GlibcPath, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(row.name for row in self.feature)


@dataclass(frozen=True)
class FeatureWish:
    """What the user says: features to have and not to have, lines of a .config, and the goal (""
    for the usual one)."""

    require: tuple[str, ...] = ()
    forbid: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    goal: str = ""


@dataclass(frozen=True)
class Choice:
    """What a kernel is to have. reasons: of each feature, in the order of the table; forbidden:
    features that the program asks for and the user does not want, with the reason for them;
    options: the user's own lines of the configuration, which count last.
    """

    goal: str
    reasons: Mapping[str, str]
    forbidden: Mapping[str, str]
    options: tuple[str, ...] = ()

    @property
    def features(self) -> tuple[str, ...]:
        return tuple(self.reasons)


@cache
def table() -> Table:
    """The table of this ukcc."""
    return parse(_TABLE.read_text())


def parse(text: str) -> Table:
    """A table, checked. Raises UkccError."""
    try:
        found = tables.record(Table, tomli.loads(text))
    except tomli.TOMLDecodeError as error:
        raise UkccError(f"features.toml: {error}") from None
    names = found.names
    for row in found.feature:
        where = f"features.toml: {row.name}"
        if names.count(row.name) > 1:
            raise UkccError(f"{where}: is there twice")
        _check(row.brings, names, f"{where}: brings")
        _check([*row.arguments, *row.any], GROUPS, f"{where}: arguments")
        _check(row.told, WORDS, f"{where}: told")
        _check(row.goals, GOALS, f"{where}: goals")
    return found


def choose(
    needs: Needs, told: Mapping[str, str], wish: FeatureWish, rows: "Table | None" = None
) -> Choice:
    """The features for a program. told: words of `told.WORDS`, each with who said it.

    Raises UkccError for a feature that is not known, or is both wanted and not.
    """
    rows = rows or table()
    found = {}
    for row in rows.feature:
        why = _reason(row, needs, told, rows.glibc)
        if why:
            found[row.name] = why
    return _with_words(found, wish, rows)


def of_words(wish: FeatureWish) -> Choice:
    """The features that a user names, without a program. Raises UkccError."""
    return _with_words({}, wish, table())


def _with_words(needed: Mapping[str, str], wish: FeatureWish, rows: Table) -> Choice:
    """The needed features and those that the user requires, with what they and the goal bring."""
    _check_wish(wish, rows)
    blocked = {n for n in rows.names if not set(wish.forbid).isdisjoint(_brought(rows, {n: ""}))}
    wanted = {**needed, **dict.fromkeys(wish.require, "required by the user")}
    forbidden = {name: why for name, why in wanted.items() if name in blocked}
    found = _brought(rows, {n: why for n, why in wanted.items() if n not in blocked})
    goal = wish.goal or (SPEED if NETWORK in found else SIZE)
    for row in rows.feature:
        if goal in row.goals and row.name not in blocked:
            found.setdefault(row.name, f"every kernel for {goal} has it")
    found = _brought(rows, found)
    reasons = {name: found[name] for name in rows.names if name in found}
    return Choice(goal, reasons, forbidden, wish.options)


def _check_wish(wish: FeatureWish, rows: Table) -> None:
    """Raises UkccError for what is not known, and for what contradicts itself."""
    _check(wish.require, rows.names, "required features")
    _check(wish.forbid, rows.names, "forbidden features")
    for line in wish.options:
        if "\n" in line or len(fragments.parse(line)) != 1:
            raise UkccError(
                f"kernel.options: '{line}' is not a kernel option",
                "write CONFIG_NAME=value, or '# CONFIG_NAME is not set'",
            )
    for name in wish.require:
        missing = sorted(set(_brought(rows, {name: ""})) & set(wish.forbid))
        if missing == [name]:
            raise UkccError(f"the feature {name} is both required and forbidden")
        if missing:
            raise UkccError(f"the feature {name} needs {missing[0]}, which is forbidden")


def _check(words: Iterable[str], known: Collection[str], where: str) -> None:
    for word in words:
        if word not in known:
            near = difflib.get_close_matches(word, known, 1, 0.5)
            mend = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise UkccError(f"{where}: unknown name '{word}'", mend)


def _brought(rows: Table, found: Mapping[str, str]) -> dict[str, str]:
    """With what the features bring along, and that in turn."""
    whole = dict(found)
    by_name = {row.name: row for row in rows.feature}
    queue = list(whole)
    while queue:
        name = queue.pop()
        for other in by_name[name].brings:
            if other in by_name and other not in whole:
                whole[other] = f"needed by {name}"
                queue.append(other)
    return whole


def _reason(row: Feature, needs: Needs, told: Mapping[str, str], glibc: Sequence[GlibcPath]) -> str:
    """Why the program has the feature; empty if it does not need it."""
    return next(
        (
            why
            for why in (
                *_by_told(row, told),
                *_by_calls(row, needs),
                *_by_arguments(row, needs),
                *_by_imports(row, needs),
                *_by_paths(row, needs, glibc),
                *_by_doubt(row, needs),
            )
        ),
        "",
    )


def _by_told(row: Feature, told: Mapping[str, str]) -> Iterator[str]:
    return (told[word] for word in row.told if word in told)


def _by_calls(row: Feature, needs: Needs) -> Iterator[str]:
    for call in row.calls:
        for place in own_places(needs, call):
            if not _is_libc(place.object) or _counts_libc(row, needs):
                yield f"{call} in {_where(place)}"
    yield from (f"{call}, as a run showed" for call in row.calls if call in needs.learned.calls)


def own_places(needs: Needs, call: str) -> Iterator[CodePlace]:
    """Where the image makes a call, init left aside."""
    return (place for place in needs.by.get(call, ()) if place.object not in ("", INIT))


def own_calls(needs: Needs, rows: "Table | None" = None) -> tuple[str, ...]:
    """The calls that something else than init makes, as the table sees it: without those that are
    only in libc.so.6, in functions that a row says nothing asks for."""
    unasked = {
        call
        for row in (rows or table()).feature
        if not _counts_libc(row, needs)
        for call in row.calls
    }
    proved = (
        call
        for call in needs.by
        if any(not (call in unasked and _is_libc(p.object)) for p in own_places(needs, call))
    )
    return tuple(dict.fromkeys((*proved, *needs.learned.calls)))


def calls_of(names: Collection[str]) -> frozenset[str]:
    """The calls that these features have."""
    return frozenset(call for row in table().feature if row.name in names for call in row.calls)


def _counts_libc(row: Feature, needs: Needs) -> bool:
    """Whether what is in libc.so.6 counts for a row, as some of it only serves who asks for it."""
    return not row.asked or not set(row.asked).isdisjoint(needs.asked)


def _is_libc(file: str) -> bool:
    """Whether a file is the sysroot's C library or loader, by its path in the image."""
    return file.rpartition("/")[2] in ("libc.so.6", "ld-linux-x86-64.so.2")


def _where(place: CodePlace) -> str:
    return f"{place.object} {place.function}".strip()


def _by_arguments(row: Feature, needs: Needs) -> Iterator[str]:
    for group, words in row.arguments.items():
        all_files = _counts_libc(row, needs)
        groups = needs.own_arguments if all_files else needs.program_arguments
        values = groups.get(group, Values())
        yield from (word for word in words if word in values.names)
        if group in row.any and values.any and values.unknown:
            first = values.unknown[0]
            place = f"{first.object} {first.function}".strip()
            yield f"one of the {group.replace('_', ' ')} cannot be told ({place})"


def _by_imports(row: Feature, needs: Needs) -> Iterator[str]:
    return (f"{name} of libc" for name in row.imports if name in needs.asked)


def _by_paths(row: Feature, needs: Needs, glibc: Sequence[GlibcPath]) -> Iterator[str]:
    for path, objects in needs.paths.items():
        if not _begins(path, row.paths):
            continue
        for name in objects:
            harmless = any(_is_glibcs(path, name, own) for own in glibc)
            if name != INIT and not harmless:
                yield f"{path} in {name}"
    for path in needs.learned.paths:
        if _begins(path, row.paths):
            yield f"{path}, as a run showed"


def _is_glibcs(path: str, name: str, row: GlibcPath) -> bool:
    """Whether a path in a file is there for glibc's own sake."""
    return path.startswith(row.paths) and _is_libc(name) if row.shared else path in row.paths


def _begins(path: str, forms: Iterable[str]) -> bool:
    """Whether a path begins like one of these, in which * is any one name."""
    patterns = (re.escape(form).replace(r"\*", "[^/]+") for form in forms)
    return any(re.match(pattern, path) for pattern in patterns)


def _by_doubt(row: Feature, needs: Needs) -> Iterator[str]:
    if needs.keeps_everything and (row.calls or row.arguments or row.paths or row.imports):
        first = needs.unknown[0]
        yield f"a call cannot be told ({first.object} {first.function} {first.addr:#x})"
