"""`ukcc boot-chart`: what executes from reset to `main`."""

import json
from pathlib import Path

import click

from ukcc.cli.pictured import picture_options, show_changes, vmlinux_option
from ukcc.errors import MachineError
from ukcc.pictures import draw
from ukcc.pictures.boot import BootChart
from ukcc.pictures.box import largest_first
from ukcc.pictures.drawn import chart_title, draw_chart
from ukcc.pictures.measure import MAIN, boot_chart
from ukcc.pictures.table import tree_lines
from ukcc.terminal import shown

_SMALLEST = 1000  # in the table: a part of the whole


@click.command(name="boot-chart")
@picture_options(64)
@click.option("-m", "--memory", type=int, metavar="MIB", help="As for `ukcc run`.")
@click.option(
    "--machine",
    type=click.Choice(["auto", "q35", "microvm"]),
    metavar="MACHINE",
    help="As for `ukcc run`.",
)
@click.option("--net", multiple=True, metavar="NETWORK", help="As for `ukcc run`.")
@click.option(
    "--smp",
    type=int,
    default=1,
    show_default=True,
    metavar="N",
    help="Only 1: a count of several CPUs differs from run to run.",
)
@click.option(
    "--until",
    default="",
    metavar="CALL",
    help="Count until the program first makes this system call, instead of until `main`.",
)
@click.option("--config", metavar="FILE", help="As for `ukcc run`.")
@click.option("--no-config", is_flag=True, help="As for `ukcc run`.")
@vmlinux_option
def command(
    image: Path,
    other: "Path | None",
    output: "Path | None",
    as_json: bool,
    depth: int,
    memory: "int | None",
    machine: "str | None",
    net: tuple[str, ...],
    smp: int,
    until: str,
    config: "str | None",
    no_config: bool,
    vmlinux: "Path | None",
) -> None:
    """Show what IMAGE executes from reset to `main`, or what has changed from IMAGE to OTHER.

    The machine is that of `ukcc run`, in an emulator that counts instructions; it is ended at
    `main`, or, for a server, where it first waits for work: `--until epoll_wait`. The table and the
    picture have the phases of the boot, and the functions in each.
    """
    if smp != 1:
        raise MachineError(f"--smp {smp}: a boot is counted on one CPU", "leave --smp out")
    if output:
        draw.check_output(output)
    words = _run_words(memory, machine, net, config, no_config)
    chart = boot_chart(image, words, vmlinux, until)
    if other is None:
        _show(chart, image.name, output, as_json, depth)
    else:
        pair = (image.name, other.name)
        _compare(chart, boot_chart(other, words, vmlinux, until), pair, output, as_json, depth)


def _run_words(
    memory: "int | None",
    machine: "str | None",
    net: tuple[str, ...],
    config: "str | None",
    no_config: bool,
) -> list[str]:
    """The options that `ukcc run` gets."""
    words = [] if memory is None else ["-m", str(memory)]
    words += [] if machine is None else ["--machine", machine]
    for one in net:
        words += ["--net", one]
    words += [] if config is None else ["--config", config]
    return [*words, "--no-config"] if no_config else words


def _show(chart: BootChart, name: str, output: "Path | None", as_json: bool, depth: int) -> None:
    title = chart_title(name, chart)
    if as_json:
        document = {"end": chart.end, "until_main": chart.end == MAIN, "total": chart.total}
        click.echo(json.dumps({**document, "tree": chart.tree.as_json()}, indent=1))
    elif not output:
        click.echo(shown(title))
        for line in tree_lines(largest_first(chart.tree), depth, chart.total // _SMALLEST):
            click.echo(line)
    if output:
        draw_chart(chart, name, output)


def _compare(
    before: BootChart,
    after: BootChart,
    names: tuple[str, str],
    output: "Path | None",
    as_json: bool,
    depth: int,
) -> None:
    title = f"{names[0]} to {names[1]}: {after.total - before.total:+,} instructions to {after.end}"
    show_changes(before.tree, after.tree, title, "instructions", output, as_json, depth)
