"""`ukcc wait`: until a machine ends."""

import click

from ukcc.cli.names import MachineName
from ukcc.lifecycle import client
from ukcc.lifecycle.registry import Registry, default_directory


@click.command()
@click.argument("name", type=MachineName())
def command(name: str) -> int:
    """Wait for the end of the machine NAME; print its exit status, and return it."""
    end = client.wait(Registry(default_directory()).find(name))
    click.echo(end.status)
    return end.status or 0
