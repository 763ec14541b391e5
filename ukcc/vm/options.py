"""The words of `ukcc run`'s options as data. Each parser names the word it did not understand."""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.vm.machine import Address, Forward, Share

LOOPBACK = "127.0.0.1"
_PORT_LIMIT = 65535
_INTERFACE = re.compile(r"[^\s/,:]{1,15}")  # IFNAMSIZ - 1 bytes


@dataclass(frozen=True)
class NetOption:
    """`--net`: kind is `user`, `none` or `tap`; interface names the tap."""

    kind: str
    interface: str = ""


@dataclass(frozen=True)
class TraceOption:
    """`--trace`: filter as for strace's -e, empty for all; output: a file, empty for stderr."""

    filter: str = ""
    output: str = ""


@dataclass(frozen=True)
class RunOptions:
    """Everything that `ukcc run` was told.

    memory_mib: None for the image's own default; timeout: seconds, None for no limit;
    arguments and environment: bytes, since they may be anything but NUL;
    trace: None, or what to show of the system calls; snapshot: what `--from` names, or empty.
    """

    image: str
    arguments: tuple[bytes, ...] = ()
    environment: tuple[tuple[bytes, bytes], ...] = ()
    memory_mib: "int | None" = None
    cpus: int = 1
    accel: str = "auto"
    forwards: tuple[Forward, ...] = ()
    shares: tuple[Share, ...] = ()
    net: NetOption = NetOption("user")
    address: "Address | None" = None
    timeout: "float | None" = None
    gdb_port: "int | None" = None
    trace: "TraceOption | None" = None
    snapshot: str = ""
    machine: str = "auto"
    vsock_cid: "int | None" = None
    vmm: str = "qemu"


def parse_forward(text: str) -> Forward:
    """`[ADDR:]HOST:GUEST[/udp]` -> Forward. Without an address it is loopback."""
    ports, slash, protocol = text.partition("/")
    words = ports.rsplit(":", 2)
    if len(words) == 2:
        words = [LOOPBACK, *words]
    numbers = [int(word) for word in words[1:] if word.isascii() and word.isdigit()]
    if len(numbers) != 2 or not all(0 < number <= _PORT_LIMIT for number in numbers):
        raise _not_understood("-p", text, "[ADDR:]HOST:GUEST[/udp], ports 1 to 65535")
    if slash and protocol not in ("tcp", "udp"):
        raise _not_understood("-p", text, "/tcp or /udp behind the ports")
    try:
        address = str(ipaddress.IPv4Address(words[0]))
    except ValueError:
        raise _not_understood("-p", text, "an IPv4 address before the ports") from None
    return Forward(address, numbers[0], numbers[1], protocol or "tcp")


def parse_share(text: str) -> Share:
    """`HOSTDIR:GUESTDIR[:ro|:rw]` -> Share. GUESTDIR is absolute; HOSTDIR need not be."""
    paths, readonly = text, False
    for mode in (":ro", ":rw"):
        if text.endswith(mode):
            paths, readonly = text[: -len(mode)], mode == ":ro"
    host, found, guest = paths.rpartition(":/")
    if not found or not host:
        raise _not_understood("-v", text, "HOSTDIR:/GUESTDIR[:ro]")
    guest = "/" + guest
    if "\n" in guest or "\0" in guest:
        raise _not_understood("-v", text, "a guest directory without line breaks")
    return Share(str(Path.cwd() / host), guest, readonly)


def parse_net(text: str) -> NetOption:
    """`user`, `none` or `tap=INTERFACE`."""
    kind, equals, interface = text.partition("=")
    if kind in ("user", "none") and not equals:
        return NetOption(kind)
    if kind == "tap" and _INTERFACE.fullmatch(interface):
        return NetOption(kind, interface)
    raise _not_understood("--net", text, "user, none or tap=INTERFACE")


def parse_address(text: str) -> Address:
    """`dhcp`, or `CIDR[,gw=ADDR][,dns=ADDR]`. The gateway has to be in the network."""
    if text == "dhcp":
        return Address("dhcp")
    cidr, *rest = text.split(",")
    wanted = "dhcp or A.B.C.D/BITS[,gw=ADDR][,dns=ADDR]"
    try:
        interface = ipaddress.IPv4Interface(cidr)
        pairs = [item.partition("=") for item in rest]
        given = {key: str(ipaddress.IPv4Address(value)) for key, _, value in pairs}
    except ValueError:
        raise _not_understood("--ip", text, wanted) from None
    if "/" not in cidr or not given.keys() <= {"gw", "dns"} or len(given) != len(rest):
        raise _not_understood("--ip", text, wanted)
    gateway = given.get("gw", "")
    if gateway and ipaddress.IPv4Address(gateway) not in interface.network:
        raise _not_understood("--ip", text, f"a gateway inside {interface.network}")
    return Address(interface.with_prefixlen, gateway, given.get("dns", ""))


def parse_environment(word: str, host: Mapping[bytes, bytes]) -> "tuple[bytes, bytes] | None":
    """`K=V`, or `K` for the host's own value (None when the host has none)."""
    name, equals, value = os.fsencode(word).partition(b"=")
    if not name:
        raise _not_understood("-e", word, "NAME=VALUE or NAME")
    if equals:
        return name, value
    return (name, host[name]) if name in host else None


def parse_trace(wanted: bool, expression: "str | None", output: "str | None") -> TraceOption | None:
    """The three options as one; None when none of them was given."""
    for option, text in (("--trace-filter", expression), ("--trace-output", output)):
        if text == "":
            raise MachineError(f"{option} '': it takes a word that is not empty")
    if not wanted and expression is None and output is None:
        return None
    return TraceOption(expression or "", output or "")


def _not_understood(option: str, text: str, wanted: str) -> MachineError:
    return MachineError(f"{option} {text!r} is not understood", f"it takes {wanted}")
