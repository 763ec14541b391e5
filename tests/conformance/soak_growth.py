"""Whether memory, or the number of tasks, keeps growing: pure functions on measurements."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median

from conformance.stress_lines import Memory
from ukcc.errors import UkccError

_KIB_PER_MIB = 1024
_FEWEST = 4  # measurements: one for each quarter


@dataclass(frozen=True)
class Limits:
    """By how much the last quarter may be worse than the second: MiB, and tasks."""

    available_mib: int
    slab_mib: int
    unreclaimable_mib: int
    tasks: int


@dataclass(frozen=True)
class Growth:
    """One quantity: the medians of the second and of the last quarter, and how much worse it is.

    In MiB, except for tasks; `worse` is positive when there is less available or more in use.
    """

    name: str
    second: float
    last: float
    worse: float
    limit: int

    @property
    def keeps_growing(self) -> bool:
        return self.worse > self.limit

    def __str__(self) -> str:
        return (
            f"{self.name}: {self.second:.1f} in the second quarter, {self.last:.1f} in the last "
            f"({self.worse:+.1f}, tolerance {self.limit})"
        )


def growths(measured: Sequence[Memory], limits: Limits) -> tuple[Growth, ...]:
    """One for each quantity. The first quarter is left to caches that fill. Raises UkccError."""
    if len(measured) < _FEWEST:
        raise UkccError(f"{len(measured)} measurements say nothing about growth", "run it longer")
    quarter = len(measured) // 4
    second, last = _median(measured[quarter : 2 * quarter]), _median(measured[-quarter:])
    return (
        Growth("MiB available", second[0], last[0], second[0] - last[0], limits.available_mib),
        Growth("MiB slab", second[1], last[1], last[1] - second[1], limits.slab_mib),
        Growth(
            "MiB unreclaimable", second[2], last[2], last[2] - second[2], limits.unreclaimable_mib
        ),
        Growth("tasks", second[3], last[3], last[3] - second[3], limits.tasks),
    )


def _median(measured: Sequence[Memory]) -> tuple[float, float, float, float]:
    """Available, slab, unreclaimable in MiB, and tasks.

    Not the mean: a round is measured a moment after its processes have ended, and once in a while
    some hundred of them are still being taken apart.
    """
    return (
        median(memory.available for memory in measured) / _KIB_PER_MIB,
        median(memory.slab for memory in measured) / _KIB_PER_MIB,
        median(memory.unreclaimable for memory in measured) / _KIB_PER_MIB,
        median(memory.tasks for memory in measured),
    )
