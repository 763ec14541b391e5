"""Networks as they were asked for -> a machine's -> QEMU's words and init's lines."""

import os
import socket
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.machine_samples import make_machine

from ukcc.errors import MachineError
from ukcc.vm.boot.init_network import network_lines
from ukcc.vm.hypervisor.board import Q35_BOARD
from ukcc.vm.hypervisor.net_qemu import network_words
from ukcc.vm.machine import Address, Forward, Machine, Network, Resolver
from ukcc.vm.net import host_ports, taps
from ukcc.vm.net.options import NetOption, parse_networks
from ukcc.vm.net.plan import plan_networks

STATIC = Address("10.0.2.15/24", "10.0.2.2", ("10.0.2.3",))
FORWARD = Forward("127.0.0.1", 8080, 80)


def machine(*networks: Network, **changes: Any) -> Machine:
    return make_machine(networks=tuple(networks), **changes)


def plan(*nets: str, forwards: tuple[Forward, ...] = ()) -> tuple[Network, ...]:
    return plan_networks(parse_networks(nets, []), forwards, Resolver())


@pytest.mark.parametrize(
    ("network", "netdev"),
    [
        (
            Network("user", Address("dhcp"), (Forward("127.0.0.1", 8080, 80),)),
            "user,id=net0,hostfwd=tcp:127.0.0.1:8080-:80",
        ),
        (
            Network("user", STATIC, (Forward("0.0.0.0", 53, 53, "udp"),)),
            "user,id=net0,net=10.0.2.0/24,host=10.0.2.2,dns=10.0.2.3,"
            "hostfwd=udp:0.0.0.0:53-10.0.2.15:53",
        ),
        (
            Network("user", Address("10.9.0.7/16", "10.9.0.2", ("9.9.9.9",))),
            "user,id=net0,net=10.9.0.0/16,host=10.9.0.2",
        ),
        (
            Network(
                *("user", Address("", "", ("fd00::3",), "fd00::9/64", "fd00::2")),
            ),
            "user,id=net0,ipv6-prefix=fd00::,ipv6-prefixlen=64,ipv6-host=fd00::2,ipv6-dns=fd00::3",
        ),
        (
            Network("user", Address("dhcp"), index=2),
            "user,id=net0,net=10.0.4.0/24,ipv6-prefix=fec0:0:0:2::",
        ),
        (Network("tap", Address("dhcp"), fd=7, vhost=True), "tap,id=net0,fd=7,vhost=on"),
        (Network("bridge", Address("dhcp"), interface="b", fd=7), "tap,id=net0,fd=7"),
        (Network("bridge", Address("dhcp"), interface="b"), "bridge,id=net0,br=b"),
        (
            Network("tap", Address("dhcp"), interface="tap7"),
            "tap,id=net0,ifname=tap7,script=no,downscript=no",
        ),
    ],
)
def test_netdev(network: Network, netdev: str) -> None:
    words = network_words([network], Q35_BOARD)
    assert words == ["-netdev", netdev, "-device", "virtio-net-pci,netdev=net0,romfile="]


def test_device() -> None:
    network = Network("tap", Address("dhcp"), fd=3, mac="52:54:00:00:00:01", mtu=1400)
    words = network_words([network, network], Q35_BOARD)
    assert words[3] == "virtio-net-pci,netdev=net0,romfile=,mac=52:54:00:00:00:01,host_mtu=1400"
    assert words[4:6] == ["-netdev", "tap,id=net1,fd=3"] and "netdev=net1" in words[7]


def test_what_is_usual() -> None:
    (user,) = plan()
    assert user == Network("user", STATIC, mac="52:54:00:12:34:56")
    tap, bridge = plan("tap=t", "bridge=b,mtu=1400")
    assert tap.address == bridge.address == Address("dhcp")
    assert (tap.interface, bridge.interface, bridge.mtu) == ("t", "b", 1400)
    assert plan("none") == ()


def test_several_in_user_mode_have_networks_of_their_own() -> None:
    first, second = plan("user", "user", forwards=(FORWARD,))
    assert second.address.cidr == "10.0.3.15/24" and second.address.gateway == "10.0.3.2"
    assert first.mac != second.mac
    assert first.forwards == (FORWARD,) and not second.forwards


