"""Networks as words of QEMU's command line. Written for QEMU 7.2 and later."""

import ipaddress
from collections.abc import Sequence

from ukcc.vm.hypervisor.board import Board
from ukcc.vm.machine import Network
from ukcc.vm.net.options import SLAAC
from ukcc.vm.net.plan import user_network, user_prefix6


def network_words(networks: Sequence[Network], board: Board) -> list[str]:
    """`-netdev` and `-device` for each."""
    words = []
    for index, network in enumerate(networks):
        name = f"net{index}"
        words += ["-netdev", _netdev(name, network)]
        properties = [f"netdev={name}"]
        properties += ["romfile="] if board.boots_from_network else []
        properties += [f"mac={network.mac}"] if network.mac else []
        properties += [f"host_mtu={network.mtu}"] if network.mtu else []
        words += board.device("virtio-net", *properties)
    return words


def _netdev(name: str, network: Network) -> str:
    if network.kind == "user":
        return ",".join(["user", f"id={name}", *_user4(network), *_user6(network)])
    vhost = ["vhost=on"] if network.vhost else []
    if network.fd is not None:
        return ",".join([f"tap,id={name},fd={network.fd}", *vhost])
    if network.kind == "bridge":
        return f"bridge,id={name},br={network.interface}"
    taken = f"tap,id={name},ifname={network.interface},script=no,downscript=no"
    return ",".join([taken, *vhost])


def _user4(network: Network) -> list[str]:
    """User mode follows the address that the guest is given."""
    words = []
    guest = ""
    address = network.address
    if address.cidr and not address.is_dhcp:
        interface = ipaddress.IPv4Interface(address.cidr)
        guest = str(interface.ip)
        words.append(f"net={interface.network}")
        if address.gateway:
            words.append(f"host={address.gateway}")
        words += [f"dns={server}" for server in _within(address.nameservers, interface.network)]
    elif network.index:
        words.append(f"net={user_network(network.index)}")
    for forward in network.forwards:
        host = f"{forward.protocol}:{forward.address}:{forward.host_port}"
        words.append(f"hostfwd={host}-{guest}:{forward.guest_port}")
    return words


def _user6(network: Network) -> list[str]:
    """The same of IPv6. The first network is QEMU's own, fec0::/64."""
    address = network.address
    if address.cidr6 in ("", SLAAC):
        if not network.index:
            return []
        return [f"ipv6-prefix={user_prefix6(network.index).network_address}"]
    prefix = ipaddress.IPv6Interface(address.cidr6).network
    words = [f"ipv6-prefix={prefix.network_address}", f"ipv6-prefixlen={prefix.prefixlen}"]
    if address.gateway6 and ipaddress.IPv6Address(address.gateway6) in prefix:
        words.append(f"ipv6-host={address.gateway6}")
    return words + [f"ipv6-dns={server}" for server in _within(address.nameservers, prefix)]


def _within(
    servers: Sequence[str], network: "ipaddress.IPv4Network | ipaddress.IPv6Network"
) -> list[str]:
    """The name server that is user mode's own: the first that lies in its network, if any."""
    found = [server for server in servers if ipaddress.ip_address(server) in network]
    return found[:1]
