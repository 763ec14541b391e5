"""The images of a port: programs of its build, made whole, with files and settings inside."""

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from ukcc.errors import UkccError
from ukcc.image.facts import read_facts
from ukcc.image.files import check_places, file_entries
from ukcc.image.thin import make_image
from ukcc.ports.place import PortBuild, expand
from ukcc.ports.recipe import ImageRecipe
from ukcc.settings.document import carried, parse_settings


def make(place: PortBuild) -> None:
    """All images of the recipe. Raises UkccError that names the recipe and the image."""
    shutil.rmtree(place.images, ignore_errors=True)
    place.images.mkdir()
    for name, image in place.recipe.image.items():
        where = f"{place.recipe.file}: image.{name}"
        try:
            _make(place, name, image, where)
        except UkccError as error:
            message = error.message
            raise UkccError(
                message if message.startswith(where) else f"{where}: {message}", error.hint
            ) from None


def _make(place: PortBuild, name: str, image: ImageRecipe, where: str) -> None:
    variables = place.variables()
    document = expanded(image.settings, variables)
    settings = parse_settings(document, f"{where}.settings", directory=str(place.tree))
    entries = file_entries(settings.files)
    check_places(entries, f"/app/{name}")
    target = place.image(name)
    program = place.tree / expand(image.program, variables)
    make_image(
        str(program),
        target,
        command=["ukcc", "port", "build", place.recipe.name],
        name=name,
        files=entries,
        settings=carried(settings),
    )
    missing = not_set(image.kernel, read_facts(str(target)).kernel_config)
    if missing:
        raise UkccError(f"{where}.kernel: {missing[0]} is not set in the sysroot's kernel")


def not_set(options: Sequence[str], config: str) -> list[str]:
    """Those options that a kernel's configuration has not built in."""
    lines = set(config.splitlines())
    return [option for option in options if f"{option}=y" not in lines]


def expanded(value: Any, variables: Mapping[str, str]) -> Any:
    """A decoded TOML value, its texts with the variables' values."""
    if isinstance(value, str):
        return expand(value, variables)
    if isinstance(value, list):
        return [expanded(item, variables) for item in value]
    if isinstance(value, Mapping):
        return {key: expanded(item, variables) for key, item in value.items()}
    return value
