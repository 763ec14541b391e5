"""Removes from the store what the current sysroot does not need."""

import contextlib
from pathlib import Path

from ukcc.sysroot import inputs, strace
from ukcc.sysroot.store import Store, Sysroot, discard


def clean(store: Store, everything: bool) -> list[Path]:
    """Removes old sysroots, parts and unfinished builds; with `everything` the current one too.

    Returns what was removed. Raises UkccError, and removes nothing, while another process builds
    any of it: each build holds the lock of its name.
    """
    current = None if everything else store.current()
    candidates = [*_unused_sysroots(store, current), *_unused_parts(store, current)]
    candidates += _children(store.root / "build")
    if everything:
        candidates += _children(store.sources)
    with contextlib.ExitStack() as locks:
        for name in sorted({path.name for path in candidates}):
            locks.enter_context(store.locked_or_refuse(name))
        if everything:
            store.link.unlink(missing_ok=True)
        for path in candidates:
            discard(path)
    return candidates


def _unused_sysroots(store: Store, current: Sysroot | None) -> list[Path]:
    kept = current.id if current else None
    return [p for p in _children(store.sysroots) if not p.is_symlink() and p.name != kept]


def _unused_parts(store: Store, current: Sysroot | None) -> list[Path]:
    digests = inputs.part_digests(current.record["inputs"]) if current else {}
    kept = {store.part(name, digest) for name, digest in digests.items()}
    if current:
        kept.add(strace.part(store, current))
    return [path for path in _children(store.parts) if path not in kept]


def _children(directory: Path) -> list[Path]:
    return sorted(directory.iterdir()) if directory.is_dir() else []
