"""The words of `--net`, `--ip`, `--dns`, `--dns-search` and `--add-host` as data."""

import ipaddress
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import zip_longest

from ukcc.errors import MachineError
from ukcc.vm.machine import Address, Resolver

DHCP, SLAAC = "dhcp", "slaac"
# As many as glibc's resolver asks (resolv.conf(5)), and as sysroot/init/init.h has room for.
MOST_NAMESERVERS = 3
MOST_SEARCHES = 6
MOST_HOSTS = 64
MOST_NETWORKS = 8
# IPv4 passes on no less (RFC 791); the length is a number of 16 bits.
_MTU = range(576, 65536)
_INTERFACE = re.compile(r"[^\s/,:]{1,15}")  # IFNAMSIZ - 1 bytes
_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")
_NAME = re.compile(r"(?!-)[A-Za-z0-9._-]{1,253}")

_NET = "user, none, tap=IF or bridge=BR, then ip=, gw=, dns=, mtu=, mac= and host="
_IP = "dhcp, slaac, A.B.C.D/BITS or IPv6/BITS, then gw=ADDR and dns=ADDR"

_Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class NetOption:
    """One `--net`: kind is `user`, `none`, `tap` or `bridge`; interface names tap or bridge.

    address: None for what is usual there; mtu: bytes, 0 for what is usual; mac: or empty;
    host: whether the guest may reach the host's loopback (user mode); asked: the option that says
    so, empty for the network that is there when nobody has said a word about it.
    """

    kind: str
    interface: str = ""
    address: "Address | None" = None
    mtu: int = 0
    mac: str = ""
    host: bool = False
    asked: str = field(default="", compare=False)


def parse_networks(nets: Sequence[str], addresses: Sequence[str]) -> tuple[NetOption, ...]:
    """All `--net` and `--ip`: the n-th address belongs to the n-th network. None: user mode."""
    wanted = [parse_net(text) for text in nets] or [NetOption("user")]
    if len(addresses) > len(wanted):
        raise MachineError(
            f"--ip {addresses[len(wanted)]}: there is no --net for it",
            "the n-th --ip belongs to the n-th --net",
        )
    if len(wanted) > MOST_NETWORKS:
        raise MachineError(f"--net: {len(wanted)} networks; there may be {MOST_NETWORKS}")
    if len(wanted) > 1 and any(net.kind == "none" for net in wanted):
        raise MachineError("--net none and another --net", "leave one of them out")
    return tuple(
        net if text is None else _with_address(net, text)
        for net, text in zip_longest(wanted, addresses)
    )


def _with_address(net: NetOption, text: str) -> NetOption:
    if net.kind == "none":
        raise MachineError("--ip needs a network", "leave out --net none")
    if net.address is not None:
        raise MachineError(f"--ip {text}: that --net has ip= already", "leave out one of them")
    return replace(net, address=parse_address(text), asked=f"--ip {text}")


def parse_net(text: str) -> NetOption:
    """`KIND[=INTERFACE][,KEY=VALUE…]`, as docs/network.md lists them."""
    first, *rest = text.split(",")
    kind, equals, interface = first.partition("=")
    named = kind in ("tap", "bridge") and bool(_INTERFACE.fullmatch(interface))
    if not named and (kind not in ("user", "none") or equals):
        raise _not_understood("--net", text, _NET)
    pairs = [_pair("--net", text, word, _NET) for word in rest]
    if pairs and kind == "none":
        raise _not_understood("--net", text, "nothing after none")
    mtu = _only(pairs, "mtu", lambda: _not_understood("--net", text, "mtu= once"))
    mac = _only(pairs, "mac", lambda: _not_understood("--net", text, "mac= once"))
    host = _only(pairs, "host", lambda: _not_understood("--net", text, "host= once"))
    given = [pair for pair in pairs if pair[0] in ("ip", "gw", "dns")]
    if len(given) + bool(mtu) + bool(mac) + bool(host) != len(pairs):
        raise _not_understood("--net", text, _NET)
    return NetOption(
        kind,
        interface,
        address=_address("--net", text, given, _NET) if given else None,
        mtu=_mtu(text, kind, mtu) if mtu else 0,
        mac=_mac(text, mac) if mac else "",
        host=_host_reached(text, kind, host),
        asked=f"--net {text}",
    )


def parse_address(text: str) -> Address:
    """`dhcp`, `slaac` or a CIDR, or one for each family, then `gw=` and `dns=`.

    A gateway has to be in the network, but for IPv6's link-local ones.
    """
    words = [word if "=" in word else f"ip={word}" for word in text.split(",")]
    pairs = [_pair("--ip", text, word, _IP) for word in words]
    if not {key for key, _ in pairs} <= {"ip", "gw", "dns"}:
        raise _not_understood("--ip", text, _IP)
    return _address("--ip", text, pairs, _IP)


