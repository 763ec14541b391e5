"""`python -m compat [--ci] [--json] [ROW…]`: runs rows, and prints the table."""

import difflib
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import click
from rich.console import Console

from compat import report, results, row
from compat.schema import Row, load_all
from ukcc.disk_errors import unwritable
from ukcc.errors import UkccError
from ukcc.progress import Progress, for_stderr
from ukcc.sysroot.store import default_store
from ukcc.unwinding import unwind_when_ended

ROWS = Path(__file__).with_name("rows")
_FILE_WIDTH = 160  # columns


@click.command()
@click.option("--ci", is_flag=True, help="Only the rows that are quick enough for every change.")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print Markdown.")
@click.option("--list", "only_list", is_flag=True, help="Print the names of the rows.")
@click.option("--last", is_flag=True, help="Run nothing: print what rows said last.")
@click.option("--discard", is_flag=True, help="Remove the trees of rows that passed.")
@click.argument("names", nargs=-1, metavar="[ROW]…")
def main(
    ci: bool,
    form: "str | None",
    only_list: bool,
    last: bool,
    discard: bool,
    names: Sequence[str],
) -> None:
    """Build unmodified distribution sources by uk-gcc, run their tests, boot them.

    The exit status is 1 when a row failed.
    """
    try:
        rows = select(load_all(ROWS), names, ci=ci)
        earlier = results.kept(rows) if last else []
    except UkccError as error:
        print(error.line("compat"), file=sys.stderr)
        sys.exit(error.status)
    if only_list:
        click.echo("\n".join(chosen.name for chosen in rows))
        return
    try:
        outcomes = earlier if last else run_all(rows, discard=discard)
    except OSError as error:  # a full disk, for one
        problem = unwritable(default_store().root, error)
        print(problem.line("compat"), file=sys.stderr)
        sys.exit(problem.status)
    if form == "json":
        click.echo(report.as_json(outcomes))
    elif form == "markdown":
        click.echo(report.markdown(outcomes, {chosen.name: chosen for chosen in rows}), nl=False)
    else:
        # a file is as wide as it needs to be
        width = None if sys.stdout.isatty() else _FILE_WIDTH
        Console(width=width).print(report.table(outcomes))
    sys.exit(0 if all(outcome.passed for outcome in outcomes) else 1)


def select(rows: dict[str, Row], names: Iterable[str], *, ci: bool) -> list[Row]:
    """The rows of these names, all of them for none; `ci` narrows. Raises UkccError."""
    for name in names:
        if name not in rows:
            near = difflib.get_close_matches(name, rows, 1, 0)
            raise UkccError(f"{name}: no such row; the nearest is {near[0]}" if near else "no rows")
    wanted = [rows[name] for name in names] or list(rows.values())
    return [chosen for chosen in wanted if chosen.ci or not ci]


def run_all(rows: Iterable[Row], *, discard: bool) -> list[row.Outcome]:
    """One row after the other. What fails is said at once, and stops nothing."""
    terminal = sys.stderr.isatty()
    progress: Progress = for_stderr(quiet=not terminal)
    outcomes = []
    for wanted in rows:
        outcome = row.run(wanted, progress, discard=discard)
        results.keep(outcome)
        outcomes.append(outcome)
        if not terminal:
            print(report.line(outcome), file=sys.stderr, flush=True)
        if not outcome.passed:
            print(report.failure(outcome), file=sys.stderr, flush=True)
    return outcomes


if __name__ == "__main__":
    unwind_when_ended()
    main()
