"""Whether the machine of a manifest is one that `ukcc snapshot` makes.

The manifest may be a stranger's, and its machine becomes QEMU's command line: it must name no file,
directory, interface or port of this host, and every word has the form that the planner gives it.
"""

import ipaddress
import re
from collections.abc import Callable, Iterable
from dataclasses import replace

from ukcc.vm.hypervisor import firmware
from ukcc.vm.hypervisor.emulated_cpu import is_emulated_cpu
from ukcc.vm.machine import Address, Attached, Machine, Network

_MAC = re.compile(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", re.IGNORECASE)
_MOST_MIB, _MOST_CPUS, _MOST_NETWORKS = 1 << 24, 64, 32
_MOST_KHZ, _MOST_MTU = 100_000_000, 65535
_LEAST_CID, _MOST_CID = 3, (1 << 32) - 2  # vsock(7)


def find_problem(machine: Machine) -> str:
    """What is wrong with it; empty if nothing is."""
    own = replace(
        machine,
        image="",
        hardware=replace(machine.hardware, gdb_port=None),
        attached=Attached(machine.attached.networks),
        ports=replace(machine.ports, trace_port=False),
    )
    if machine != own:
        return "its machine names something of a host: an image, a directory, a disk or a port"
    numbers = (
        ("memory", machine.memory_mib, 1, _MOST_MIB),
        ("CPUs", machine.hardware.cpus, 1, _MOST_CPUS),
        ("tsc_khz", machine.tsc_khz, 1, _MOST_KHZ),
        ("vsock_cid", machine.hardware.vsock_cid, _LEAST_CID, _MOST_CID),
        ("networks", len(machine.attached.networks), 0, _MOST_NETWORKS),
    )
    for name, value, least, most in numbers:
        if value is not None and not least <= value <= most:
            return f"its machine has {name} {value}"
    if machine.firmware != firmware.DEFAULT:
        return f"its machine has the firmware {machine.firmware!r}"
    if not is_emulated_cpu(machine.emulated_cpu):
        return f"its machine has the CPU {machine.emulated_cpu!r}"
    if machine.accel not in ("kvm", "tcg") or machine.kind != "q35":
        return f"its machine is {machine.kind} by {machine.accel}"
    if machine.balloon or not (machine.acpi and machine.vmgenid):
        return "its machine has other devices"
    return next(filter(None, map(_network_problem, machine.attached.networks)), "")


def _network_problem(network: Network) -> str:
    own = replace(network, forwards=(), interface="", fd=None, vhost=False, host=False)
    if network.kind != "user" or network != own:
        return "its machine has a network of the host's"
    if network.mac and not _MAC.fullmatch(network.mac):
        return f"its machine has the Ethernet address {network.mac!r}"
    if not 0 <= network.mtu <= _MOST_MTU or not 0 <= network.index < _MOST_NETWORKS:
        return "its machine has a network with wrong numbers"
    return _address_problem(network.address)


def _address_problem(address: Address) -> str:
    checked: Iterable[tuple[str, tuple[str, ...], Callable[[str], object]]] = (
        (address.cidr, ("", "dhcp"), ipaddress.IPv4Interface),
        (address.gateway, ("",), ipaddress.IPv4Address),
        (address.cidr6, ("", "slaac"), ipaddress.IPv6Interface),
        (address.gateway6, ("",), ipaddress.IPv6Address),
        *((server, (), ipaddress.ip_address) for server in address.nameservers),
    )
    for text, words, parse in checked:
        if text in words:
            continue
        try:
            parse(text)
        except ValueError:
            return f"its machine has the address {text!r}"
        if "%" in text:  # the zone of an IPv6 address may be any text
            return f"its machine has the address {text!r}"
    return ""
