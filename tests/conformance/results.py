"""What a suite said in both lives, kept in the store: one JSON file a suite.

`<store>/conformance/<suite>.json`:

    {"suite": "glibc-signal", "version": "2.36-9+deb12u14",
     "rows": [{"group": "signal", "name": "tst-raise", "unikernel": "pass", "process": "pass",
               "why": ""}]}
"""

import dataclasses
import json
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ukcc import paths
from ukcc.errors import UkccError

# excluded: cannot apply, and was not run; unsupported: the test found that it does not apply;
# skip: the same, as kselftest says it; timeout: the test's deadline, or ours, was over.
VERDICTS = ("pass", "fail", "skip", "unsupported", "timeout", "excluded")


@dataclass(frozen=True)
class Result:
    """One test in one life. verdict: one of VERDICTS; words: its last ones, one line."""

    verdict: str
    words: str = ""


@dataclass(frozen=True)
class Row:
    """One test in both lives.

    unikernel, process: one of VERDICTS; why: what is known of a verdict that is not `pass`, one
    line (a reason for an exclusion, the test's last words, what became of the guest).
    """

    group: str
    name: str
    unikernel: str
    process: str
    why: str = ""

    def __post_init__(self) -> None:
        for verdict in (self.unikernel, self.process):
            if verdict not in VERDICTS:
                raise ValueError(f"{self.group}/{self.name}: {verdict!r} is no verdict")

    @property
    def differs(self) -> bool:
        """Whether the two lives disagree."""
        return self.unikernel != self.process


@dataclass(frozen=True)
class Suite:
    """A suite's rows. name: also the file's; version: of the sources, as dpkg has it."""

    name: str
    version: str
    rows: tuple[Row, ...]


def row_of(
    group: str,
    name: str,
    process: Result,
    unikernel: Result,
    alone: "Result | None" = None,
    beside: str = "",
) -> Row:
    """The row of a test. alone: its second chance, which counts; beside: the first, in words."""
    final = alone or unikernel
    why = final.words
    if alone and alone.verdict == "pass":
        why = f"passes alone; beside others: {beside}"
    elif not why and process.words:
        why = f"as process: {process.words}"
    return Row(group, name, final.verdict, process.verdict, why)


def directory() -> Path:
    """Where results are, and a suite's work is done."""
    return Path(paths.store()) / "conformance"


def keep(suite: Suite, place: "Path | None" = None) -> Path:
    """Replaces what is kept of the suite, by rename; returns the file."""
    file = (place or directory()) / f"{suite.name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    rows = [dataclasses.asdict(row) for row in suite.rows]
    record = {"suite": suite.name, "version": suite.version, "rows": rows}
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(record, indent=1) + "\n")
    fresh.replace(file)
    return file


def kept(place: "Path | None" = None) -> list[Suite]:
    """Every suite that was run, by name. Raises UkccError for a file that is not a suite's."""
    return [read(file) for file in sorted((place or directory()).glob("*.json"))]


def read(file: Path) -> Suite:
    """The suite of one file. Raises UkccError."""
    try:
        record = json.loads(file.read_text())
        rows = tuple(Row(**row) for row in record["rows"])
        return Suite(record["suite"], record["version"], _distinct(rows))
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UkccError(f"{file}: not a suite's results: {error}", "run the suite again") from None


def _distinct(rows: Iterable[Row]) -> tuple[Row, ...]:
    """The rows; raises ValueError when two are of the same test."""
    known: dict[tuple[str, str], Row] = {}
    for row in rows:
        if known.setdefault((row.group, row.name), row) is not row:
            raise ValueError(f"{row.group}/{row.name} is there twice")
    return tuple(known.values())
