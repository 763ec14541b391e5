"""The table: for a terminal, as Markdown, as JSON."""

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence

from rich.table import Table

from compat.row import NO, Outcome
from compat.schema import Row
from ukcc.progress import duration

_HEADINGS = ("", "version", "configured", "built", "own tests", "image", "booted", "took")


def line(outcome: Outcome) -> str:
    """One line for a log, when the row is done."""
    _, version, configured, built, suite, image, booted, took = cells(outcome)
    verdict = "" if outcome.passed else f": FAILED: {outcome.error}"
    columns = f"configured {configured}, built {built}, own tests {suite}, {image}, booted {booted}"
    return f"{outcome.name} ({version}): {columns}, {took}{verdict}"


def cells(outcome: Outcome) -> Sequence[str]:
    """The row's cells, in the order of the headings."""
    return (
        outcome.title,
        outcome.version,
        outcome.configured,
        outcome.built,
        outcome.suite,
        outcome.image,
        outcome.booted,
        duration(outcome.seconds),
    )


def table(outcomes: Iterable[Outcome]) -> Table:
    """For a terminal: what failed is red."""
    shown = Table()
    for heading in _HEADINGS:
        shown.add_column(heading, no_wrap=True)
    for outcome in outcomes:
        style = None if outcome.passed else "red"
        shown.add_row(
            *(f"[bold]{cell}[/]" if cell == NO else cell for cell in cells(outcome)), style=style
        )
    return shown


def failure(outcome: Outcome) -> str:
    """What failed, the end of its log, and where all of it is."""
    tail = "".join(f"    {text}\n" for text in outcome.tail.splitlines())
    where = f"    all of it: {outcome.log}\n" if outcome.log else ""
    return f"{outcome.name}: {outcome.error}\n{tail}{where}"


def as_json(outcomes: Iterable[Outcome]) -> str:
    """A list of objects, one a row; `passed` is the verdict."""
    rows = [{**dataclasses.asdict(o), "passed": o.passed} for o in outcomes]
    return json.dumps(rows, indent=2)


def markdown(outcomes: Iterable[Outcome], rows: Mapping[str, Row]) -> str:
    """The table, and below it each row: its commands, what the boots show, what was learned."""
    outcomes = list(outcomes)
    lines = [_cells(_HEADINGS), _cells(["---"] * len(_HEADINGS))]
    lines += [_cells(cells(outcome)) for outcome in outcomes]
    for outcome in outcomes:
        lines += ["", *_about(rows[outcome.name])]
    return "\n".join(lines) + "\n"


def _about(row: Row) -> list[str]:
    """A row's paragraph."""
    commands = [*row.configure, *row.build, *row.check]
    lines = [f"**{row.title}.**", "", "```", *(line for c in commands for line in c.split("\n"))]
    lines += ["```", ""]
    lines += [f"- Boots: {boot.what}." for boot in row.boot]
    if row.suite and row.suite.known:
        lines += [f"- Tests that fail with gcc, too, {row.suite.known}: {row.suite.known_why}"]
    if row.note:
        lines += [f"- {' '.join(row.note.split())}"]
    return lines


def _cells(words: Iterable[str]) -> str:
    return "| " + " | ".join(words) + " |"
