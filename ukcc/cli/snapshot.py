"""`ukcc snapshot`: boots an image as `ukcc run` does, and keeps the machine for later."""

from typing import Any

import click

from ukcc.cli import configured, machines, run
from ukcc.cli.guest_options import guest_options
from ukcc.cli.names import IMAGE_FILE
from ukcc.settings.keys import Key

# Options of `ukcc run` that a saved machine can have; -p, -v and --disk are taken to say why not.
_OPTIONS = (
    *("memory", "smp", "accel", "publish", "volume", "disk", "env"),
    *("net", "ip", "dns", "dns_search", "add_host", "read_only", "qemu_user", "vmm"),
)
_PATIENCE = 300.0  # seconds


class _Snapshot(configured.Configured):
    """Files say what a run is; of that the ports and the time are those of another process."""

    passed_over = frozenset({"publish", "timeout"})

    def known(self) -> dict[str, Key]:
        return configured.keys_of(run.command)


@click.command(
    name="snapshot",
    cls=_Snapshot,
    params=[param for param in run.command.params if param.name in _OPTIONS],
)
@guest_options
@click.option("-o", "--output", required=True, metavar="SNAP", help="The directory to make.")
@click.option("--when", required=True, metavar="TEXT", help="Save when the console shows it.")
@click.option(
    "--timeout",
    type=float,
    default=_PATIENCE,
    show_default=True,
    metavar="SECONDS",
    help="Give up then, with status 124.",
)
@click.argument("image", type=IMAGE_FILE)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(*, output: str, when: str, **words: Any) -> int:
    """Boot IMAGE until it says TEXT, and save the machine in SNAP for `ukcc run --from SNAP`.

    Options may come before and behind IMAGE; what is behind `--` is the application's.
    """
    return machines.create(run.options_of(words), output, when)
