"""The other end of a network, in a namespace of its own: bridge, DHCP, DNS, IPv6 router.

A process of its own, `unshare -n python lan_server.py`; lan.py starts it. What machines ask comes
out as lines of JSON. A line `nak` on standard input has it refuse the next extension of a lease,
`refuse` each request, `mute` has it say nothing more, `speak` takes these back.
"""

import json
import select
import socket
import struct
import subprocess
import sys
import time
from dataclasses import dataclass, field

BRIDGE = "br0"
HOST = "10.77.0.1"
PREFIX6 = "fd77::"
SERVER6 = "fd77::53"
DOMAIN = "lan.test"
LEASE = 4  # seconds
MTU = 1460

_COOKIE = bytes([99, 130, 83, 99])
_DISCOVER, _OFFER, _REQUEST, _ACK, _NAK = 1, 2, 3, 5, 6
_PAD, _END = 0, 255


@dataclass
class Lan:
    """addresses: Ethernet address -> last number of the IPv4 one; names: host name -> IPv4."""

    addresses: dict[str, int] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    next_number: int = 10
    refusing: bool = False
    refusing_all: bool = False
    mute: bool = False


def main() -> None:
    make_bridge()
    dhcp = udp_server("", 67, broadcast=True)
    dns = udp_server(HOST, 53)
    router = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
    router.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
    lan = Lan()
    tell(kind="ready")
    announced = 0.0
    while True:
        if not lan.mute and time.monotonic() > announced + 1:
            announce(router)
            announced = time.monotonic()
        ready, _, _ = select.select([dhcp, dns, sys.stdin], [], [], 0.5)
        if sys.stdin in ready:
            word = sys.stdin.readline().strip()
            if not word:
                return
            lan.refusing = lan.refusing or word == "nak"
            lan.mute, lan.refusing_all = word == "mute", word == "refuse"
        if dhcp in ready:
            answer_dhcp(lan, dhcp, dhcp.recv(2048))
        if dns in ready:
            query, client = dns.recvfrom(512)
            dns.sendto(answer_dns(lan, query), client)


def make_bridge() -> None:
    for words in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"addr add {HOST}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ):
        subprocess.run(["ip", *words.split()], check=True)


def udp_server(address: str, port: int, broadcast: bool = False) -> socket.socket:
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    if broadcast:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, BRIDGE.encode())
    server.bind((address, port))
    return server


def tell(**event: object) -> None:
    print(json.dumps(event), flush=True)


def announce(router: socket.socket) -> None:
    """A router advertisement (RFC 4861) with a prefix and a name server; none before the bridge has
    a link."""
    header = struct.pack("!BBHBBHII", 134, 0, 0, 64, 0, 1800, 0, 0)
    prefix = struct.pack("!BBBBIII16s", 3, 4, 64, 0xC0, 3600, 3600, 0, v6(PREFIX6))
    server = struct.pack("!BBHI16s", 25, 3, 0, 3600, v6(SERVER6))
    try:
        router.sendto(header + prefix + server, ("ff02::1", 0, 0, socket.if_nametoindex(BRIDGE)))
    except OSError:
        return


def v6(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6, address)


def answer_dhcp(lan: Lan, server: socket.socket, data: bytes) -> None:
    mac = data[28:34].hex(":")
    options = parse_options(data[240:])
    kind = options[53][0]
    hostname = options.get(12, b"").decode()
    ours = socket.inet_ntoa(data[12:16])
    wanted = socket.inet_ntoa(options[50]) if 50 in options else ours
    tell(kind=kind, mac=mac, hostname=hostname, ciaddr=ours, wanted=wanted)
    if lan.mute:
        return
    if mac not in lan.addresses:
        lan.addresses[mac] = lan.next_number
        lan.next_number += 1
    answer = _OFFER if kind == _DISCOVER else _ACK
    if kind == _REQUEST and lan.refusing and ours != "0.0.0.0":
        lan.refusing, answer = False, _NAK
        lan.addresses[mac] = lan.next_number + 100
    given = f"10.77.0.{lan.addresses[mac]}"
    if kind == _REQUEST and (wanted != given or lan.refusing_all):
        answer = _NAK
    lan.names[hostname] = given
    message = reply(data, answer, given)
    to = ours if answer == _ACK and ours != "0.0.0.0" else "255.255.255.255"
    server.sendto(message, (to, 68))
    tell(kind=answer, mac=mac, given=given, to=to)


def parse_options(data: bytes) -> dict[int, bytes]:
    options = {}
    while data and data[0] != _END:
        if data[0] == _PAD:
            data = data[1:]
            continue
        options[data[0]] = data[2 : 2 + data[1]]
        data = data[2 + data[1] :]
    return options


def reply(request: bytes, kind: int, given: str) -> bytes:
    address = b"\0\0\0\0" if kind == _NAK else socket.inet_aton(given)
    head = b"\2" + request[1:12] + b"\0" * 4 + address + b"\0" * 8 + request[28:44]
    host = socket.inet_aton(HOST)
    options = [(53, bytes([kind])), (54, host)]
    if kind != _NAK:
        options += [(1, socket.inet_aton("255.255.255.0")), (3, host), (6, host)]
        options += [(15, DOMAIN.encode()), (26, struct.pack("!H", MTU))]
        options += [(51, struct.pack("!I", LEASE))]
    encoded = b"".join(bytes([code, len(value)]) + value for code, value in options)
    return head + b"\0" * 192 + _COOKIE + encoded + bytes([_END])


def answer_dns(lan: Lan, query: bytes) -> bytes:
    """RFC 1035: one question, an A record for a name that a machine has said is its own."""
    labels, at = [], 12
    while query[at]:
        labels.append(query[at + 1 : at + 1 + query[at]].decode())
        at += 1 + query[at]
    name, question = ".".join(labels), query[12 : at + 5]
    wants_a = question[-4:-2] == b"\0\1"
    tell(kind="dns", name=name)
    host = name.removesuffix(f".{DOMAIN}")
    known = name.endswith(f".{DOMAIN}") and host in lan.names
    found = known and wants_a
    head = query[:2] + struct.pack("!HHHHH", 0x8180 | (0 if known else 3), 1, int(found), 0, 0)
    record = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 1, 4)
    answer = record + socket.inet_aton(lan.names[host]) if found else b""
    return head + question + answer


if __name__ == "__main__":
    main()
