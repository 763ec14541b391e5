"""Each feature by itself is a configuration that the kernel can have. Nothing is compiled."""

from pathlib import Path

import pytest

from ukcc.progress import Silent
from ukcc.specialise import features, make
from ukcc.specialise.features import GOALS, FeatureWish
from ukcc.sysroot import inputs, linux, store

ROWS = features.table().names


@pytest.fixture(scope="session")
def source() -> Path:
    here = store.default_store()
    return make.patched_source(inputs.gather(here), here, Silent())


@pytest.mark.parametrize("goal", GOALS)
@pytest.mark.parametrize("name", ROWS)
def test_its_options_come_out(source: Path, tmp_path: Path, name: str, goal: str) -> None:
    choice = features.of_words(FeatureWish(require=(name,), goal=goal))
    fragments = make.class_fragments(choice, store.default_store())
    objects = tmp_path / "objects"
    objects.mkdir()
    linux.configure(source, fragments, tmp_path / "log", objects)
