"""Several places' settings as one: of two that say something, the later one in the list counts."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ukcc.image.files import FileSpec
from ukcc.settings.document import InitStep, KernelWish, Settings
from ukcc.settings.keys import ARGUMENTS, ENVIRONMENT, FILES, KERNEL, STEPS


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
    steps: "tuple[InitStep, ...] | None" = None
    kernel: KernelWish = field(default_factory=KernelWish)


def merge(layers: Sequence[Settings]) -> Merged:
    """Lists replace each other; the environment merges by name, files by their place."""
    values: dict[str, Any] = {}
    sources: dict[str, str] = {}
    arguments = steps = None
    env: tuple[str, ...] = ()
    files: dict[str, FileSpec] = {}
    kernel = KernelWish()
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
        if layer.kernel is not None:
            kernel = _later(kernel, layer.kernel)
            said.append(KERNEL)
        said += [key for key, told in ((ENVIRONMENT, layer.env), (FILES, layer.files)) if told]
        sources |= dict.fromkeys(said, layer.source)
    return Merged(values, sources, arguments, env, tuple(files.values()), steps, kernel)


def _later(lower: KernelWish, higher: KernelWish) -> KernelWish:
    """Each list, and the class, as the later place has it, if it has it."""
    return KernelWish(
        lower.require if higher.require is None else higher.require,
        lower.forbid if higher.forbid is None else higher.forbid,
        lower.options if higher.options is None else higher.options,
        higher.kind or lower.kind,
    )


def merge_env(lower: Sequence[str], higher: Sequence[str]) -> tuple[str, ...]:
    """`NAME=VALUE` and `NAME` words; of one name the higher and later one stays."""
    words = {word.partition("=")[0]: word for word in lower}
    for word in higher:
        words[word.partition("=")[0]] = word
    return tuple(words.values())
