"""Which of several places counts."""

from ukcc.image.files import FileSpec
from ukcc.settings.document import InitStep, Settings
from ukcc.settings.layers import merge, merge_env

IMAGE = Settings(
    source="image",
    values={"memory": 64, "publish": ["1:1"], "smp": 2},
    arguments=("a",),
    env=("A=1", "B=1"),
    files=(FileSpec("x", "/x"), FileSpec("y", "/y")),
    steps=(InitStep(("/one",)),),
)


def test_the_later_counts() -> None:
    file = Settings(
        source="file",
        values={"memory": 96, "publish": ["2:2", "3:3"]},
        arguments=(),
        env=("B=2", "C"),
        files=(FileSpec("z", "/y"),),
    )
    merged = merge([IMAGE, file])
    assert merged.values == {"memory": 96, "publish": ["2:2", "3:3"], "smp": 2}
    assert merged.arguments == ()
    assert merged.env == ("A=1", "B=2", "C")
    assert merged.files == (FileSpec("x", "/x"), FileSpec("z", "/y"))
    assert merged.steps == IMAGE.steps
    assert merged.sources == {
        "memory": "file",
        "publish": "file",
        "smp": "image",
        "args": "file",
        "env": "file",
        "files": "file",
        "init": "image",
    }


def test_no_steps_are_a_word_too() -> None:
    assert merge([IMAGE, Settings("file", {}, steps=())]).steps == ()
    assert merge([]).steps is None and merge([]).arguments is None


def test_environment() -> None:
    assert merge_env(["A=1", "B"], ["B=2", "A", "C="]) == ("A", "B=2", "C=")
