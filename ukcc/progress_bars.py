"""Progress on a terminal, drawn by rich. Loaded only when there is a terminal."""

import contextlib
import time
from collections.abc import Iterator

import rich.progress
from rich.console import Console

from ukcc.progress import Progress, Step, duration


class _Bar(Step):
    def __init__(self, display: rich.progress.Progress, task: rich.progress.TaskID) -> None:
        self._display, self._task = display, task

    def advance(self, units: int = 1) -> None:
        self._display.advance(self._task, units)
        task = self._display.tasks[0]
        if task.total is not None and task.completed >= task.total:
            # The estimate was too small. Say that more is to come instead of claiming the end.
            self._display.update(self._task, total=task.completed * 1.02)


class Bars(Progress):
    """One live line for the running step, one that stays for each that is done."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextlib.contextmanager
    def step(self, title: str, estimate: int = 0) -> Iterator[Step]:
        began = time.monotonic()
        display = rich.progress.Progress(
            rich.progress.SpinnerColumn(),
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TextColumn("{task.completed:.0f}"),
            rich.progress.TimeElapsedColumn(),
            console=self._console,
            transient=True,
        )
        with display:
            yield _Bar(display, display.add_task(title, total=estimate or None))
        self._console.print(f"[green]✓[/] {title} ({duration(time.monotonic() - began)})")

    def note(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False)
