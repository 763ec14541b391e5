"""`ukcc stop`: SIGTERM to the application, and after a grace period the end of its machine."""

import click

from ukcc.cli.names import MachineName
from ukcc.errors import MachineError
from ukcc.lifecycle import client
from ukcc.lifecycle.registry import Registry, default_directory


@click.command()
@click.option(
    "-t",
    "--time",
    "grace",
    type=float,
    default=client.GRACE,
    show_default=True,
    metavar="SECONDS",
    help="Grace period.",
)
@click.argument("names", type=MachineName(), nargs=-1, required=True, metavar="NAME…")
def command(grace: float, names: tuple[str, ...]) -> None:
    """Stop machines: SIGTERM to the application, and to the machine if it has not ended then."""
    if not 0 <= grace < float("inf"):
        raise MachineError(f"-t {grace:g}: it takes a number of seconds, 0 or more")
    registry = Registry(default_directory())
    entries = [registry.find(name) for name in dict.fromkeys(names)]
    for ending in client.stop(entries, grace):
        if ending.forced:
            click.echo(
                f"ukcc stop: {ending.name} had not ended {grace:g} s after SIGTERM;"
                " its machine was ended",
                err=True,
            )
        click.echo(ending.name)
