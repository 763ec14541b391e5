"""Several places' settings as one: of two that say something, the later one in the list counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ukcc.image.files import FileSpec
from ukcc.settings.document import Settings, Step
from ukcc.settings.keys import ARGUMENTS, ENVIRONMENT, FILES, STEPS


@dataclass(frozen=True)
class Merged:
    """values: of the options, by key; sources: key -> the place that said it last.

    arguments, steps: None if nobody says them.
    """

    values: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    arguments: "tuple[str, ...] | None" = None
    env: tuple[str, ...] = ()
    files: tuple[FileSpec, ...] = ()
    steps: "tuple[Step, ...] | None" = None


def merge(layers: Sequence[Settings]) -> Merged:
    """Lists replace each other; the environment merges by name, files by their place."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    arguments = steps = None
    env: tuple[str, ...] = ()
    files: dict[str, FileSpec] = {}
    for layer in layers:
        values |= layer.values
        said = list(layer.values)
        env = merge_env(env, layer.env)
        files |= {spec.target: spec for spec in layer.files}
        if layer.arguments is not None:
            arguments = layer.arguments
            said.append(ARGUMENTS)
        if layer.steps is not None:
            steps = layer.steps
            said.append(STEPS)
        said += [key for key, told in ((ENVIRONMENT, layer.env), (FILES, layer.files)) if told]
        sources |= dict.fromkeys(said, layer.source)
    return Merged(values, sources, arguments, env, tuple(files.values()), steps)


def merge_env(lower: Sequence[str], higher: Sequence[str]) -> tuple[str, ...]:
    """`NAME=VALUE` and `NAME` words; of one name the higher and later one stays."""
    words = {word.partition("=")[0]: word for word in lower}
    for word in higher:
        words[word.partition("=")[0]] = word
    return tuple(words.values())
