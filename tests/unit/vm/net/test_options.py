"""The words of `--net`, `--ip`, `--dns`, `--dns-search` and `--add-host`."""

import pytest

from ukcc.errors import MachineError
from ukcc.vm.machine import Address, Resolver
from ukcc.vm.net.options import (
    NetOption,
    parse_address,
    parse_net,
    parse_networks,
    parse_resolver,
)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("dhcp", Address("dhcp")),
        ("slaac", Address("", cidr6="slaac")),
        ("dhcp,slaac", Address("dhcp", cidr6="slaac")),
        ("dhcp,dns=9.9.9.9", Address("dhcp", "", ("9.9.9.9",))),
        ("10.1.2.3/24", Address("10.1.2.3/24")),
        ("10.1.2.3/32", Address("10.1.2.3/32")),
        ("10.1.2.2/31", Address("10.1.2.2/31")),
        ("10.1.2.3/24,gw=10.1.2.1", Address("10.1.2.3/24", "10.1.2.1")),
        ("10.1.2.3/8,dns=9.9.9.9,gw=10.0.0.1", Address("10.1.2.3/8", "10.0.0.1", ("9.9.9.9",))),
        ("10.1.2.3/24,dns=1.1.1.1,dns=::2", Address("10.1.2.3/24", "", ("1.1.1.1", "::2"))),
        ("2001:DB8::2/64", Address("", cidr6="2001:db8::2/64")),
        (
            "2001:db8::2/64,gw=2001:db8::1,10.1.2.3/24,gw=10.1.2.1",
            Address("10.1.2.3/24", "10.1.2.1", (), "2001:db8::2/64", "2001:db8::1"),
        ),
        ("2001:db8::2/64,gw=fe80::1", Address("", "", (), "2001:db8::2/64", "fe80::1")),
    ],
)
def test_address(text: str, address: Address) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    "text",
    [
        *("", "10.1.2.3", "10.1.2.3/33", "10.1.2/24", "dhcp,gw=1.2.3.4", "10.1.2.3/24,gw="),
        *("10.1.2.3/24,gw=10.1.3.1", "10.1.2.3/24,mtu=9", "10.1.2.3/24,gw=10.1.2.1,gw=10.1.2.1"),
        *("10.1.2.3/24,dhcp", "slaac,2001:db8::2/64", "slaac,gw=fe80::1", "gw=10.1.2.1", "dns=::1"),
        *("2001:db8::2", "2001:db8::2/129", "2001:db8::2/64,gw=2001:db8:1::1", "fe80::1%eth0/64"),
        *("10.1.2.0/24", "10.1.2.255/24", "127.0.0.1/8", "224.0.0.1/4", "ff02::1/64", "0.0.0.0/0"),
        *("10.1.2.3/24,gw=10.1.2.3", "10.1.2.3/24,", "10.1.2.3/24,dns=name"),
    ],
)
def test_address_refused(text: str) -> None:
    with pytest.raises(MachineError) as caught:
        parse_address(text)
    assert repr(text) in caught.value.message and caught.value.hint


@pytest.mark.parametrize(
    ("text", "net"),
    [
        ("user", NetOption("user")),
        ("none", NetOption("none")),
        ("tap=tap0", NetOption("tap", "tap0")),
        ("bridge=br0", NetOption("bridge", "br0")),
        ("user,ip=dhcp", NetOption("user", "", Address("dhcp"))),
        ("user,host=yes", NetOption("user", host=True)),
        ("user,host=no,mtu=1400", NetOption("user", mtu=1400)),
        (
            "bridge=br0,ip=10.1.0.2/24,gw=10.1.0.1,mtu=1400,mac=52:54:00:AA:00:01",
            NetOption(
                *("bridge", "br0", Address("10.1.0.2/24", "10.1.0.1"), 1400, "52:54:00:aa:00:01")
            ),
        ),
        (
            "tap=t,ip=dhcp,ip=2001:db8::2/64,dns=2001:db8::1",
            NetOption("tap", "t", Address("dhcp", "", ("2001:db8::1",), "2001:db8::2/64")),
        ),
    ],
)
def test_net(text: str, net: NetOption) -> None:
    assert parse_net(text) == net


@pytest.mark.parametrize(
    "text",
    [
        *("", "bridge", "bridge=", "tap", "tap=", "tap=a b", "user=x", "tap=" * 5, "none,mtu=1400"),
        *(
            "user,mtu=575",
            "user,mtu=1501",
            "tap=t,mtu=65536",
            "tap=t,mtu=x",
            "tap=t,mtu=1400,mtu=9",
        ),
        *("user,mac=01:00:00:00:00:01", "user,mac=52:54:00:12:34", "user,mac=00:00:00:00:00:00"),
        *("user,host=", "user,host=1", "user,host=yes,host=yes", "tap=t,host=yes", "none,host=no"),
        *("user,speed=9", "user,", "user,ip", "user,gw=10.0.2.2", "user,ip=10.0.2.15"),
    ],
)
def test_net_refused(text: str) -> None:
    with pytest.raises(MachineError) as caught:
        parse_net(text)
    assert repr(text) in caught.value.message and caught.value.hint


def test_the_nth_address_belongs_to_the_nth_network() -> None:
    assert parse_networks([], []) == (NetOption("user"),)
    assert parse_networks([], ["dhcp"]) == (NetOption("user", "", Address("dhcp")),)
    first, second = parse_networks(["user", "tap=t"], ["10.0.2.9/24", "dhcp"])
    assert first.address == Address("10.0.2.9/24") and second.address == Address("dhcp")
    assert parse_networks(["user", "tap=t"], ["dhcp"])[1].address is None


@pytest.mark.parametrize(
    ("nets", "addresses", "named"),
    [
        ([], ["dhcp", "10.0.0.1/8"], "10.0.0.1/8"),
        (["none"], ["dhcp"], "--ip"),
        (["none", "user"], [], "none"),
        (["user,ip=dhcp"], ["10.0.0.1/8"], "10.0.0.1/8"),
        (["user"] * 9, [], "9"),
    ],
)
def test_networks_refused(nets: list[str], addresses: list[str], named: str) -> None:
    with pytest.raises(MachineError) as caught:
        parse_networks(nets, addresses)
    assert named in caught.value.message


def test_resolver() -> None:
    assert parse_resolver([], [], []) == Resolver()
    hosts = ["db:10.0.0.7", "db6:2001:db8::7", "db7:[2001:db8::8]"]
    assert parse_resolver(["9.9.9.9", "::1"], ["example.com"], hosts) == Resolver(
        ("9.9.9.9", "::1"),
        ("example.com",),
        ("10.0.0.7 db", "2001:db8::7 db6", "2001:db8::8 db7"),
    )


@pytest.mark.parametrize(
    "words",
    [
        (["name"], [], []),
        (["9.9.9.9/8"], [], []),
        ([], ["a b"], []),
        ([], ["a\nnameserver 6.6.6.6"], []),
        ([], [""], []),
        ([], ["d"] * 7, []),
        ([], [], ["db"]),
        ([], [], ["db:"]),
        ([], [], [":10.0.0.7"]),
        ([], [], ["db:10.0.0.7\n6.6.6.6 bank"]),
        ([], [], ["a:10.0.0.7"] * 65),
    ],
)
def test_resolver_refused(words: "tuple[list[str], list[str], list[str]]") -> None:
    with pytest.raises(MachineError):
        parse_resolver(*words)
