"""`ukcc run`: boots an image as `docker run` would start a container."""

import os
from collections.abc import Mapping
from typing import Any

import click

from ukcc.cli import configured, machines
from ukcc.cli import dry_run as rehearsal
from ukcc.cli.continued import refuse_fixed
from ukcc.cli.guest_options import guest_options
from ukcc.cli.names import IMAGE_FILE
from ukcc.errors import MachineError
from ukcc.terminal import shown
from ukcc.vm import options
from ukcc.vm.hypervisor import confine
from ukcc.vm.hypervisor.vmm import QEMU, VMMS, check_cid
from ukcc.vm.machine import AUTO, Hardware
from ukcc.vm.net.options import parse_networks, parse_resolver
from ukcc.vm.options import RunOptions
from ukcc.vm.storage import disks, virtiofs

# The parameters that `ukcc snapshot` lacks.
_NOT_OF_A_SNAPSHOT: Mapping[str, Any] = {
    **dict.fromkeys(("vsock", "gdb", "create", "trace_filter", "trace_output", "name", "from_")),
    **dict.fromkeys(("trace", "detach"), False),
    **dict.fromkeys(("share_by", "machine"), AUTO),
}
_MOST_SECONDS = 100 * 365 * 86400.0  # Python counts nanoseconds in 64 bits


