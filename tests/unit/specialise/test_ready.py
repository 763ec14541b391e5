"""Which of the kernels that are linked already serves a program."""

import json
from pathlib import Path
from typing import Any

import pytest

from ukcc.specialise import make
from ukcc.specialise.features import SIZE, Choice
from ukcc.specialise.make import KernelRequest
from ukcc.specialise.ready import smallest
from ukcc.sysroot.store import Store

SOURCE = "c" * 16


def kernel(store: Store, name: str, **about: Any) -> None:
    record = {
        "class": "k",
        "source": SOURCE,
        "options": [],
        "goal": SIZE,
        "features": ["events"],
        "calls": ["read", "write"],
        "strict": False,
        "bytes": 100,
    }
    directory = make.made_directory(store, name)
    directory.mkdir(parents=True)
    record |= about
    (directory / make.RECORD).write_text(json.dumps(record))
    (directory / "kernel.bin").write_bytes(bytes(int(str(record["bytes"]))))
    for other in ("vmlinux", "config"):
        (directory / other).write_text(other)
    (directory / "kernel.json").write_text("{}")


def asked(*calls: str, features: tuple[str, ...] = (), **choice: Any) -> KernelRequest:
    reasons = dict.fromkeys(features, "")
    return KernelRequest(Choice(SIZE, reasons, choice.get("forbidden", {}), ()), calls, ())


def taken(store: Store, request: KernelRequest) -> "str | None":
    made = smallest(request, SOURCE, store)
    return made and made.id


def test_none_in_an_empty_store(tmp_path: Path) -> None:
    assert taken(Store(tmp_path), asked("read")) is None


def test_it_has_all_features_and_calls(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kernel(store, "few")
    kernel(store, "all", calls=None, bytes=300)
    kernel(store, "locks", features=["events", "locks"], calls=["flock"], bytes=50)
    assert taken(store, asked("read")) == "few"
    assert taken(store, asked("read", "mmap")) == "all"
    assert taken(store, asked("flock", features=("locks",))) == "locks"
    assert taken(store, asked("read", features=("net",))) is None


def test_the_smallest_and_of_two_the_one_with_less(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kernel(store, "a-more", calls=["read", "write", "mmap"])
    kernel(store, "b-less", calls=["read"])
    kernel(store, "c-large", calls=["read"], bytes=200)
    assert taken(store, asked("read")) == "b-less"


def test_what_is_another_kernel_is_left_alone(tmp_path: Path) -> None:
    store = Store(tmp_path)
    kernel(store, "speed", goal="speed")
    kernel(store, "old", source="d" * 16)
    kernel(store, "strict", strict=True)
    kernel(store, "own", options=["CONFIG_HZ_1000=y"])
    kernel(store, "forbidden")
    make.made_directory(store, "broken").mkdir()
    (make.made_directory(store, "broken") / make.RECORD).write_text("{")
    assert taken(store, asked("read", forbidden={"events": ""})) is None


@pytest.mark.parametrize(
    ("file", "data"),
    [
        ("kernel.bin", None),
        ("kernel.bin", b"short"),
        ("vmlinux", b""),
        ("config", None),
        ("kernel.json", b"{"),
        (make.RECORD, b"[]"),
        (make.RECORD, b"{}"),
        (make.RECORD, b""),
    ],
)
def test_one_that_is_not_whole_is_none(tmp_path: Path, file: str, data: "bytes | None") -> None:
    store = Store(tmp_path)
    kernel(store, "damaged")
    assert taken(store, asked("read")) == "damaged"
    path = make.made_directory(store, "damaged") / file
    path.unlink()
    if data is not None:
        path.write_bytes(data)
    assert taken(store, asked("read")) is None
