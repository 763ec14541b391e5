"""`ukcc menuconfig`: the kernel's own menu, on the kernel of one program."""

import os
import sys
from pathlib import Path

import click

from ukcc.cli.configured import settings_of
from ukcc.errors import UkccError
from ukcc.specialise.features import SIZE, SPEED, FeatureWish


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--size", "goal", flag_value=SIZE, help="As for `ukcc specialise`.")
@click.option("--speed", "goal", flag_value=SPEED, help="As for `ukcc specialise`.")
@click.option("--config", metavar="FILE", help="Settings: a uk.toml (default: that beside IMAGE).")
def command(image: Path, goal: "str | None", config: "str | None") -> None:
    """Edit the options of the kernel that IMAGE would get.

    Prints the changed options as lines for a uk.toml, which `ukcc specialise` reads, and writes
    nothing else.
    """
    from ukcc.progress import for_stderr
    from ukcc.specialise.menu import edit
    from ukcc.specialise.program import read_program
    from ukcc.sysroot.store import default_store

    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UkccError("the menu needs a terminal", "call it from one")
    wish = FeatureWish(goal=goal or "")
    program = read_program(image, settings_of(str(image), config), wish)
    terminal = os.environ.get("TERM", "linux")
    lines = edit(program.choice, default_store(), for_stderr(quiet=False), terminal)
    click.echo("[kernel]\noptions = [" if lines else "nothing was changed")
    for line in lines:
        click.echo(f'    "{_escaped(line)}",')
    if lines:
        click.echo("]")


def _escaped(line: str) -> str:
    return line.replace("\\", "\\\\").replace('"', '\\"')
