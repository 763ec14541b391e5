"""QEMU's words for a machine whose memory is a file, and that is saved or continued."""

import hashlib
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from ukcc.vm.hypervisor.qemu import Endpoints, qemu_argv
from ukcc.vm.machine import Forward, Machine

_MIB = 1 << 20


def saved_argv(machine: Machine, endpoints: Endpoints, memory: Path) -> list[str]:
    """A machine that will be saved: it writes its memory to the file."""
    return [*qemu_argv(machine, endpoints), *_memory(machine, memory, "on")]


def continued_argv(
    machine: Machine, endpoints: Endpoints, memory: Path, monitor_fd: int
) -> list[str]:
    """A machine that begins with the memory of the file, which it never changes.

    monitor_fd: QEMU's end of the socket by which the devices' state is given to it.
    """
    return [
        *qemu_argv(machine, endpoints),
        *_memory(machine, memory, "off"),
        *("-chardev", f"socket,id=incoming,fd={monitor_fd}"),
        *("-mon", "chardev=incoming,mode=control", "-incoming", "defer"),
    ]


def fingerprint(machine: Machine) -> str:
    """sha256 of the words that make the machine, whatever its image and files are called."""
    words = saved_argv(replace(machine, image=""), Endpoints(initrd="", record=""), Path())
    return hashlib.sha256("\0".join(words).encode()).hexdigest()


def forward_rules(machine: Machine, forwards: Iterable[Forward]) -> list[str]:
    """Words of the monitor's `hostfwd_add`, one a port, for the first user mode network."""
    for index, network in enumerate(machine.attached.networks):
        if network.kind == "user":
            cidr = network.address.cidr
            guest = "" if network.address.is_dhcp else cidr.partition("/")[0]
            return [
                f"net{index} {f.protocol}:{f.address}:{f.host_port}-{guest}:{f.guest_port}"
                for f in forwards
            ]
    return []


def _memory(machine: Machine, file: Path, share: str) -> list[str]:
    size = machine.memory_mib * _MIB
    path = str(file).replace(",", ",,")
    return [
        *("-object", f"memory-backend-file,id=ram,size={size},mem-path={path},share={share}"),
        *("-machine", "memory-backend=ram"),
    ]
