"""A port's images with kernels of their own: where they are, what is made again, what is told."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ukcc.errors import UkccError
from ukcc.image.facts import ImageMetadata
from ukcc.ports import own, results, table, trial
from ukcc.ports.place import PortBuild
from ukcc.ports.recipe import Boot, Build, ImageRecipe, PortSource, Recipe, Suite, Trial
from ukcc.progress import for_stderr
from ukcc.settings.layers import Merged
from ukcc.specialise.make import Made

QUIET = for_stderr(quiet=True)


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "store"
    home.mkdir()
    monkeypatch.setenv("UKCC_HOME", str(home))
    return home


@pytest.fixture
def general(store: Path) -> PortBuild:
    """A port with two images, of which a test boots one, and the suite the other."""
    one = Recipe(
        name="x",
        directory="ports/x",
        title="X",
        licence="MIT",
        source=PortSource({}, package="x", version="1"),
        build=Build("make"),
        image={"a": ImageRecipe("a", kernel=("CONFIG_EXT4_FS",)), "b": ImageRecipe("b")},
        test=(Trial("works", stdout="x", boot=Boot("a", ("--smp", "2"))),),
        suite=Suite("s", ("true",), ('"$IMAGES/b"',), "x", "(y)"),
    )
    place = PortBuild(one, "0" * 64, "1" * 64, ())
    place.images.mkdir(parents=True)
    for name in one.image:
        place.image(name).write_text(f"image {name} with the general kernel")
    return place


Kernels = dict[str, str]


@pytest.fixture
def kernels(store: Path, monkeypatch: pytest.MonkeyPatch) -> Kernels:
    """Image -> id of its kernel; what a kernel is asked for is `asked <image>` of it."""
    ids = {"a": "aa11", "b": "bb22"}

    def read(path: Path, settings: Merged, wish: object, announced: Mapping[str, str]) -> Any:
        ids[f"asked {path.name}"] = " ".join(announced)
        return SimpleNamespace(needs=None, request=path.name)

    def make(request: str, *_: object) -> Made:
        directory = store / "kernels" / "made" / ids[request]
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config").write_text("CONFIG_EXT4_FS=y\n")
        record = {
            "class": "cc33",
            "goal": "size",
            "features": ["smp"],
            "bytes": 2_000_000,
            "calls": ["read", "write"],
        }
        (directory / "made.json").write_text(json.dumps(record))
        return Made(ids[request], directory, "cc33", 2_000_000, fresh=True)

    def with_kernel(image: str, output: Path, kernel: str) -> None:
        output.write_text(f"{Path(image).name} with {Path(kernel).name}")

    monkeypatch.setattr(own.program, "read_program", read)
    monkeypatch.setattr(own.program, "general_kernel", lambda *_: Path())
    monkeypatch.setattr(own, "settings_of", lambda *_: Merged())
    monkeypatch.setattr(own, "make", make)
    monkeypatch.setattr(own, "with_kernel", with_kernel)
    return ids


def made(general: PortBuild, *, long: bool = False) -> PortBuild:
    return own.with_own_kernels(general, QUIET, long=long)


def test_the_images_that_tests_boot_are_made_once(general: PortBuild, kernels: Kernels) -> None:
    place = made(general)
    assert kernels["asked a"] == "smp"
    assert [path.name for path in place.images.iterdir()] == ["a"]
    assert place.image("a").read_text() == "a with aa11"
    assert general.image("a").read_text() == "image a with the general kernel"
    assert place.images.parent.parent == general.root / "own"
    when = place.image("a").stat().st_mtime_ns
    assert made(general) == place and place.image("a").stat().st_mtime_ns == when


def test_another_kernel_is_another_directory(general: PortBuild, kernels: Kernels) -> None:
    first = made(general)
    kernels["a"] = "aa12"
    second = made(general)
    assert second.image("a").read_text() == "a with aa12"
    assert [path.name for path in (general.root / "own").iterdir()] == [second.tested.name]
    assert first.tested != second.tested
    assert made(replace(general, images_digest="2" * 64)).own != second.own
    whole = made(general, long=True)
    assert {path.name for path in whole.images.iterdir()} == {"a", "b"}


def test_what_was_left_half_made_is_made_again(general: PortBuild, kernels: Kernels) -> None:
    place = made(general)
    half = place.tested.with_name(f".{place.tested.name}")
    place.tested.rename(half)
    place = made(general)
    assert place.image("a").is_file() and not half.exists()


def test_an_option_that_the_recipe_names_is_missed(
    general: PortBuild, kernels: Kernels, store: Path
) -> None:
    images = {**general.recipe.image, "a": ImageRecipe("a", kernel=("CONFIG_SYSVIPC",))}
    other = replace(general, recipe=replace(general.recipe, image=images))
    with pytest.raises(UkccError, match=r"image\.a\.kernel: CONFIG_SYSVIPC is not set") as raised:
        made(other)
    assert "[image.a.settings.kernel]" in raised.value.hint
    assert not (general.root / "own").exists()


def test_results_of_both_kernels_are_kept(
    general: PortBuild, kernels: Kernels, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = made(general)
    said = {general.image("a"): "", general.image("b"): "", place.image("a"): "aa11"}
    monkeypatch.setattr(
        results, "read_facts", lambda path: ImageMetadata(memory_min_mib=9, made=said[Path(path)])
    )
    for where, error in ((general, ""), (place, "no")):
        results.keep(
            results.gather(where, [trial.TestVerdict("works", error)], None, {"a": 5_000_000})
        )
    usual, found = results.kept("x"), results.kept("x", results.OWN)
    assert usual and usual.passed and list(usual.images) == ["a", "b"]
    assert usual.kernel == "general" and usual.images["a"].kernel is None
    assert found and not found.passed and list(found.images) == ["a"] and found.kernel == "own"
    kernel = found.images["a"].kernel
    assert kernel == results.OwnKernel("aa11", "cc33", "size", ("smp",), 2_000_000, 2)
    assert list(table.verdicts(found, place))[:2] == [
        "x (own kernel): a: 2,000,000 bytes, 2 calls, for size",
        "x (own kernel): FAILED: works",
    ]
    assert list(table.lines([general.recipe])) == ["x  1  X  tests 1 of 1, 0 of 1 with own kernels"]
    assert table.row(general.recipe)["own_kernels"]["passed"] is False
    monkeypatch.setattr(table, "place", lambda *_: general)
    monkeypatch.setattr(table.build, "commands", lambda *_: [])
    text = table.markdown({"x": general.recipe})
    size = found.images["a"].size
    assert f"| [X](#x) | `a` | {size} | 2,000,000 | 2 | 9 MiB | 5 M | 0 of 1 | - |\n" in text


def test_there_is_no_second_table_without_such_results(
    general: PortBuild, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "place", lambda *_: general)
    monkeypatch.setattr(table.build, "commands", lambda *_: [])
    assert "kernel of its own" not in table.markdown({"x": general.recipe})
