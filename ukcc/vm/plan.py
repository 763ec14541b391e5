"""Options, and what the image and the terminal say, to a machine. A pure function."""

from ukcc.errors import MachineError
from ukcc.image.facts import ImageMetadata
from ukcc.settings.foreign import host_memory_mib
from ukcc.vm.hypervisor.board import PLACES, PLACES_WITHOUT_ACPI
from ukcc.vm.hypervisor.vmm import QEMU
from ukcc.vm.machine import MICROVM, NO_PORTS, Attached, GuestPorts, Machine
from ukcc.vm.net.plan import plan_networks
from ukcc.vm.offers import PCI, has, machine_kind
from ukcc.vm.options import RunOptions
from ukcc.vm.storage.disks import Disk
from ukcc.vm.storage.volumes import check_places

# A server with some data fits, and a host has room for many.
_COMFORTABLE_MIB = 128
_MOST_CPUS = 64  # CONFIG_NR_CPUS of sysroot/linux/config/smp.config


def plan_machine(
    options: RunOptions,
    facts: ImageMetadata,
    accel: str,
    *,
    ports: GuestPorts = NO_PORTS,
    disks: "tuple[Disk, ...] | None" = None,
) -> Machine:
    """The machine for these options. Raises MachineError for what cannot work.

    disks: those of the options, opened; None while they were not looked at.
    """
    hardware = options.hardware
    if not 1 <= hardware.cpus <= _MOST_CPUS:
        raise MachineError(f"--smp {hardware.cpus}: the kernel takes 1 to {_MOST_CPUS} CPUs")
    networks = plan_networks(options.nets, options.forwards, hardware.resolver)
    disks = options.disks if disks is None else disks
    check_places(options.shares, disks, facts.program)
    machine = Machine(
        image=options.image,
        memory_mib=_memory(options.memory_mib, facts, options.image),
        accel=accel,
        hardware=hardware,
        attached=Attached(networks, options.shares, disks),
        ports=ports,
        balloon=has(facts, "balloon"),
        rng=has(facts, "rng"),
        acpi=has(facts, PCI),
        kind=machine_kind(options.machine_type, facts),
    )
    if machine.kind == MICROVM and options.vmm == QEMU:
        _check_room(machine)
    return machine


def _check_room(machine: Machine) -> None:
    """Raises MachineError for more devices than QEMU's microvm has places for."""
    places = PLACES if machine.acpi else PLACES_WITHOUT_ACPI
    attached = machine.attached
    named = len(attached.networks) + len(attached.shares) + len(attached.disks)
    # and one has all the ports
    count = named + 1 + sum((machine.rng, machine.balloon, bool(machine.hardware.vsock_cid)))
    if count > places:
        raise MachineError(
            f"{machine.image}: {count} virtio devices, and a microvm has {places} places"
            + ("" if machine.acpi else " where the kernel has no ACPI"),
            "leave out networks, shares or disks; or use "
            + ("--machine q35" if machine.acpi else f"`ukcc specialise --require {PCI}`: a q35"),
        )


def default_memory_mib(facts: ImageMetadata) -> int:
    """MiB: twice what the image needs to boot, and no less than is comfortable."""
    return max(_COMFORTABLE_MIB, 2 * facts.memory_min_mib)


def default_memory_reason(facts: ImageMetadata) -> str:
    """Why that much, for people."""
    if not facts.memory_min_mib:
        return "the default, as the image does not say what it needs"
    twice = 2 * facts.memory_min_mib
    needs = f"twice the {facts.memory_min_mib} that the image needs to boot"
    return needs if twice >= _COMFORTABLE_MIB else f"the default, more than {needs}"


def _memory(wanted: "int | None", facts: ImageMetadata, image: str) -> int:
    if wanted is None:
        default = default_memory_mib(facts)
        if default > max(host_memory_mib(), _COMFORTABLE_MIB):
            raise MachineError(
                f"{image}: it says that it needs {facts.memory_min_mib} MiB to boot, and this host"
                f" has {host_memory_mib()} MiB",
                "-m chooses another size",
            )
        return default
    if wanted < max(facts.memory_min_mib, 1):
        raise MachineError(
            f"{image}: -m {wanted}: this image needs at least {max(facts.memory_min_mib, 1)} MiB",
            f"leave -m out for {default_memory_mib(facts)} MiB",
        )
    return wanted
