"""`ukcc size`: what the bytes of an image are."""

import json
from dataclasses import asdict
from pathlib import Path

import click

from ukcc.pictures import draw, vega
from ukcc.pictures.box import changes, pruned
from ukcc.pictures.kernel import find_vmlinux
from ukcc.pictures.size import file_tree
from ukcc.pictures.table import change_lines, tree_lines
from ukcc.terminal import shown

_SMALLEST = 500  # in the table: a part of the whole
_PICTURE = {".svg": (4000, 4), ".html": (200_000, 8)}  # smallest part of the whole, depth
_MOST_CHANGES, _MOST_BARS = 60, 40


@click.command(name="size", short_help="What the bytes of an image are.")
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path), required=False)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="FILE.svg|FILE.html",
    help="Draw a picture.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--depth",
    type=click.IntRange(1, 16),
    default=2,
    show_default=True,
    metavar="N",
    help="Levels of the table.",
)
@click.option(
    "--vmlinux",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="The kernel with its symbols, if it is not that of IMAGE's sysroot.",
)
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
        title = f"{image.name}: {tree.size:,} bytes"
        if as_json:
            click.echo(json.dumps(tree.as_json(), indent=1))
        elif not output:
            click.echo(shown(title))
            for line in tree_lines(tree, depth, tree.size // _SMALLEST):
                click.echo(line)
        if output:
            part, levels = _PICTURE[output.suffix]
            small = pruned(tree, tree.size // part, levels)
            draw.draw(vega.bytes_picture(small, title, "", "bytes"), title, output)
        return
    new = file_tree(other, find_vmlinux(other, vmlinux))
    found = changes(tree, new, depth)
    title = f"{image.name} to {other.name}: {new.size - tree.size:+,} bytes"
    if as_json:
        full = [asdict(change) for change in changes(tree, new, 16)]
        click.echo(json.dumps({"before": tree.size, "after": new.size, "changes": full}, indent=1))
    elif not output:
        click.echo(shown(title))
        for line in change_lines(found, _MOST_CHANGES):
            click.echo(line)
    if output:
        spec = vega.changes_picture(found[:_MOST_BARS], title, "", "bytes")
        draw.draw(spec, title, output)
