"""`ukcc snapshot`: boots an image as `ukcc run` does, and keeps the machine for later."""

import os

import click

from ukcc.cli import run
from ukcc.errors import MachineError
from ukcc.snapshots import take
from ukcc.vm import options

# Options of `ukcc run` that a saved machine can have; -p and -v are taken to say why not.
_OPTIONS = ("memory", "smp", "accel", "publish", "volume", "env", "net", "ip")
_PATIENCE = 300.0  # seconds


@click.command(
    name="snapshot",
    params=[param for param in run.command.params if param.name in _OPTIONS],
)
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
@click.argument("image")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(
    memory: "int | None",
    smp: int,
    accel: str,
    publish: tuple[str, ...],
    volume: tuple[str, ...],
    env: tuple[str, ...],
    net: str,
    ip: "str | None",
    output: str,
    when: str,
    timeout: float,
    image: str,
    arguments: tuple[str, ...],
) -> int:
    """Boot IMAGE until it says TEXT, and save the machine in SNAP for `ukcc run --from SNAP`.

    Options may come before and behind IMAGE; what is behind `--` is the application's.
    """
    if timeout <= 0:
        raise MachineError(f"--timeout {timeout:g}: it takes a number of seconds above 0")
    host = dict(os.environb)
    pairs = [options.parse_environment(word, host) for word in env]
    wanted = options.RunOptions(
        image=image,
        arguments=tuple(os.fsencode(word) for word in arguments),
        environment=tuple(pair for pair in pairs if pair is not None),
        memory_mib=memory,
        cpus=smp,
        accel=accel,
        forwards=tuple(options.parse_forward(word) for word in publish),
        shares=tuple(options.parse_share(word) for word in volume),
        net=options.parse_net(net),
        address=None if ip is None else options.parse_address(ip),
        timeout=timeout,
    )
    return take.take(wanted, output, when)
