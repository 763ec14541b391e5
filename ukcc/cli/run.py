"""`ukcc run`: boots an image as `docker run` would start a container."""

import os

import click

from ukcc.cli.continued import refuse_fixed
from ukcc.errors import MachineError
from ukcc.vm import launch, options
from ukcc.vm.vmm import VMMS, check_cid


@click.command(
    name="run",
    context_settings={
        # what follows the image is the application's, --help and all
        "ignore_unknown_options": False,
        "allow_interspersed_args": False,
    },
)
@click.option("-m", "--memory", type=int, metavar="MIB", help="Memory in MiB.")
@click.option("--smp", type=int, default=1, show_default=True, metavar="N", help="CPUs.")
@click.option(
    "--accel",
    type=click.Choice(["auto", "kvm", "tcg"]),
    default="auto",
    show_default=True,
    help="auto tries whether KVM works here.",
)
@click.option(
    "--machine",
    type=click.Choice(["auto", "q35", "microvm"]),
    default="auto",
    show_default=True,
    help="What QEMU makes; auto is q35.",
)
@click.option("--vsock", type=int, metavar="CID", help="A virtio socket with this number.")
@click.option(
    "--vmm",
    type=click.Choice(["qemu", *VMMS]),
    default="qemu",
    show_default=True,
    help="For --dry-run: the same machine for another VMM.",
)
@click.option(
    "-p",
    "--publish",
    multiple=True,
    metavar="[ADDR:]HOST:GUEST[/udp]",
    help="Forward a port of the host, on loopback unless ADDR is given.",
)
@click.option(
    "-v", "--volume", multiple=True, metavar="HOSTDIR:GUESTDIR[:ro]", help="Share a directory."
)
@click.option(
    "-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set or pass on a variable."
)
@click.option("--net", default="user", show_default=True, metavar="user|none|tap=IF")
@click.option("--ip", metavar="dhcp|CIDR[,gw=ADDR]", help="The guest's address.")
@click.option("--timeout", type=float, metavar="SECONDS", help="End it then, with status 124.")
@click.option("--gdb", type=int, metavar="PORT", help="Wait for gdb on this port of loopback.")
@click.option("--trace", is_flag=True, help="Show the system calls, by strace.")
@click.option("--trace-filter", metavar="EXPR", help="Only these: strace's -e. Implies --trace.")
@click.option("--trace-output", metavar="FILE", help="Not on standard error. Implies --trace.")
@click.option("--from", "from_", metavar="SNAP", help="Continue what `ukcc snapshot` has saved.")
@click.option("--dry-run", is_flag=True, help="Print the VMM's command line.")
@click.argument("image", required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@click.pass_context
def command(
    context: click.Context,
    memory: "int | None",
    smp: int,
    accel: str,
    machine: str,
    vsock: "int | None",
    vmm: str,
    publish: tuple[str, ...],
    volume: tuple[str, ...],
    env: tuple[str, ...],
    net: str,
    ip: "str | None",
    timeout: "float | None",
    gdb: "int | None",
    trace: bool,
    trace_filter: "str | None",
    trace_output: "str | None",
    from_: "str | None",
    dry_run: bool,
    image: "str | None",
    arguments: tuple[str, ...],
) -> int:
    """Boot IMAGE with the console on stdio.

    The exit status is the application's, 128 + n when signal n killed it, 124 after --timeout,
    125 when the machine failed.
    """
    if from_ is not None:
        refuse_fixed(context)
    elif image is None:
        raise click.UsageError("Missing argument 'IMAGE'.")
    if timeout is not None and timeout <= 0:
        raise MachineError(f"--timeout {timeout:g}: it takes a number of seconds above 0")
    host = dict(os.environb)
    pairs = [options.parse_environment(word, host) for word in env]
    wanted = options.RunOptions(
        image=image or "",
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
        gdb_port=gdb,
        trace=options.parse_trace(trace, trace_filter, trace_output),
        snapshot=from_ or "",
        machine=machine,
        vsock_cid=vsock,
        vmm=vmm,
    )
    if vmm != "qemu" and not dry_run:
        raise MachineError(f"--vmm {vmm}: only with --dry-run", "run what that prints")
    if vsock is not None:
        check_cid(vsock)
    if dry_run:
        click.echo(launch.dry_run(wanted))
        return 0
    return launch.run(wanted)
