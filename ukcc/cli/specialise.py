"""`ukcc specialise`: a kernel for one program."""

import json
from pathlib import Path
from typing import Any

import click

from ukcc.cli.configured import settings_of
from ukcc.specialise.features import SIZE, SPEED, FeatureWish
from ukcc.terminal import shown


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    metavar="IMAGE",
    help="Write the new image here (default: replace IMAGE).",
)
@click.option(
    "--size", "goal", flag_value=SIZE, help="Prefer few bytes (default without a network)."
)
@click.option(
    "--speed", "goal", flag_value=SPEED, help="Prefer few instructions per call (default with one)."
)
@click.option(
    "--require", multiple=True, metavar="FEATURE", help="Include this feature; may be repeated."
)
@click.option(
    "--forbid", multiple=True, metavar="FEATURE", help="Leave out this feature; may be repeated."
)
@click.option(
    "--strict", is_flag=True, help="Kill a process that makes a system call which was left out."
)
@click.option(
    "--learn",
    type=click.Path(path_type=Path),
    metavar="TRACE",
    help="Also keep what a run used: a file of `ukcc run --trace-output`.",
)
@click.option("--config", metavar="FILE", help="Settings: a uk.toml (default: that beside IMAGE).")
@click.option("--ready", is_flag=True, help="Only use a kernel that the store already has.")
@click.option("-n", "--dry-run", is_flag=True, help="Print what the kernel would have, and why.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-j", "--jobs", type=click.IntRange(min=1), help="Processes at a time.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")
def command(
    image: Path,
    output: "Path | None",
    goal: "str | None",
    require: tuple[str, ...],
    forbid: tuple[str, ...],
    strict: bool,
    learn: "Path | None",
    config: "str | None",
    ready: bool,
    dry_run: bool,
    as_json: bool,
    jobs: "int | None",
    quiet: bool,
) -> None:
    """Give IMAGE its own kernel, with what its program needs and nothing else.

    The needs are read from the machine code of every program in the image; nothing is run. What the
    code cannot tell (disks, shared directories, more CPUs) comes from uk.toml or --require.
    """
    from ukcc.specialise.program import read_program

    wish = FeatureWish(require, forbid, (), goal or "")
    program = read_program(image, settings_of(str(image), config), wish, strict=strict, learn=learn)
    if dry_run:
        report = program.report()
    else:
        report = _specialise(image, output or image, program, jobs or 0, quiet=quiet, ready=ready)
    if as_json:
        click.echo(json.dumps(report, indent=2, sort_keys=True))
    elif not quiet:
        for line in _lines(report, dry_run):
            click.echo(shown(line))


def _specialise(
    image: Path, output: Path, program: Any, jobs: int, *, quiet: bool, ready: bool
) -> dict[str, Any]:
    """Makes the kernel, or takes one that is there, and makes the image with it."""
    from ukcc.image.thin import check_room, with_kernel
    from ukcc.progress import for_stderr
    from ukcc.specialise.make import make
    from ukcc.specialise.program import general_kernel, ready_kernel
    from ukcc.sysroot.store import default_store

    check_room(str(image), program.request.offers)
    store = default_store()
    general = general_kernel(store, program.needs)
    if ready:
        made = ready_kernel(program, store)
    else:
        made = make(program.request, general, store, for_stderr(quiet), jobs)
    before = image.stat().st_size
    with_kernel(str(image), output, str(made.directory))
    return {
        **program.report(),
        "output": str(output),
        "kernel": made.id,
        "class": made.class_name,
        "bytes": {
            "kernel": made.size,
            "general_kernel": (general.parent / "kernel.bin").stat().st_size,
            "image": output.stat().st_size,
            "image_before": before,
        },
    }


def _lines(report: dict[str, Any], dry_run: bool) -> "list[str]":
    """The report for people."""
    calls = report["calls"]
    count = "every system call" if calls is None else f"{len(calls)} system calls"
    made = f" {report['kernel']}" if "kernel" in report else ""
    lines = [f"{report['image']}: kernel{made} for {report['goal']}, with {count}"]
    if dry_run:
        lines += [f"  {name:<14}{why}" for name, why in report["features"].items()]
    elif report["features"]:
        lines.append(f"  features  {' '.join(report['features'])}")
    lines += [f"  {name:<14}forbidden, but: {why}" for name, why in report["forbidden"].items()]
    lines += [f"  unknown: {place}" for place in report["unknown"]]
    lines += [f"  not seen: programs and libraries of {place}" for place in report["unseen"]]
    if report["learned"]:
        lines.append(f"  learned   {' '.join(report['learned'])}")
    if not dry_run:
        sizes = report["bytes"]
        lines += [
            f"  kernel    {sizes['kernel']:,} bytes instead of {sizes['general_kernel']:,}",
            f"  image     {sizes['image']:,} bytes instead of {sizes['image_before']:,}",
        ]
    return lines
