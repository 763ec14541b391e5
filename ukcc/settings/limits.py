"""`--ulimit`: resource limits by the names that prlimit(1) and docker use."""

from __future__ import annotations

from ukcc.errors import MachineError
from ukcc.light.record import Record

# Linux, include/uapi/asm-generic/resource.h
_NUMBERS = {
    "as": 9,
    "core": 4,
    "cpu": 0,
    "data": 2,
    "fsize": 1,
    "locks": 10,
    "memlock": 8,
    "msgqueue": 12,
    "nice": 13,
    "nofile": 7,
    "nproc": 6,
    "rss": 5,
    "rtprio": 14,
    "rttime": 15,
    "sigpending": 11,
    "stack": 3,
}
_UNLIMITED = (1 << 64) - 1  # RLIM_INFINITY
_MOST_FILES = 1 << 20  # the kernel's fs.nr_open


class Limit(Record):
    """A resource's limits in its own unit (bytes, seconds, a count), RLIM_INFINITY for none."""

    name: str
    soft: int
    hard: int

    @property
    def line(self) -> str:
        """As sysroot/init/limits.c reads it: the name, the kernel's number, both limits."""
        return f"{self.name}:{_NUMBERS[self.name]}:{self.soft}:{self.hard}"


def parse_limit(text: str) -> Limit:
    """`NAME=SOFT[:HARD]`, numbers or `unlimited`. Raises MachineError."""
    name, equals, values = text.partition("=")
    if name not in _NUMBERS:
        known = ", ".join(sorted(_NUMBERS))
        raise MachineError(f"--ulimit {text!r}: no limit has that name", f"known are {known}")
    words = values.split(":")
    numbers = [_number(word) for word in words]
    if not equals or len(numbers) > 2 or None in numbers:
        raise MachineError(
            f"--ulimit {text!r} is not understood", "it takes NAME=SOFT[:HARD], or unlimited"
        )
    limit = Limit(name, numbers[0] or 0, numbers[-1] or 0)
    if limit.soft > limit.hard:
        raise MachineError(f"--ulimit {text!r}: the soft limit is above the hard one")
    if name == "nofile" and limit.hard > _MOST_FILES:
        raise MachineError(f"--ulimit {text!r}: the kernel takes at most {_MOST_FILES} files")
    return limit


def _number(word: str) -> int | None:
    if word in ("unlimited", "-1"):
        return _UNLIMITED
    if not word.isascii() or not word.isdigit() or int(word) > _UNLIMITED:
        return None
    return int(word)
