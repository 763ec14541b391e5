"""What the tests of a recipe do with its images, as far as its own words tell."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ukcc.errors import UkccError
from ukcc.ports.place import TESTS
from ukcc.ports.recipe import Boot, Recipe
from ukcc.specialise.told import told_by


def booted(recipe: Recipe, *, long: bool) -> list[str]:
    """The images that tests boot (long: and the suite), in the recipe's order.

    Those of a `boot`, and those that are named behind `IMAGES`, in lines or in a file of `test/`
    that lines name.
    """
    boots = {boot.image for _, boot in _boots(recipe, long=long)}
    text = text_of(recipe, long=long)
    return [name for name in recipe.image if name in boots or _names(name, text)]


def announced(recipe: Recipe, image: str) -> dict[str, str]:
    """What machines of an image need, by `told.WORDS`, each with the test that says it.

    It is read from every `boot`, the suite's too: a kernel serves both. Raises UkccError.
    """
    found: dict[str, str] = {}
    for where, boot in _boots(recipe, long=True):
        if boot.image == image:
            place = f"{recipe.file}: {where}.boot"
            values = {**_options(boot.options, place), "publish": boot.ports}
            found = {**told_by(values, 0, dict.fromkeys(values, place)), **found}
    return found


def _boots(recipe: Recipe, *, long: bool) -> Iterator[tuple[str, Boot]]:
    for number, test in enumerate(recipe.test):
        if test.boot:
            yield f"test[{number}]", test.boot
    if long and recipe.suite and recipe.suite.boot:
        yield "suite", recipe.suite.boot


def text_of(recipe: Recipe, *, long: bool) -> str:
    """The lines, with the files that they name, and those that these name."""
    lines = [line for test in recipe.test for line in test.run]
    if long and recipe.suite:
        lines += recipe.suite.unikernel
    text = "\n".join(lines)
    directory = Path(recipe.directory) / TESTS
    left = {path for path in directory.rglob("*") if path.is_file()} if directory.is_dir() else ()
    while named := {path for path in left if f"{TESTS}/{path.relative_to(directory)}" in text}:
        text += "".join(path.read_text(errors="replace") for path in sorted(named))
        left = set(left) - named
    return text


def _names(image: str, text: str) -> bool:
    """Whether `$IMAGES/NAME`, or the same in the words of Python, is in it."""
    return bool(re.search(rf"\bIMAGES\b\W{{0,4}}/{re.escape(image)}(?![\w.+-])", text))


def _options(words: Iterable[str], where: str) -> dict[str, Any]:
    """Options of `ukcc run`, by their long names. Raises UkccError."""
    from ukcc.cli.configured import long_name
    from ukcc.cli.run import command

    try:
        context = command.make_context("ukcc run", ["--no-config", *words, "IMAGE"])
    except click.ClickException as error:
        raise UkccError(f"{where}.options: {error.format_message()}") from None
    return {
        long_name(option): context.params[name]
        for option in command.params
        if (name := option.name) and context.get_parameter_source(name) == _GIVEN
    }


_GIVEN = ParameterSource.COMMANDLINE