def test_ports_lead_to_the_first_that_can() -> None:
    tap, user = plan("tap=t", "user", forwards=(FORWARD,))
    assert not tap.forwards and user.forwards == (FORWARD,)


def test_user_mode_is_completed_in_both_families() -> None:
    (user,) = plan("user,ip=10.9.0.7/16,ip=fd00::9/64")
    address = user.address
    assert (address.gateway, address.gateway6) == ("10.9.0.2", "fd00::2")
    assert address.nameservers == ("10.9.0.3",)
    assert plan("user,ip=slaac")[0].address.nameservers == ("fec0::3",)


def test_a_name_server_that_is_given_is_the_only_one() -> None:
    resolver = Resolver(("9.9.9.9",))
    (user,) = plan_networks([NetOption("user")], (), resolver)
    assert user.address.nameservers == ()
    assert "nameserver=9.9.9.9" in network_lines(machine(user, resolver=resolver))


@pytest.mark.parametrize(
    ("nets", "forwards", "named"),
    [
        (("none",), (FORWARD,), "-p 127.0.0.1:8080:80"),
        (("tap=t",), (FORWARD,), "-p 127.0.0.1:8080:80"),
        (("user,ip=slaac",), (FORWARD,), "-p 127.0.0.1:8080:80"),
        (("user",), (FORWARD, Forward("0.0.0.0", 8080, 81)), "-p 0.0.0.0:8080:81"),
        (("user",), (FORWARD, FORWARD), "the same port"),
        (("user,ip=10.0.0.1/30",), (), "10.0.0.1/30"),
        (("user,ip=fd00::1/127",), (), "fd00::1/127"),
        (("user,ip=10.0.0.2/24",), (), "10.0.0.2"),
        (("user,ip=10.0.0.3/24",), (), "10.0.0.3"),
        (("user,ip=fd00::3/64",), (), "fd00::3"),
        (("user", "tap=t,ip=10.0.2.7/16"), (), "10.0.2.7/16"),
        (("tap=t,ip=10.1.0.1/24", "tap=u,ip=10.1.0.2/24"), (), "10.1.0.2/24"),
        (("tap=t,ip=fd00::1/64", "tap=u,ip=fd00::2/48"), (), "fd00::2/48"),
        (("tap=t", "tap=t"), (), "tap=t"),
        (("user,mac=52:54:00:12:34:57", "user"), (), "52:54:00:12:34:57"),
        (("tap=t,ip=dhcp,dns=::1,dns=::2", "tap=u,ip=dhcp,dns=::3,dns=::4"), (), "::4"),
    ],
)
def test_plan_refuses(nets: tuple[str, ...], forwards: tuple[Forward, ...], named: str) -> None:
    with pytest.raises(MachineError) as caught:
        plan(*nets, forwards=forwards)
    assert named in caught.value.message


def test_forwards_that_are_not_in_each_others_way() -> None:
    others = (FORWARD, Forward("127.0.0.2", 8080, 80), Forward("127.0.0.1", 8080, 80, "udp"))
    assert plan("user", forwards=others)[0].forwards == others


def test_who_has_a_port() -> None:
    own = f"(process {os.getpid()})"
    with socket.socket() as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        server.bind(("127.0.0.1", 0))
        server.listen()
        other.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert host_ports.port_owner(port, socket.SOCK_STREAM).endswith(own)
        assert host_ports.port_owner(other.getsockname()[1], socket.SOCK_DGRAM).endswith(own)
    assert own not in host_ports.port_owner(port, socket.SOCK_STREAM)


def test_what_init_is_told() -> None:
    networks = plan("user,ip=10.9.0.7/16,ip=fd00::9/64", "tap=t,mac=52:00:00:00:00:01")
    resolver = Resolver((), ("example.com", "test"), ("10.0.0.7 db",))
    assert network_lines(machine(*networks, resolver=resolver)) == [
        "interface=52:54:00:12:34:56",
        "address=10.9.0.7/16",
        "address=fd00::9/64",
        "gateway=10.9.0.2",
        "gateway=fd00::2",
        "interface=52:00:00:00:00:01",
        "address=dhcp",
        "nameserver=10.9.0.3",
        "search=example.com",
        "search=test",
        "host=10.0.0.7 db",
    ]


