"""What is printed: a row for each slice, the table of the ledger, and how far a run is."""

import contextlib
import json
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import asdict

from fuzz.engine import Result
from fuzz.ledger import Account
from fuzz.table import Target

_COLUMNS = "{:<14} {:>13} {:>8} {:>9} {:>7} {:>8}  {}"
_HEAD = _COLUMNS.format(
    "target", "executions", "coverage", "features", "corpus", "time", "findings"
)
_REFRESH = 1.0  # seconds

Row = tuple[Target, str, Account]  # a target, its code's digest, what it has


def head() -> str:
    """The columns' names."""
    return _HEAD


def line(name: str, account: Account, problem: str = "") -> str:
    """A row: what a target has."""
    said = problem or str(len(account.findings))
    return _COLUMNS.format(
        name,
        f"{account.executions:,}",
        account.coverage,
        account.features,
        account.corpus,
        clock(account.seconds),
        said,
    )


def clock(seconds: float) -> str:
    """`1:02:03`."""
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def text(rows: "list[Row]") -> str:
    """The table, and what was found, for a terminal."""
    lines = [_HEAD, *(line(target.name, account) for target, _, account in rows)]
    for target, _, account in rows:
        lines += [f"{target.name}: {what}" for what in account.findings]
    return "\n".join(lines)


def markdown(rows: "list[Row]") -> str:
    """The table of docs/testing.md."""
    lines = [
        "| target | what it reads | time | executions | coverage | features | corpus | findings |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for target, _, has in rows:
        cells = [f"`{target.name}`", target.reads, clock(has.seconds), f"{has.executions:,}"]
        cells += [str(n) for n in (has.coverage, has.features, has.corpus, len(has.findings))]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def as_json(rows: "list[Row]") -> str:
    """A list of objects: the account's fields, `target` and `code`, the digest of it."""
    content = [
        {"target": target.name, "code": code, **asdict(account)} for target, code, account in rows
    ]
    return json.dumps(content, indent=1)


def tell(result: Result) -> None:
    """What was found, and the line that shows it again."""
    if result.problem:
        print(f"fuzz: error: {result.target}: {result.problem}", file=sys.stderr)
    for finding in result.findings:
        print(f"fuzz: error: {result.target}: {finding.what}", file=sys.stderr)
        again = f"make fuzz-input TARGET={result.target} INPUT={finding.input}"
        print(f"  again: {again}", file=sys.stderr)


@contextlib.contextmanager
def shown(
    progress: "Callable[[], tuple[float, float, dict[str, float]]]",
) -> "Iterator[None]":
    """On a terminal, a line that says how far the run is; elsewhere nothing."""
    if not sys.stderr.isatty():
        yield
        return
    import rich.progress  # slow to load, and only needed here
    from rich.console import Console

    columns = rich.progress.TextColumn("{task.description}"), rich.progress.BarColumn()
    over = threading.Event()
    with rich.progress.Progress(
        *columns,
        rich.progress.TextColumn("{task.fields[at]}"),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=sys.stdout.isatty(),
    ) as display:
        task = display.add_task("fuzz", total=None, at="")

        def refresh() -> None:
            while True:
                done, whole, now = progress()
                at = ", ".join(f"{name} {clock(seconds)}" for name, seconds in now.items())
                at = f"{clock(done)} of {clock(whole)}: {at}"
                display.update(task, completed=done, total=whole, at=at)
                if over.wait(_REFRESH):
                    return

        thread = threading.Thread(target=refresh, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()
