"""`ukcc run --dry-run`: the command line of a run, for a shell."""

import hashlib
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ukcc.image.facts import ImageMetadata
from ukcc.private_dir import private_directory
from ukcc.vm.boot import trace
from ukcc.vm.boot.contents import read_contents, read_image
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor import confine, guard
from ukcc.vm.hypervisor.accel import choose
from ukcc.vm.hypervisor.qemu import Endpoints, qemu_argv
from ukcc.vm.hypervisor.vmm import FIRECRACKER, QEMU, check_vmm
from ukcc.vm.launch import host_terminal, settings_archive, share_way, with_host
from ukcc.vm.machine import GuestPorts, Machine
from ukcc.vm.net import taps
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import default_memory_reason, plan_machine
from ukcc.vm.storage import virtiofs
from ukcc.vm.storage.diskfile import prepare_disk
from ukcc.vm.storage.share_filter import filtered_argv
from ukcc.vm.storage.share_rules import qemu_rules
from ukcc.vmm.pasted import cloud_hypervisor_argv, firecracker_configuration


@dataclass(frozen=True)
class DryRun:
    """What `run` would do.

    command: QEMU's words or another VMM's, none if it has a configuration instead; daemons: the
    commands that serve shares beside it, by their sockets' paths; notes: for the user.
    """

    command: tuple[str, ...] = ()
    configuration: "Mapping[str, Any] | None" = None
    daemons: "Mapping[str, Sequence[str]]" = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        """One line for a shell, or the configuration."""
        if self.configuration is not None:
            return json.dumps(self.configuration, indent=2)
        return virtiofs.paste_prefix(self.daemons) + shlex.join(self.command)

    @property
    def document(self) -> "dict[str, Any]":
        """The same for JSON."""
        found: dict[str, Any] = {"command": self.command}
        if self.daemons:
            found["daemons"] = list(self.daemons.values())
        if self.configuration is not None:
            found["configuration"] = self.configuration
        return found


def dry_run(options: RunOptions) -> DryRun:
    """What `run` would do, done by nobody.

    The line can be pasted: the archive of the settings is written to a file whose name comes from
    its contents, in the directory for temporary files, and stays there.
    """
    if options.vmm != QEMU:
        check_vmm(options.vmm, options)
    image, facts, options = read_image(options)
    contents = read_contents(options, image, facts, trace.prepare(options.trace))
    facts = contents.facts
    terminal = host_terminal() if options.vmm == QEMU else Terminal()
    serving = virtiofs.plan_shares(options.shares, share_way(options, image, facts))
    disks = tuple(prepare_disk(disk, make=False) for disk in options.disks)
    ports = GuestPorts(trace_port=options.trace is not None)
    machine = plan_machine(options, facts, _accel(options), ports=ports, disks=disks)
    machine = replace(machine, attached=replace(machine.attached, shares=serving.shares))
    machine = taps.with_macs(with_host(machine, image), options.image)
    archive = settings_archive(machine, terminal, options, facts.program, contents.additions)
    # What the line opens beside it (the record, sockets) has guessable names as well.
    path = private_directory() / f"{hashlib.sha256(archive).hexdigest()[:16]}.cpio"
    _write_anew(path, archive)
    notes = (
        f"memory: {_memory_reason(machine, options, facts)}",
        f"settings: {path} (temporary)",
        *serving.notes,
    )
    if options.vmm == FIRECRACKER:
        return DryRun(configuration=firecracker_configuration(machine, path), notes=notes)
    if options.vmm != QEMU:
        return DryRun(tuple(cloud_hypervisor_argv(machine, path)), notes=notes)
    return _with_qemu(DryRun(notes=notes), machine, options, path)


def _with_qemu(would: DryRun, machine: Machine, options: RunOptions, archive: Path) -> DryRun:
    """With QEMU's words. archive: the settings."""
    daemons = virtiofs.commands(machine.attached.shares, archive.parent, archive.stem)
    endpoints = Endpoints(
        initrd=str(archive),
        record=str(archive.with_suffix(".record")),
        trace=str(archive.with_suffix(".trace")),
        virtiofs=tuple(f"path={place}" for place in daemons),
    )
    words, notes = confine.pasted_words(machine, options.qemu_user)
    if confine.closes_loopback(machine):
        guarded = _write_guard(archive.parent)
        notes.append(f"LD_PRELOAD={guarded} keeps that QEMU from the host's loopback")
    command = filtered_argv(qemu_rules(machine), [*qemu_argv(machine, endpoints), *words])
    return replace(would, command=tuple(command), daemons=daemons, notes=(*would.notes, *notes))


def _write_guard(directory: Path) -> str:
    """Writes the guard to a file for a QEMU that is started by hand; its name, for a shell."""
    digest = hashlib.sha256(guard.LIBRARY).hexdigest()[:16]
    path = directory / f"ukcc-{os.getuid()}-{digest}.so"
    _write_anew(path, guard.LIBRARY)
    return shlex.quote(guard.preload(str(path)))


def _accel(options: RunOptions) -> str:
    """KVM where it is wanted, or another VMM than QEMU is, whether it works here or not."""
    return choose(options.accel) if options.vmm == QEMU and options.accel != "kvm" else "kvm"


def _memory_reason(machine: Machine, options: RunOptions, facts: ImageMetadata) -> str:
    if options.memory_mib is None:
        return f"{machine.memory_mib} MiB: {default_memory_reason(facts)}"
    least = (
        f"the image needs {facts.memory_min_mib}" if facts.memory_min_mib else "no minimum known"
    )
    return f"{machine.memory_mib} MiB (-m; {least})"


def _write_anew(path: Path, data: bytes) -> None:
    """In place of one by the same name."""
    path.unlink(missing_ok=True)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