def test_a_single_interface_is_told_as_to_the_first_images() -> None:
    lines = ["address=10.0.2.15/24", "gateway=10.0.2.2", "nameserver=10.0.2.3"]
    assert network_lines(machine(*plan("user"))) == lines


def test_ethernet_addresses() -> None:
    """Stable, of a single machine, administered locally; others for others."""
    first = taps.with_macs(machine(*plan("bridge=b", "tap=t")), "/app")
    again = taps.with_macs(machine(*plan("bridge=b", "tap=t")), "/app")
    other = taps.with_macs(machine(*plan("bridge=b", "tap=t")), "/other")
    assert first == again
    macs = [network.mac for network in (*first.attached.networks, other.attached.networks[0])]
    assert len(set(macs)) == 3
    assert all(int(mac[:2], 16) & 3 == 2 and len(mac) == 17 for mac in macs)
    # what is at the other end of a tap knows it by its address
    assert first.attached.networks[1].mac == other.attached.networks[1].mac


def test_the_hosts_helper(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without the right to make a tap: by QEMU's helper, where that is allowed; else a line.

    The tap comes from a helper that we start, so that QEMU need not start programs.
    """

    def no_right(*_: object) -> None:
        raise PermissionError

    sent = tmp_path / "tap"
    sent.write_text("a tap")
    helper = tmp_path / "helper"
    helper.write_text(
        f"""#!{sys.executable}
import os, socket, sys
words = dict(word.lstrip("-").partition("=")[::2] for word in sys.argv[1:])
if words["br"] != "br0":
    sys.exit("failed to add interface `tap0' to bridge")
assert "use-vnet" in words
with socket.socket(fileno=int(words["fd"])) as door:
    socket.send_fds(door, [b"\\0"], [os.open({str(sent)!r}, os.O_RDONLY)])
"""
    )
    helper.chmod(0o755)
    monkeypatch.setattr(taps, "_HELPERS", (str(helper),))
    monkeypatch.setattr(taps, "_interface_mtu", lambda name: 1400)
    rules = tmp_path / "bridge.conf"
    rules.write_text("allow br0\ndeny br1\nallow br2\n")
    monkeypatch.setattr(taps, "_HELPER_RULES", rules)
    monkeypatch.setattr(taps, "_is_setuid", lambda path: True)
    monkeypatch.setattr(taps, "_exists", lambda name: True)
    monkeypatch.setattr(taps, "_make_tap", no_right)
    macs = set()
    for _ in range(2):
        with taps.connect_taps(machine(*plan("bridge=br0")), "/app") as connected:
            (network,) = connected.attached.networks
            assert network.fd is not None and taps.descriptors(connected) == [network.fd]
            assert os.pread(network.fd, 9, 0) == b"a tap" and network.mtu == 1400
            assert not os.get_inheritable(network.fd)
        macs.add(network.mac)
    assert len(macs) == 2
    with (
        pytest.raises(MachineError) as caught,
        taps.connect_taps(machine(*plan("bridge=br1")), "/app"),
    ):
        pass
    assert "CAP_NET_ADMIN" in caught.value.message and "allow br1" in caught.value.hint
    with (
        pytest.raises(MachineError, match="failed to add interface `tap0' to bridge"),
        taps.connect_taps(machine(*plan("bridge=br2")), "/app"),
    ):
        pass


@pytest.mark.parametrize(("accel", "vhost"), [("kvm", True), ("tcg", False)])
def test_vhost(monkeypatch: pytest.MonkeyPatch, accel: str, vhost: bool) -> None:
    """For taps, under KVM, where the host has it."""
    monkeypatch.setattr(taps, "_opens", lambda path: path == "/dev/vhost-net")
    monkeypatch.setattr(taps, "_connect_tap", lambda stack, network, image: replace(network, fd=5))
    wanted = replace(machine(*plan("user", "tap=t")), accel=accel)
    with taps.connect_taps(wanted, "/app") as connected:
        assert [network.vhost for network in connected.attached.networks] == [False, vhost]
