"""`ukcc needs`: what a program needs of a kernel."""

import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from ukcc.errors import UkccError
from ukcc.needs import CodePlace, Needs, Unknown, Values, find
from ukcc.terminal import shown

_WIDTH = 100
_LABEL = 15
_SHOWN_PATHS = 24
_SHOWN_UNKNOWN = 20


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--why", metavar="CALL", help="Show where the image makes the system call CALL, and no more."
)
@click.option(
    "--learn",
    type=click.Path(path_type=Path),
    metavar="TRACE",
    help="Also show what a run used: a file of `ukcc run --trace-output`.",
)
def command(image: Path, as_json: bool, why: "str | None", learn: "Path | None") -> None:
    """Show which system calls IMAGE can make.

    They are read from the machine code of the program, its libraries, init and every other program
    in the image. Nothing is run.
    """
    if as_json and why is not None:
        raise click.UsageError("--json and --why exclude each other: the JSON has all places")
    needs = find(image, learn=learn)
    if as_json:
        click.echo(needs.as_json())
        return
    for line in _summary(needs) if why is None else _why(needs, why):
        click.echo(shown(line))


def _summary(needs: Needs) -> Iterator[str]:
    yield f"{needs.path}: {_verdict(needs)}"
    yield from _row("calls", needs.calls)
    if needs.absent:
        yield from _row("no such calls", needs.absent)
    for member in needs.members:
        lost = f", {member.unknown} unknown" if member.unknown else ""
        left = f" ({member.left_out} more that nothing leads to)" if member.left_out else ""
        yield f"  {member.object}: {member.calls} calls at {member.sites} sites{lost}{left}"
    for group, values in needs.arguments.items():
        if values.names or values.any:
            yield from _row(group.replace("_", " "), _values(values))
    yield from _row("paths", _first(tuple(needs.paths), _SHOWN_PATHS))
    yield from _row("settings", sorted(needs.settings))
    learned = needs.learned
    yield from _row("a run used", [c for c in learned.calls if c not in needs.calls])
    yield from _row("and the paths", [p for p in learned.paths if p not in needs.paths])
    yield from _unknown(needs.unknown)


def _verdict(needs: Needs) -> str:
    if needs.keeps_everything:
        count = len(needs.unknown)
        return f"needs every system call: {count} of its sites cannot be told"
    return f"needs {len(needs.calls)} system calls"


def _unknown(unknown: "tuple[Unknown, ...]") -> Iterator[str]:
    for place in unknown[:_SHOWN_UNKNOWN]:
        yield f"  unknown: {_where(place)}: {place.why}"
    if len(unknown) > _SHOWN_UNKNOWN:
        yield f"  and {len(unknown) - _SHOWN_UNKNOWN} more unknown sites (--json has all)"


def _why(needs: Needs, call: str) -> Iterator[str]:
    """Where a call is made. Raises UkccError for what is no call of this kernel."""
    places = needs.by.get(call, ())
    if not places:
        rest = f", unless at one of {len(needs.unknown)} unknown sites" if needs.unknown else ""
        raise UkccError(f"{needs.path}: no site makes the call {call}{rest}")
    for place in places:
        if place.origin == "kernel":
            yield "the kernel itself, to continue an interrupted call"
        else:
            how = "" if place.origin == "code" else f" ({place.origin})"
            yield f"{_where(place)}{how}"
    yield from _unknown(needs.unknown)


def _where(place: "CodePlace | Unknown") -> str:
    parts = [place.object, *([place.function] if place.function else [])]
    return " ".join((*parts, *([f"{place.addr:#x}"] if place.addr else [])))


def _values(values: Values) -> "tuple[str, ...]":
    return (*values.names, "or any") if values.any else values.names


def _first(texts: "tuple[str, ...]", count: int) -> "tuple[str, ...]":
    return texts if len(texts) <= count else (*texts[:count], f"and {len(texts) - count} more")


def _row(label: str, words: Iterable[str]) -> Iterator[str]:
    """A label and its words, in as many lines as they take."""
    text = " ".join(words)
    lines = textwrap.wrap(text, _WIDTH - _LABEL, break_long_words=False, break_on_hyphens=False)
    if lines and len(label) >= _LABEL:
        yield f"  {label}"
        label = ""
    for index, line in enumerate(lines):
        yield f"  {'' if index else label:<{_LABEL}}{line}"
