"""The host's end of taps and bridges, in a network namespace of the test's own; nothing boots."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest
from support.lan import Lan, need_namespaces

# Opens the networks that are named and says what has become of them; holds them until stdin ends.
HOLDER = """
import json, sys
from dataclasses import replace
from ukcc.errors import MachineError
from ukcc.vm.net import taps
from ukcc.vm.machine import NO_RESOLVER, Attached, Machine
from ukcc.vm.net.options import parse_networks
from ukcc.vm.net.plan import plan_networks

machine = Machine("app", 128, "kvm")
networks = plan_networks(parse_networks(sys.argv[1:], []), (), NO_RESOLVER)
try:
    with taps.connect_taps(replace(machine, attached=Attached(tuple(networks))), "/app") as machine:
        print(json.dumps([[n.mac, n.mtu, n.fd] for n in machine.attached.networks]), flush=True)
        sys.stdin.read()
except MachineError as error:
    print(json.dumps(error.line("")), flush=True)
"""


@pytest.fixture(scope="module")
def lan() -> Iterator[Lan]:
    need_namespaces()
    network = Lan()
    for words in (
        ("link", "set", "br0", "mtu", "9000"),
        ("tuntap", "add", "dev", "tap0", "mode", "tap"),
        ("tuntap", "add", "dev", "many0", "mode", "tap", "multi_queue"),
        ("link", "set", "many0", "mtu", "1300"),
    ):
        network.output("ip", *words)
    yield network
    network.close()


class Holder:
    """A process that has the networks open; `said`: [mac, mtu, fd] of each, or an error's line."""

    def __init__(self, lan: Lan, *nets: str) -> None:
        self.process = subprocess.Popen(
            lan.argv([sys.executable, "-c", HOLDER, *nets]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        self.said = json.loads(self.process.stdout.readline())

    def __enter__(self) -> "Holder":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.communicate()


def ports(lan: Lan) -> list[str]:
    return lan.output("ip", "-o", "link", "show", "master", "br0").splitlines()


def test_a_tap_of_our_own(lan: Lan) -> None:
    """The same image twice: two taps, two Ethernet addresses; the same ones the next time."""
    with Holder(lan, "bridge=br0") as first, Holder(lan, "bridge=br0") as second:
        (one,), (other,) = first.said, second.said
        assert one[0] != other[0]
        # the guest follows the bridge, whose MTU stays what it was
        assert one[1] == 9000 and len(ports(lan)) == 2
        assert all("mtu 9000" in line and "UP" in line for line in ports(lan))
        assert "mtu 9000" in lan.output("ip", "link", "show", "br0")
    assert ports(lan) == []
    with Holder(lan, "bridge=br0,mtu=1400", "bridge=br0") as again:
        assert again.said[0][:2] == [one[0], 1400]
        assert again.said[1][0] not in (one[0], other[0])


def test_a_tap_that_is_there(lan: Lan) -> None:
    with Holder(lan, "tap=tap0", "tap=many0") as holder:
        (mac, mtu, _), (many, many_mtu, _) = holder.said
        assert mac != many and (mtu, many_mtu) == (0, 1300)
        with Holder(lan, "tap=tap0") as late:
            assert "--net tap=tap0: another process has it open" in late.said
    with Holder(lan, "tap=tap0") as again:
        assert again.said[0][0] == mac
    assert "tap0" in lan.output("ip", "link")


@pytest.mark.parametrize(
    ("net", "said"),
    [
        ("tap=br0", "--net tap=br0: this interface is not a tap"),
        ("tap=lo", "--net tap=lo: this interface is not a tap"),
        ("bridge=tap0", "--net bridge=tap0: this interface is not a bridge"),
        ("bridge=br1", "--net bridge=br1: no such bridge"),
    ],
)
def test_what_is_no_tap_or_bridge(lan: Lan, net: str, said: str) -> None:
    with Holder(lan, net) as holder:
        assert said in holder.said
    assert ports(lan) == []
