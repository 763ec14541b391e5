"""Kernels that are linked already: the smallest of the store that has what a program needs."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ukcc.specialise.make import RECORD, KernelRequest, Made, made_directory, record_of
from ukcc.sysroot.store import Store


def smallest(request: KernelRequest, source: str, store: Store) -> "Made | None":
    """The kernel of the fewest bytes that serves a request, of those that were made of the present
    source (the digest of the kernel's part of a sysroot). None where there is none.
    """
    fitting = [
        (record["bytes"], _count(record["calls"]), directory, record["class"])
        for directory, record in _records(store)
        if record["source"] == source and _serves(record, request)
    ]
    if not fitting:
        return None
    size, _, directory, class_name = min(fitting)
    return Made(directory.name, directory, class_name, size, fresh=False)


def _count(calls: "list[str] | None") -> float:
    """How many calls a kernel has: of two of one size, the one with less is taken."""
    return math.inf if calls is None else len(calls)


def _serves(record: dict[str, Any], request: KernelRequest) -> bool:
    """Whether a kernel has all features and calls, and is what the user wants beside that."""
    choice = request.choice
    has, calls = set(record["features"]), record["calls"]
    return (
        has.issuperset(choice.features)
        and not has.intersection(choice.forbidden)
        and record["goal"] == choice.goal
        and record["strict"] is request.strict
        and record["options"] == list(choice.options)
        and (calls is None or (request.calls is not None and set(calls) >= set(request.calls)))
    )


def _records(store: Store) -> Iterator[tuple[Path, dict[str, Any]]]:
    for path in made_directory(store).glob(f"*/{RECORD}"):
        record = record_of(path.parent)
        if record is not None:
            yield path.parent, record
