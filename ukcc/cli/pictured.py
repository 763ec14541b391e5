"""What `ukcc size` and `ukcc boot-chart` have in common: their first options, and differences."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from ukcc.pictures import draw, vega
from ukcc.pictures.box import Box, changes
from ukcc.pictures.table import change_lines
from ukcc.terminal import shown

_DEEPEST_CHANGE = 16
_MOST_CHANGES, _MOST_BARS = 60, 40

vmlinux_option = click.option(
    "--vmlinux",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The kernel with its symbols, if it is not that of IMAGE's sysroot.",
)


def picture_options(deepest: int) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """IMAGE, OTHER, --output, --json and --depth. deepest: levels that the table can have."""
    declared = (
        click.argument("image", type=click.Path(path_type=Path)),
        click.argument("other", type=click.Path(path_type=Path), required=False),
        click.option(
            "-o",
            "--output",
            type=click.Path(path_type=Path),
            metavar="FILE.svg|FILE.html",
            help="Draw a picture.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option(
            "--depth",
            type=click.IntRange(1, deepest),
            default=2,
            show_default=True,
            metavar="N",
            help="Levels of the table.",
        ),
    )

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(declared):
            function = option(function)
        return function

    return declare


def show_changes(
    before: Box,
    after: Box,
    title: str,
    unit: str,
    output: "Path | None",
    as_json: bool,
    depth: int,
) -> None:
    """What has changed from one tree to the other: a table, JSON, or a picture."""
    found = changes(before, after, depth)
    if as_json:
        full = [asdict(change) for change in changes(before, after, _DEEPEST_CHANGE)]
        document = {"before": before.size, "after": after.size, "changes": full}
        click.echo(json.dumps(document, indent=1))
    elif not output:
        click.echo(shown(title))
        for line in change_lines(found, _MOST_CHANGES):
            click.echo(line)
    if output:
        draw.draw(vega.changes_picture(found[:_MOST_BARS], title, "", unit), title, output)
