"""Which kernels leave the store."""

import json
from pathlib import Path

import filelock
import pytest

from ukcc.errors import UkccError
from ukcc.specialise import clean, make
from ukcc.sysroot import inputs
from ukcc.sysroot.store import RECORD, Store

RECORDED = {
    "linux": {"version": "6.12"},
    "kernel_patches": {},
    "kernel_fragments": {},
    "glibc": {},
    "glibc_script": {},
    "shims": {},
    "tools": {},
    "recipes": {"headers": 1, "kernel": 1, "glibc": 1, "sysroot": 1},
}
OURS = inputs.part_digests(RECORDED)["kernel"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """With a current sysroot, and kernels of its source and of an older one."""
    store = Store(tmp_path)
    sysroot = store.sysroots / "0123456789abcdef"
    sysroot.mkdir(parents=True)
    (sysroot / RECORD).write_text(json.dumps({"id": sysroot.name, "inputs": RECORDED}))
    store.make_current(sysroot.name)
    for digest, name in ((OURS, "new"), ("0" * 16, "old")):
        source = make.source_directory(store, digest) / "linux"
        source.mkdir(parents=True)
        tree = make.class_directory(store, name)
        tree.mkdir(parents=True)
        (tree / "class.json").write_text(json.dumps({"source": str(source), "fragments": []}))
        made = make.made_directory(store, name)
        made.mkdir(parents=True)
        (made / make.RECORD).write_text(json.dumps({"source": digest}))
    make.class_directory(store, "unfinished").mkdir()
    return store


def left(store: Store) -> set[str]:
    kernels = store.root / "kernels"
    return {str(p.relative_to(kernels)) for p in [*kernels.glob("source-*"), *kernels.glob("*/*")]}


def test_kernels_of_another_source_go(store: Store) -> None:
    clean.clean(store, everything=False)
    ours = f"source-{OURS}"
    assert left(store) == {ours, f"{ours}/linux", "classes/new", "made/new"}


def test_all_of_them(store: Store) -> None:
    clean.clean(store, everything=True)
    assert left(store) == set()


def test_nothing_goes_while_a_class_is_built(store: Store) -> None:
    before = left(store)
    lock = filelock.FileLock(make.class_directory(store, "old") / "lock")
    with lock, pytest.raises(UkccError, match="old is in use by another ukcc process"):
        clean.clean(store, everything=False)
    assert left(store) - {"classes/old/lock"} == before - {"classes/old/lock"}


def test_nothing_goes_while_a_kernel_is_linked(store: Store) -> None:
    work = make.made_directory(store, ".fedcba9876543210-x_1y2z3a")
    work.mkdir()
    before = left(store)
    with store.locked_or_refuse("kernel-fedcba9876543210"):
        with pytest.raises(UkccError, match="in use by another ukcc process"):
            clean.clean(store, everything=False)
        assert left(store) == before
    clean.clean(store, everything=False)  # nobody links it any more
    assert not work.exists()


def test_a_record_that_is_none(store: Store) -> None:
    (make.made_directory(store, "new") / make.RECORD).write_text("[]")
    clean.clean(store, everything=False)
    assert "made/new" not in left(store)


def test_an_empty_store(tmp_path: Path) -> None:
    assert clean.clean(Store(tmp_path), everything=False) == []
