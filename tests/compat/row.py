"""Runs one row: fetch, configure, build, check, boot. A failure ends the row, never the table."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from compat import boots, counting, steps
from compat.schema import Boot, Row
from compat.steps import Place
from ukcc import proc
from ukcc.errors import UkccError
from ukcc.progress import Progress

YES, NO, NOT_RUN = "yes", "no", "-"
_TAIL = 20  # lines of a failed step's log


@dataclass(frozen=True)
class Outcome:
    """What became of a row. The columns are `yes`, `no`, `-` (not run) or `n of m`.

    version: of the source package; image: how the first that is booted is linked, static or
    dynamic; seconds: of all of it; error, tail, log: what failed first, the end of what it said,
    and where the rest is; empty when all passed.
    """

    name: str
    title: str
    version: str
    configured: str
    built: str
    suite: str
    booted: str
    image: str
    seconds: float
    error: str = ""
    tail: str = ""
    log: str = ""

    @property
    def passed(self) -> bool:
        return not self.error


def run(row: Row, progress: Progress, *, discard: bool = False) -> Outcome:
    """Runs the row. discard: a row that passed leaves its logs only."""
    began = time.monotonic()
    run = _Run(row, progress)
    version = ""
    try:
        with steps.place(row, progress) as made:
            version = made.version
            run.all(made)
            if discard and not run.error:
                steps.discard(made)
    except (UkccError, OSError) as error:
        run.fail(error, None)
    return Outcome(
        name=row.name,
        title=row.title,
        version=version,
        configured=run.columns.get("configured", NOT_RUN),
        built=run.columns.get("built", NOT_RUN),
        suite=run.columns.get("suite", NOT_RUN),
        booted=run.columns.get("booted", NOT_RUN),
        image=run.columns.get("image", NOT_RUN),
        seconds=round(time.monotonic() - began, 1),
        error=run.error,
        tail=run.tail,
        log=run.log,
    )


class _Run:
    """A row on its way: what its columns say so far, and what failed first."""

    def __init__(self, row: Row, progress: Progress) -> None:
        self.row, self.progress = row, progress
        self.columns: dict[str, str] = {}
        self.error = self.tail = self.log = ""

    def all(self, made: Place) -> None:
        """Tests that fail do not keep the image from being booted; all else stops the row."""
        row = self.row
        for column, step in (("configured", "configure"), ("built", "build")):
            lines = getattr(row, step)
            if lines and not self._try(column, made.log(step), partial(self._step, step, made)):
                return
        if row.check:
            self._try("suite", made.log("check"), partial(self._check, made))
        for program in row.images:
            self._try("built", None, partial(boots.check_image, made, program))
        self._try("image", None, partial(self._image, made))
        for number, boot in enumerate(row.boot, 1):
            log = made.log(f"boot-{number}")
            self._try("booted", log, partial(self._boot, boot, made, log))

    def fail(self, error: Exception, log: "Path | None") -> None:
        """Keeps what failed first."""
        if not self.error:
            self.error = error.message if isinstance(error, UkccError) else str(error)
            self.log = str(log or "")
            self.tail = _tail(log)

    def _try(self, column: str, log: "Path | None", job: Callable[[], None]) -> bool:
        """The column says yes, or no once a job failed, unless the job itself wrote there."""
        try:
            job()
        except (UkccError, OSError) as error:
            if self.columns.get(column, YES) == YES:
                self.columns[column] = NO
            self.fail(error, log)
            return False
        self.columns.setdefault(column, YES)
        return True

    def _step(self, step: str, made: Place) -> None:
        steps.run(step, getattr(self.row, step), made, self.row.limit, self.progress)

    def _image(self, made: Place) -> None:
        self.columns["image"] = boots.linkage(made, self.row.boot[0].image)

    def _boot(self, boot: Boot, made: Place, log: Path) -> None:
        with self.progress.step(f"{self.row.name}: boot, {boot.what}"):
            boots.boot(made, boot, log)

    def _check(self, made: Place) -> None:
        """Runs the suite and counts; raises UkccError for failures that are not known."""
        assert self.row.suite is not None  # the schema has seen to it
        failure: proc.ProgramFailed | None = None
        try:
            self._step("check", made)
        except proc.ProgramFailed as error:
            failure = error
        text = made.log("check").read_text(errors="replace")
        try:
            count = counting.count(self.row.suite, text)
        except UkccError as error:
            raise failure or error from None
        self.columns["suite"] = str(count)
        if count.failed > self.row.suite.known:
            raise UkccError(f"{count.failed} tests failed, {self.row.suite.known} are known to")
        if failure and not count.failed:
            raise failure


def _tail(log: "Path | None") -> str:
    """The last lines of a log that is there."""
    if log is None or not log.is_file():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-_TAIL:])
