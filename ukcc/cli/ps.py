"""`ukcc ps`: the machines of this user."""

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import click

from ukcc.lifecycle.entry import MachineEntry
from ukcc.lifecycle.registry import Registry, default_directory
from ukcc.terminal import shown

_HEAD = ("NAME", "IMAGE", "SINCE", "PORTS", "ACCEL", "MEMORY", "STATE")


@click.command()
@click.option("-a", "--all", "everything", is_flag=True, help="Those that have ended, too.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--prune", is_flag=True, help="Forget those that have ended; prints their names.")
def command(everything: bool, as_json: bool, prune: bool) -> None:
    """List the machines that run."""
    registry = Registry(default_directory())
    if prune:
        for name in registry.prune():
            click.echo(shown(name))
        return
    listed = [entry for entry in registry.entries() if everything or entry.is_running]
    if as_json:
        click.echo(json.dumps([_facts(entry) for entry in listed], indent=1))
        return
    for line in table([_HEAD, *(_row(entry) for entry in listed)]):
        click.echo(line)


def table(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows as lines with columns below each other."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield "  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)).rstrip()


def _row(entry: MachineEntry) -> tuple[str, ...]:
    return tuple(shown(word) for word in _words(entry))


def _words(entry: MachineEntry) -> tuple[str, ...]:
    facts = entry.facts
    if facts is None:
        return (entry.name, "", "", "", "", "", entry.state)
    since = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(facts.since))
    ports = ",".join(facts.ports)
    memory = f"{facts.memory_mib} MiB"
    image = facts.image.rpartition("/")[2]
    return (facts.name, image, since, ports or "-", facts.accel, memory, entry.state)


def _facts(entry: MachineEntry) -> "dict[str, object]":
    table = asdict(entry.facts) if entry.facts else {"name": entry.name}
    pid = entry.supervisor.pid if entry.supervisor and entry.is_running else None
    end = asdict(entry.end) if entry.end else None
    return {**table, "state": entry.state, "supervisor": pid, "end": end}
