"""Parts: results of the long steps, each named by the digest of what went into it.

A changed kernel patch builds a new kernel and takes the glibc that is there.
"""

import contextlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.progress import Progress, Step
from ukcc.sysroot.store import Store, discard

RECORD = "part.json"


@dataclass(frozen=True)
class PartRecipe:
    """How one part is made.

    `make` gets a work directory and a directory to leave the result in (both empty), and the
    step to report to. `usual_units`: how many units it reports, for want of an earlier build.
    """

    name: str
    title: str
    usual_units: int
    make: Callable[[Path, Path, Step], None]


class _Counter(Step):
    """Passes units on to the step shown, and remembers how many there were."""

    def __init__(self, shown: Step) -> None:
        self.units = 0
        self._shown = shown

    def advance(self, units: int = 1) -> None:
        self.units += units
        self._shown.advance(units)


def ensure(store: Store, recipe: PartRecipe, digest: Callable[[], str], progress: Progress) -> Path:
    """The finished part's directory; makes the part first if it is not there.

    digest: hashes what goes into the part. It is called again when the part is made, since a
    file may have been edited meanwhile. Two processes that want the same part at once: one makes
    it, the other waits.
    """
    part = store.part(recipe.name, digest())
    if part.is_dir():
        return part
    with store.locked(part.name, progress.step(f"waiting for another build of {recipe.name}")):
        if not part.is_dir():
            made = _make(store, recipe, part.name, progress)
            if store.part(recipe.name, digest()) != part:
                raise changed_meanwhile(recipe.name)
            store.publish(made, part)
            discard(store.work(part.name))
    return part


def changed_meanwhile(name: str) -> UkccError:
    """What was built would get the name of something else."""
    return UkccError(f"what {name} is made from changed while it was built", "build again")


def _make(store: Store, recipe: PartRecipe, name: str, progress: Progress) -> Path:
    work = store.work(name)
    discard(work)  # what an interrupted attempt left
    result = work / "result"
    result.mkdir(parents=True)
    began = time.monotonic()
    with progress.step(recipe.title, _estimate(store, recipe)) as shown:
        counter = _Counter(shown)
        recipe.make(work, result, counter)
    record = {"units": counter.units, "seconds": round(time.monotonic() - began, 1)}
    (result / RECORD).write_text(json.dumps(record) + "\n")
    return result


def _estimate(store: Store, recipe: PartRecipe) -> int:
    """How many units the newest finished part of the same kind had."""
    records = list(store.parts.glob(f"{recipe.name}-*/{RECORD}"))
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        newest = max(records, key=lambda path: path.stat().st_mtime, default=None)
        if newest is not None:
            return int(json.loads(newest.read_text())["units"])
    return recipe.usual_units
