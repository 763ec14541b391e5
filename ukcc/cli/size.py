"""`ukcc size`: what the bytes of an image are."""

import json
from pathlib import Path

import click

from ukcc.cli.pictured import picture_options, show_changes, vmlinux_option
from ukcc.pictures import draw
from ukcc.pictures.drawn import draw_size, size_title
from ukcc.pictures.kernel import find_vmlinux
from ukcc.pictures.size import file_tree
from ukcc.pictures.table import tree_lines
from ukcc.terminal import shown

_SMALLEST = 500  # in the table: a part of the whole


@click.command(name="size")
@picture_options(16)
@vmlinux_option
def command(
    image: Path,
    other: "Path | None",
    output: "Path | None",
    as_json: bool,
    depth: int,
    vmlinux: "Path | None",
) -> None:
    """Show what the bytes of IMAGE are, or what has changed from IMAGE to OTHER.

    Every byte of the file is in one place: kernel by subsystem, source file and symbol, application
    by library, member and symbol, archive, tables, padding.
    """
    if output:
        draw.check_output(output)
    tree = file_tree(image, find_vmlinux(image, vmlinux))
    if other is None:
        if as_json:
            click.echo(json.dumps(tree.as_json(), indent=1))
        elif not output:
            click.echo(shown(size_title(image.name, tree)))
            for line in tree_lines(tree, depth, tree.size // _SMALLEST):
                click.echo(line)
        if output:
            draw_size(tree, image.name, output)
        return
    new = file_tree(other, find_vmlinux(other, vmlinux))
    title = f"{image.name} to {other.name}: {new.size - tree.size:+,} bytes"
    show_changes(tree, new, title, "bytes", output, as_json, depth)