def _pair(option: str, text: str, word: str, wanted: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    if not key or not value:
        raise _not_understood(option, text, wanted)
    return key, value


def _only(pairs: _Pairs, key: str, problem: Callable[[], MachineError]) -> str:
    """The value of a key that may be there once; empty if it is not."""
    values = [value for name, value in pairs if name == key]
    if len(values) > 1:
        raise problem()
    return values[0] if values else ""


def _host_reached(text: str, kind: str, value: str) -> bool:
    if value and kind != "user":
        raise _not_understood("--net", text, "host= in user mode only")
    if value not in ("", "yes", "no"):
        raise _not_understood("--net", text, "host=yes or host=no")
    return value == "yes"


def _mtu(text: str, kind: str, value: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) < 6 and int(value) in _MTU):
        raise _not_understood("--net", text, f"an mtu from {_MTU[0]} to {_MTU[-1]}")
    if kind == "user" and int(value) > 1500:
        raise _not_understood("--net", text, "an mtu up to 1500 in user mode")
    return int(value)


def _mac(text: str, value: str) -> str:
    mac = value.lower()
    # the lowest bit of the first byte is set in addresses of groups
    if not _MAC.fullmatch(mac) or int(mac[:2], 16) & 1 or mac == "00:00:00:00:00:00":
        raise _not_understood("--net", text, "a mac like 52:54:00:12:34:56, not of a group")
    return mac


def _address(option: str, text: str, pairs: _Pairs, wanted: str) -> Address:
    """What `ip=`, `gw=` and `dns=` say together."""
    address = Address("")
    for value in (value for key, value in pairs if key == "ip"):
        part = _interface(option, text, value, wanted)
        if (address.cidr and part.cidr) or (address.cidr6 and part.cidr6):
            raise _not_understood(option, text, "one address of each family")
        address = part if not (address.cidr or address.cidr6) else _both(address, part)
    for value in (value for key, value in pairs if key == "gw"):
        address = _with_gateway(option, text, address, _host(option, text, value, wanted))
    servers = [_host(option, text, value, wanted) for key, value in pairs if key == "dns"]
    if not (address.cidr or address.cidr6):
        raise _not_understood(option, text, "an address besides gw= and dns=")
    return replace(address, nameservers=tuple(servers))


def _both(one: Address, other: Address) -> Address:
    return Address(one.cidr or other.cidr, cidr6=one.cidr6 or other.cidr6)


def _interface(option: str, text: str, value: str, wanted: str) -> Address:
    if value == DHCP:
        return Address(DHCP)
    if value == SLAAC:
        return Address("", cidr6=SLAAC)
    try:
        interface = ipaddress.ip_interface(value)
    except ValueError:
        raise _not_understood(option, text, wanted) from None
    if "/" not in value or "%" in value:
        raise _not_understood(option, text, wanted)
    _check_host(option, text, interface)
    if interface.version == 6:
        return Address("", cidr6=interface.with_prefixlen)
    return Address(interface.with_prefixlen)


def _check_host(
    option: str, text: str, interface: "ipaddress.IPv4Interface | ipaddress.IPv6Interface"
) -> None:
    ip, network = interface.ip, interface.network
    bad = ip.is_multicast or ip.is_unspecified or ip.is_loopback
    if interface.version == 4 and network.prefixlen < 31:
        bad = bad or ip in (network.network_address, network.broadcast_address)
    if bad:
        raise _not_understood(option, text, f"an address of one machine, which {ip} is not")


def _host(option: str, text: str, value: str, wanted: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise _not_understood(option, text, wanted) from None


def _with_gateway(option: str, text: str, address: Address, gateway: str) -> Address:
    ip = ipaddress.ip_address(gateway)
    own, taken = (
        (address.cidr, address.gateway) if ip.version == 4 else (address.cidr6, address.gateway6)
    )
    if own in ("", DHCP, SLAAC) or taken:
        raise _not_understood(option, text, f"one gw={gateway} for one address of its family")
    interface = ipaddress.ip_interface(own)
    if (ip not in interface.network and not ip.is_link_local) or ip == interface.ip:
        raise _not_understood(option, text, f"a gateway inside {interface.network}")
    if ip.version == 4:
        return replace(address, gateway=gateway)
    return replace(address, gateway6=gateway)


def parse_resolver(
    servers: Sequence[str], searches: Sequence[str], hosts: Sequence[str]
) -> Resolver:
    """`--dns ADDR`, `--dns-search DOMAIN` and `--add-host NAME:ADDR`, each as often as given."""
    for domain in searches:
        if not _NAME.fullmatch(domain):
            raise _not_understood("--dns-search", domain, "a domain like example.com")
    _at_most("--dns-search", searches, MOST_SEARCHES)
    _at_most("--add-host", hosts, MOST_HOSTS)
    given = tuple(_host("--dns", text, text, "an IPv4 or IPv6 address") for text in servers)
    return Resolver(given, tuple(searches), tuple(_host_line(text) for text in hosts))


def _host_line(text: str) -> str:
    """`NAME:ADDR` as a line of /etc/hosts."""
    name, _, value = text.partition(":")
    wanted = "NAME:ADDRESS"
    if not _NAME.fullmatch(name):
        raise _not_understood("--add-host", text, wanted)
    return f"{_host('--add-host', text, value.strip('[]'), wanted)} {name}"


def _at_most(option: str, values: Sequence[str], most: int) -> None:
    if len(values) > most:
        raise MachineError(f"{option} {values[most]}: there may be {most} of them")


def _not_understood(option: str, text: str, wanted: str) -> MachineError:
    return MachineError(f"{option} {text!r} is not understood", f"it takes {wanted}")