@click.command(
    name="run",
    cls=configured.Configured,
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
    help="What QEMU makes; auto is q35, for a kernel without PCI microvm.",
)
@click.option(
    "-p",
    "--publish",
    multiple=True,
    metavar="[ADDR:]HOST:GUEST[/udp]",
    help="Forward a port of the host, on loopback unless ADDR is given.",
)
@click.option(
    "-v",
    "--volume",
    multiple=True,
    metavar="HOSTDIR:GUESTDIR[:ro|:privileged]",
    help="Share a directory. privileged: set-uid files and devices made in it are the host's.",
)
@click.option(
    "--share-by",
    type=click.Choice(virtiofs.WAYS),
    default=AUTO,
    show_default=True,
    help="How -v does it; auto is virtiofs where that works, else 9p.",
)
@click.option(
    "--disk",
    multiple=True,
    metavar="FILE[:GUESTDIR[:ext4]][,ro][,create=SIZE][,cache=MODE][,format=raw|qcow2]"
    "[,backing=FILE]",
    help="A disk, mounted at GUESTDIR. backing: what a qcow2 image is based on.",
)
@click.option("--create", metavar="SIZE", help="Make the disk on first use, as in 1G.")
@click.option("--read-only", is_flag=True, help="Nothing in the root file system changes.")
@click.option(
    "-e", "--env", multiple=True, metavar="NAME[=VALUE]", help="Set or pass on a variable."
)
@click.option(
    "--net",
    multiple=True,
    metavar="user|none|tap=IF|bridge=BR[,KEY=VALUE]",
    help="A network interface; keys: ip, gw, dns, mtu, mac, host. Without any: user.",
)
@click.option(
    "--ip",
    multiple=True,
    metavar="dhcp|slaac|CIDR[,gw=ADDR][,dns=ADDR]",
    help="The guest's address; the n-th belongs to the n-th --net.",
)
@click.option("--dns", multiple=True, metavar="ADDR", help="A name server.")
@click.option(
    "--dns-search", multiple=True, metavar="DOMAIN", help="Where short names are looked up."
)
@click.option("--add-host", multiple=True, metavar="NAME:ADDR", help="A line of /etc/hosts.")
@click.option("--vsock", type=int, metavar="CID", help="A virtio socket with this number.")
@click.option(
    "--qemu-user",
    default=confine.AUTO,
    show_default=True,
    metavar="auto|root|NAME|UID[:GID]",
    help="The user that QEMU runs as when root starts it; auto: one of its own.",
)
@click.option("--timeout", type=float, metavar="SECONDS", help="End it then, with status 124.")
@click.option("--gdb", type=int, metavar="PORT", help="Wait for gdb on this port of loopback.")
@click.option("--trace", is_flag=True, help="Show the system calls, by strace.")
@click.option("--trace-filter", metavar="EXPR", help="Only these: strace's -e. Implies --trace.")
@click.option("--trace-output", metavar="FILE", help="Not on standard error. Implies --trace.")
@guest_options
@click.option("-d", "--detach", is_flag=True, help="In the background; prints the name.")
@click.option("--name", metavar="NAME", help="For ukcc ps, logs, stop, kill and wait.")
@click.option("--from", "from_", metavar="SNAP", help="Continue what `ukcc snapshot` has saved.")
@click.option("--dry-run", is_flag=True, help="Print the VMM's command line.")
@click.option("--json", "as_json", is_flag=True, help="--dry-run answers in JSON.")
@click.option(
    "--vmm",
    type=click.Choice([QEMU, *VMMS]),
    default=QEMU,
    show_default=True,
    help="What runs the machine.",
)
@click.argument("image", type=IMAGE_FILE, required=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def command(*, dry_run: bool, as_json: bool, **words: Any) -> int:
    """Boot IMAGE with the console on stdio.

    \b
    The exit status is the application's, or
      128 + n  signal n killed the application
      123      the kernel panicked
      124      --timeout was over
      125      the machine failed; one line says why
      126      the application cannot be run, or a step before it failed
      127      there is no such program, or it lacks a library
    """
    context = click.get_current_context()
    if words["from_"] is not None:
        refuse_fixed(context)
    elif words["image"] is None:
        raise click.UsageError("Missing argument 'IMAGE'.")
    wanted = options_of(words)
    if as_json and not dry_run:
        raise MachineError("--json says how --dry-run answers", "add --dry-run")
    if not dry_run:
        return machines.run(wanted)
    settings = configured.shown(context)
    would = rehearsal.dry_run(wanted)
    for note in would.notes:
        click.echo(f"ukcc run: {shown(note)}", err=True)
    if as_json:
        click.echo(configured.shown_json(settings, would))
        return 0
    for setting in configured.shown_lines(settings):
        click.echo(f"ukcc run: {shown(setting)}", err=True)
    click.echo(would.text)
    return 0


def options_of(words: Mapping[str, Any]) -> RunOptions:
    """The words of the options, understood; each by the name of the command's parameter.

    `ukcc snapshot` has fewer of them. Raises MachineError for one that is not understood.
    """
    given = {**_NOT_OF_A_SNAPSHOT, **words}
    timeout, vsock, host = given["timeout"], given["vsock"], dict(os.environb)
    if timeout is not None and not 0 < timeout <= _MOST_SECONDS:
        raise MachineError(
            f"--timeout {timeout:g}: it takes a number of seconds above 0, a hundred years at most"
        )
    if vsock is not None:
        check_cid(vsock)
    pairs = [options.parse_environment(word, host) for word in given["env"]]
    traced = (given["trace"], given["trace_filter"], given["trace_output"])
    return RunOptions(
        image=given["image"] or "",
        arguments=tuple(os.fsencode(word) for word in given["arguments"]),
        environment=tuple(pair for pair in pairs if pair is not None),
        memory_mib=given["memory"],
        accel=given["accel"],
        forwards=tuple(options.parse_forward(word) for word in given["publish"]),
        shares=tuple(options.parse_share(word) for word in given["volume"]),
        share_by=given["share_by"],
        nets=parse_networks(given["net"], given["ip"]),
        hardware=Hardware(
            cpus=given["smp"],
            gdb_port=given["gdb"],
            vsock_cid=vsock,
            readonly_root=given["read_only"],
            resolver=parse_resolver(given["dns"], given["dns_search"], given["add_host"]),
        ),
        timeout=timeout,
        trace=options.parse_trace(*traced),
        guest=given["init"],
        detach=given["detach"],
        name=given["name"],
        disks=disks.with_create(
            tuple(disks.parse_disk(word) for word in given["disk"]), given["create"]
        ),
        resume_from=given["from_"] or "",
        machine_type=given["machine"],
        vmm=given["vmm"],
        qemu_user=given["qemu_user"],
    )
