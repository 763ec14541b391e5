"""`ukcc kill`: a signal to the application of a machine."""

import click

from ukcc.cli.names import MachineName
from ukcc.lifecycle import client
from ukcc.lifecycle.registry import Registry, default_directory


@click.command()
@click.option("-s", "--signal", "word", default="KILL", show_default=True, metavar="SIGNAL")
@click.argument("names", type=MachineName(), nargs=-1, required=True, metavar="NAME…")
def command(word: str, names: tuple[str, ...]) -> None:
    """Send a signal to the application; KILL ends the machine."""
    signum = client.parse_signal(word)
    registry = Registry(default_directory())
    for entry in [registry.find(name) for name in dict.fromkeys(names)]:
        client.send(entry, signum)
