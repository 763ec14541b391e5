"""`python -m bench [--json] [--only PART]`: measures, and prints the figures."""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from bench import Figure, builds, guest, host, small, snapshots
from ukcc.errors import UkccError
from ukcc.unwinding import unwind_when_ended

# In this order: the later ones use what the earlier ones built.
_STEPS: tuple[tuple[str, Callable[[Path], list[Figure]]], ...] = (
    ("compile steps", host.compile_figures),
    ("link steps", host.link_figures),
    ("sizes", host.size_figures),
    ("instructions", guest.count_figures),
    ("memory", guest.memory_figures),
    ("snapshots", snapshots.snapshot_figures),
    ("a configure run", builds.configure_figures),
    ("builds of Redis and SQLite", builds.build_figures),
)

# Last, for it takes longest; and it prints a table of its own.
_SMALL = "small kernels"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--only", multiple=True, help="A part of a step's name; may be repeated.")
@click.option(
    "--program",
    "programs",
    multiple=True,
    type=click.Choice(list(small.names())),
    help="Of the small kernels only this program's; may be repeated.",
)
@click.option("--new-classes", is_flag=True, help="Small kernels: compile each class anew.")
@click.option(
    "--pictures",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="DIRECTORY",
    help="Small kernels: draw chart and treemap of what misses a target.",
)
def main(
    as_json: bool,
    only: tuple[str, ...],
    programs: tuple[str, ...],
    new_classes: bool,
    pictures: "Path | None",
) -> None:
    """Measure what the project costs and gains."""
    progress = Console(stderr=True)
    figures: list[Figure] = []
    table = None
    try:
        with tempfile.TemporaryDirectory(prefix="ukcc-bench-") as directory:
            for name, measure in _STEPS:
                if _is_wanted(name, only):
                    with progress.status(f"measuring {name}"):
                        figures += measure(Path(directory))
            if _is_wanted(_SMALL, only):
                options = small.Options(progress.print, programs, pictures, new_classes)
                table = small.measure(Path(directory), options)
    except UkccError as error:
        print(error.line("bench"), file=sys.stderr)
        sys.exit(error.status)
    _print(figures, table, as_json, pictures)


def _is_wanted(name: str, only: tuple[str, ...]) -> bool:
    return not only or any(part in name for part in only)


def _print(
    figures: list[Figure], table: "small.Table | None", as_json: bool, pictures: "Path | None"
) -> None:
    """A table that could not be filled is an error, but after it has been printed."""
    if as_json:
        every = [*figures, *(table.figures() if table else [])]
        click.echo(json.dumps([dataclasses.asdict(figure) for figure in every], indent=2))
    elif figures:
        Console().print(_table(figures))
    if table and not as_json:
        for line in table.lines(pictures):
            click.echo(line)
    for problem in table.problems if table else ():
        print(f"bench: not measured: {problem}", file=sys.stderr)
    if table and table.problems:
        sys.exit(1)


def _table(figures: list[Figure]) -> Table:
    table = Table("what", "unit", "target")
    table.add_column("measured", justify="right")
    for figure in figures:
        digits = 2 if figure.unit == "ratio" else 0 if figure.value == int(figure.value) else 1
        table.add_row(figure.name, figure.unit, figure.target, f"{figure.value:.{digits}f}")
    return table


if __name__ == "__main__":
    unwind_when_ended()
    main()
