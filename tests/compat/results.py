"""Outcomes of earlier runs, kept beside the logs: a table need not come out of one run."""

import dataclasses
import json
from collections.abc import Iterable
from pathlib import Path

from compat.row import Outcome
from compat.schema import Row
from ukcc import paths
from ukcc.errors import UkccError


def keep(outcome: Outcome) -> None:
    """Replaces what is kept of the row."""
    file = _file(outcome.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(dataclasses.asdict(outcome), indent=2))


def kept(rows: Iterable[Row]) -> list[Outcome]:
    """The last outcomes of rows that were run; the others are left out. Raises UkccError."""
    return [_read(file) for row in rows if (file := _file(row.name)).is_file()]


def _file(name: str) -> Path:
    return Path(paths.store()) / "compat" / name / "outcome.json"


def _read(file: Path) -> Outcome:
    try:
        return Outcome(**json.loads(file.read_text()))
    except (ValueError, TypeError):
        raise UkccError(f"{file}: not by this version of ukcc", "run the row again") from None
