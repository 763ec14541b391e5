"""What a recipe's tests do with its images, and what their kernels need for it."""

import re
from pathlib import Path

import pytest

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.ports import recipe as recipes
from ukcc.ports import runs
from ukcc.ports.recipe import Boot, Build, ImageRecipe, PortSource, Recipe, Suite, Trial
from ukcc.specialise.features import table

OWN = recipes.load_all(Path(paths.data_dir("ports")))


def recipe(*tests: Trial, directory: str = "ports/x", suite: "Suite | None" = None) -> Recipe:
    return Recipe(
        name="x",
        directory=directory,
        title="X",
        licence="MIT",
        source=PortSource({}, package="x", version="1"),
        build=Build("make"),
        image={name: ImageRecipe(name) for name in ("a", "a-debug", "b")},
        test=tests,
        suite=suite,
    )


def suite(lines: str = "true", boot: "Boot | None" = None) -> Suite:
    return Suite("s", ("true",), (lines,), "x", "(y)", boot)


def test_images_of_boots_and_of_lines() -> None:
    found = recipe(
        Trial("t", stdout="x", boot=Boot("b")),
        Trial("u", run=('ukcc run "$IMAGES/a-debug"',)),
        suite=suite('ukcc run "${IMAGES}/a"'),
    )
    assert runs.booted(found, long=False) == ["a-debug", "b"]
    assert runs.booted(found, long=True) == ["a", "a-debug", "b"]
    assert runs.booted(recipe(suite=suite(boot=Boot("b"))), long=True) == ["b"]


def test_images_of_files_that_lines_name(tmp_path: Path) -> None:
    (tmp_path / "test" / "more").mkdir(parents=True)
    (tmp_path / "test" / "one.sh").write_text('source "$RECIPE/test/more/two.sh"\n')
    (tmp_path / "test" / "more" / "two.sh").write_text('"$IMAGES/b"\n')
    (tmp_path / "test" / "other.py").write_text("f\"{os.environ['IMAGES']}/a\"\n")
    lines = Trial("t", run=('source "$RECIPE/test/one.sh"',))
    found = recipe(lines, directory=str(tmp_path), suite=suite('"$RECIPE/test/other.py"'))
    assert runs.booted(found, long=False) == ["b"]
    assert runs.booted(found, long=True) == ["a", "b"]


def test_options_of_boots_tell_what_a_kernel_needs() -> None:
    shares = Boot("a", ("-m", "512", "-v", "$TREE:/tree:ro"), ports=(80,))
    found = recipe(
        Trial("t", stdout="x", boot=shares),
        Trial("u", stdout="x", boot=Boot("a", ("--smp", "2"))),
        Trial("v", stdout="x", boot=Boot("a", ("--smp", "1"))),
        suite=suite(boot=Boot("b", ("--disk", "d.img:/d", "--net", "none"))),
    )
    place = "in ports/x/port.toml: "
    assert runs.announced(found, "a") == {
        "volume": f"volume {place}test[0].boot",
        "network": f"publish {place}test[0].boot",
        "smp": f"smp {place}test[1].boot",
    }
    assert set(runs.announced(found, "b")) == {"disk"}
    assert runs.announced(found, "a-debug") == {}


def test_options_that_are_none_are_refused() -> None:
    wrong = recipe(Trial("t", stdout="x", boot=Boot("a", ("--sm", "x"))))
    with pytest.raises(UkccError, match=r"test\[0\]\.boot\.options: "):
        runs.announced(wrong, "a")
    wrong = recipe(Trial("t", stdout="x", boot=Boot("a", ("--smp", "two"))))
    with pytest.raises(UkccError, match="'two' is not a valid integer"):
        runs.announced(wrong, "a")


@pytest.mark.parametrize("name", OWN)
def test_each_image_is_booted_and_its_needs_are_known_words(name: str) -> None:
    one = OWN[name]
    assert runs.booted(one, long=True) == list(one.image)
    for image in one.image.values():
        assert set(image.settings.get("kernel", {}).get("require", ())) <= set(table().names)


# Options of `ukcc run` in lines of bash, and one of the features that each needs.
SAID = {r"--smp [2-9]": "smp", r"--disk": "disk", r"-v": "virtiofs", r"--vsock": "vsock"}


@pytest.mark.parametrize("name", OWN)
def test_what_lines_ask_for_is_said(name: str) -> None:
    """Not which image it is for, but that one of the port's has it."""
    one = OWN[name]
    has = {f for i in one.image.values() for f in i.settings.get("kernel", {}).get("require", ())}
    told = {word for image in one.image for word in runs.announced(one, image)}
    has |= {row.name for row in table().feature if not told.isdisjoint(row.told)}
    text = runs.text_of(one, long=True)
    for call in re.findall(r"\bukcc run (?:\\\n|[^\n|;])*", text):
        for option, feature in SAID.items():
            if re.search(rf"(?<!\S){option}(?!\S)", call) and "IMAGES" in call:
                assert feature in has, call
