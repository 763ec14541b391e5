"""The networks that were asked for, to the networks of a machine. Pure functions."""

import hashlib
import ipaddress
from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from ukcc.errors import MachineError
from ukcc.vm.machine import Address, Forward, Network, Resolver
from ukcc.vm.net.options import DHCP, MOST_NAMESERVERS, SLAAC, NetOption

# The addresses that QEMU's user mode uses by itself (qemu-system-x86_64(1), -netdev user), for the
# first network; a further one counts the third number up, so that each has its own.
_USER_NETWORK = "10.0.{}.0/24"
_USER_HOST = 15
_USER_PREFIX6 = "fec0:0:0:{:x}::/64"
_USER_MAC = "52:54:00:12:34:{:02x}"  # QEMU's own first


def plan_networks(
    nets: Sequence[NetOption], forwards: Sequence[Forward], resolver: Resolver
) -> tuple[Network, ...]:
    """The machine's interfaces, in order; the ports lead to the first in user mode.

    Raises MachineError for addresses that are in each other's way.
    """
    networks = [
        _network(net, index, usual_dns=not resolver.nameservers)
        for index, net in enumerate(nets)
        if net.kind != "none"
    ]
    if forwards:
        _check_forwards(forwards)
        index = _forwarding(networks, forwards[0])
        networks[index] = replace(networks[index], forwards=tuple(forwards))
    _check_apart(networks)
    named = [*resolver.nameservers, *(s for n in networks for s in n.address.nameservers)]
    if len(set(named)) > MOST_NAMESERVERS:
        raise MachineError(
            f"{len(set(named))} name servers: {', '.join(dict.fromkeys(named))}",
            f"a program asks {MOST_NAMESERVERS} at most",
        )
    return tuple(networks)


def _check_forwards(forwards: Sequence[Forward]) -> None:
    """A port of the host leads to one place; 0.0.0.0 is every address."""
    for one, other in combinations(forwards, 2):
        if (one.host_port, one.protocol) == (other.host_port, other.protocol) and (
            one.address == other.address or "0.0.0.0" in (one.address, other.address)
        ):
            raise MachineError(f"-p {one} and -p {other}: the same port of the host")


def _forwarding(networks: Sequence[Network], first: Forward) -> int:
    for index, network in enumerate(networks):
        if network.kind == "user" and network.address.cidr:
            return index
    raise MachineError(
        f"-p {first} needs --net user, with an IPv4 address",
        "with a tap the guest has an address of its own",
    )


def _network(net: NetOption, index: int, usual_dns: bool) -> Network:
    if net.kind == "user":
        address = _user_address(net.address, index, usual_dns)
        mac = net.mac or _USER_MAC.format(0x56 + index)
        return Network(net.kind, address, mac=mac, mtu=net.mtu, index=index, host=net.host)
    return Network(
        net.kind,
        net.address or Address(DHCP),
        interface=net.interface,
        mac=net.mac,
        mtu=net.mtu,
        index=index,
    )


def user_network(index: int) -> ipaddress.IPv4Network:
    """The IPv4 network of user mode for the interface of that number."""
    return ipaddress.IPv4Network(_USER_NETWORK.format(2 + index))


def user_prefix6(index: int) -> ipaddress.IPv6Network:
    """The IPv6 network of user mode for the interface of that number."""
    return ipaddress.IPv6Network(_USER_PREFIX6.format(index))


def _user_address(given: "Address | None", index: int, usual_dns: bool) -> Address:
    """Completes an address by the places of user mode's gateway (2) and name server (3)."""
    usual = user_network(index)
    address = given or Address(f"{usual[_USER_HOST]}/{usual.prefixlen}")
    if not address.is_dhcp and address.cidr:
        address = _complete4(address, usual_dns and not address.nameservers)
    if address.cidr6 not in ("", SLAAC):
        address = _complete6(address, usual_dns and not address.nameservers)
    elif address.cidr6 == SLAAC and not address.cidr and usual_dns and not address.nameservers:
        address = replace(address, nameservers=(str(user_prefix6(index)[3]),))
    return address


def _complete4(address: Address, usual_dns: bool) -> Address:
    interface = ipaddress.IPv4Interface(address.cidr)
    network = interface.network
    if network.num_addresses < 8:
        raise MachineError(f"--ip {address.cidr}: the network is too small for user mode")
    gateway = address.gateway or str(network[2])
    servers = (str(network[3]),) if usual_dns else address.nameservers
    _check_own(str(interface.ip), gateway, servers)
    return replace(address, gateway=gateway, nameservers=servers)


def _complete6(address: Address, usual_dns: bool) -> Address:
    interface = ipaddress.IPv6Interface(address.cidr6)
    network = interface.network
    if network.prefixlen > 120:
        raise MachineError(f"--ip {address.cidr6}: the network is too small for user mode")
    gateway = address.gateway6 or str(network[2])
    servers = (str(network[3]),) if usual_dns else address.nameservers
    _check_own(str(interface.ip), gateway, servers)
    return replace(address, gateway6=gateway, nameservers=servers)


def _check_own(own: str, gateway: str, servers: Sequence[str]) -> None:
    if own in (gateway, *servers):
        raise MachineError(
            f"--ip {own}: user mode has its gateway or name server there",
            "choose another address, or give gw= and dns=",
        )


def _check_apart(networks: Sequence[Network]) -> None:
    """Two interfaces in one network would answer for each other."""
    for one, other in combinations(networks, 2):
        if one.mac and one.mac == other.mac:
            raise MachineError(f"--net: two interfaces with mac={one.mac}", "leave one out")
        if one.kind == other.kind == "tap" and one.interface == other.interface:
            raise MachineError(f"--net tap={one.interface} is there twice")
        for a in _static(one):
            for b in _static(other):
                if a.version == b.version and a.network.overlaps(b.network):
                    raise MachineError(
                        f"--ip {a} and {b}: two interfaces in one network",
                        "give each a network of its own",
                    )


def _static(network: Network) -> "list[ipaddress.IPv4Interface | ipaddress.IPv6Interface]":
    given = (network.address.cidr, network.address.cidr6)
    return [ipaddress.ip_interface(cidr) for cidr in given if cidr not in ("", DHCP, SLAAC)]


def mac_of(*words: str) -> str:
    """An Ethernet address made from words: the same for the same words, and no one else's.

    One of a single machine, administered locally (IEEE 802, bits 0 and 1 of the first byte).
    """
    digest = hashlib.sha256("\0".join(words).encode("utf-8", "surrogateescape")).digest()
    return ":".join(f"{byte:02x}" for byte in (0x52, *digest[:5]))
