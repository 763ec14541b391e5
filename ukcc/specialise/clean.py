"""Removes from the store the kernels of other sources than the current sysroot's."""

import contextlib
import json
from pathlib import Path

import filelock

from ukcc.errors import UkccError
from ukcc.specialise import kernel
from ukcc.specialise.make import RECORD, class_directory, made_directory, source_directory
from ukcc.sysroot import inputs
from ukcc.sysroot.store import Store, discard, held_or_refuse


def clean(store: Store, everything: bool) -> list[Path]:
    """Removes sources, classes and kernels of others; with `everything` those of the current
    sysroot too. Returns what was removed.

    Raises UkccError, and removes nothing, while one of the classes is built or linked.
    """
    current = None if everything else store.current()
    digest = inputs.part_digests(current.record["inputs"])["kernel"] if current else ""
    source = source_directory(store, digest)
    trees = [p for p in _children(class_directory(store)) if _source_of(p) != source / "linux"]
    made = [p for p in _children(made_directory(store)) if _digest_of(p) != digest]
    sources = [p for p in source.parent.glob("source-*") if p != source]
    with contextlib.ExitStack() as locks:
        for tree in trees:
            locks.enter_context(held_or_refuse(filelock.FileLock(tree / "lock"), tree.name))
        for place in made:
            if place.name.startswith("."):  # it is linked now, or by one that was killed
                linked = place.name[1:].rpartition("-")[0]
                locks.enter_context(store.locked_or_refuse(f"kernel-{linked}"))
        for place in sources:
            locks.enter_context(store.locked_or_refuse(place.name))
        removed = [*made, *trees, *sources]
        for path in removed:
            discard(path)
    return removed


def _source_of(tree: Path) -> Path:
    try:
        return kernel.source_of(tree)
    except UkccError:
        return Path()  # it was not built to its end


def _digest_of(made: Path) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        return str(json.loads((made / RECORD).read_text())["source"])
    return ""


def _children(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
