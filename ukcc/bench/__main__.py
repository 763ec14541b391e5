"""`python -m ukcc.bench [--json]`: measures, and prints the figures."""

import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
from rich.console import Console
from rich.table import Table

from ukcc.bench import Figure, builds, guest, host, snapshots
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


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--only", multiple=True, help="A part of a step's name; may be repeated.")
def main(as_json: bool, only: tuple[str, ...]) -> None:
    """Measure what the project costs and gains."""
    progress = Console(stderr=True)
    figures: list[Figure] = []
    try:
        with tempfile.TemporaryDirectory(prefix="ukcc-bench-") as directory:
            for name, measure in _STEPS:
                if only and not any(part in name for part in only):
                    continue
                with progress.status(f"measuring {name}"):
                    figures += measure(Path(directory))
    except UkccError as error:
        print(error.line("bench"), file=sys.stderr)
        sys.exit(error.status)
    if as_json:
        click.echo(json.dumps([dataclasses.asdict(figure) for figure in figures], indent=2))
    else:
        Console().print(_table(figures))


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
