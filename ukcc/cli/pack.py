"""`ukcc pack`: a bootable image of a program that was built elsewhere."""

from pathlib import Path

import click

from ukcc.image.collect import parse_word
from ukcc.image.files import FileSpec, check_places, file_entries
from ukcc.image.thin import make_image
from ukcc.settings.link import read_carried


@click.command()
@click.argument("program", type=click.Path(path_type=Path))
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), metavar="IMAGE")
@click.option("--name", help="The program's name in the image (default: as it is here).")
@click.option(
    "-f",
    "--file",
    "words",
    multiple=True,
    metavar="HOST[:GUEST]",
    help="A further file or directory for the image; may be repeated.",
)
@click.option("--config", metavar="FILE", help="Settings for the image to carry: a uk.toml.")
def command(
    program: Path,
    output: Path,
    name: "str | None",
    words: tuple[str, ...],
    config: "str | None",
) -> None:
    """Make a bootable IMAGE of PROGRAM, static or dynamic, built for Linux on x86-64.

    A dynamic program takes its loader and its libraries along. What it opens by itself when it runs
    (plugins, name-service modules, data) has to be named with -f. PROGRAM may be a thin image.
    """
    name = name or program.name
    further = [part for word in words for part in ("-f", word)]
    if config:
        further += ["--config", config]
    files = file_entries(FileSpec(*parse_word(word)) for word in words)
    carried = read_carried(config, name) if config else None
    files += carried.entries if carried else []
    settings = carried.document if carried else None
    check_places(files, f"/app/{name}")
    make_image(
        str(program),
        output,
        command=["ukcc", "pack", str(program), "-o", str(output), *further],
        name=name,
        files=files,
        settings=settings,
    )
    for warning in carried.warnings if carried else ():
        click.echo(warning.warning("ukcc"), err=True)
