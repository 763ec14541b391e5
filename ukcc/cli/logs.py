"""`ukcc logs`: what a detached machine has said."""

import click

from ukcc.cli.names import MachineName
from ukcc.descriptors import write_all
from ukcc.errors import MachineError
from ukcc.lifecycle.identity import has_ended, open_process
from ukcc.lifecycle.logs import LogReader, show
from ukcc.lifecycle.registry import Registry, default_directory

_PAUSE = 0.2  # seconds between two looks at a log that is followed


@click.command()
@click.option("-f", "--follow", is_flag=True, help="Go on until the machine ends.")
@click.argument("name", type=MachineName())
def command(follow: bool, name: str) -> None:
    """Show the output of the detached machine NAME, each stream on its own."""
    entry = Registry(default_directory()).find(name)
    if entry.facts is None or entry.supervisor is None:
        raise MachineError(f"{name}: its entry is unreadable", "`ukcc ps --prune` forgets it")
    if not entry.facts.detached:
        raise MachineError(
            f"{name} runs in the foreground: its output is where it was started",
            "`ukcc run -d` keeps it",
        )
    with open_process(entry.supervisor) as pidfd:
        following = pidfd if follow else None
        more = lambda: following is not None and not has_ended(following, _PAUSE)  # noqa: E731
        show(LogReader(entry.path), write_all, more)
