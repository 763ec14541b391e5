"""Machines on a bridge, in a network namespace of the test's own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Build, run_argv
from support.lan import ACK, DISCOVER, NAK, REQUEST, Event, Lan, need_namespaces

HERE = Path(__file__).parent / "programs"
BRIDGE = ("--net", "bridge=br0,ip=dhcp,ip=slaac")


@pytest.fixture
def lan() -> Iterator[Lan]:
    need_namespaces()
    network = Lan()
    yield network
    network.close()


class Machine:
    """A machine on the bridge, its standard input ours; it is ended when the test is over."""

    def __init__(self, lan: Lan, image: Path, *args: str, options: "tuple[str, ...]" = BRIDGE):
        options = ("--timeout", str(2 * DEADLINE * FACTOR), *options)
        self.process = subprocess.Popen(
            lan.argv(run_argv(image, args, options)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self, last: str) -> list[str]:
        """What it says up to a line that begins so."""
        assert self.process.stdout is not None
        said: list[str] = []
        while not said or not said[-1].startswith(last):
            line = self.process.stdout.readline()
            assert line, f"the machine has ended; it said {said}"
            said.append(line.rstrip("\n"))
        return said

    def tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()

    def end(self) -> None:
        self.process.terminate()
        if self.process.stderr and not self.process.stderr.closed:
            print(self.process.communicate()[1], file=sys.stderr)


def address(said: list[str], family: str) -> str:
    """The one address of eth0 that begins so, without its bits."""
    (found,) = [line.split()[1] for line in said if line.startswith(f"eth0 {family}")]
    return found.partition("/")[0]


def requests(events: list[Event], mac: str) -> list[Event]:
    return [event for event in events if event.get("mac") == mac and event["kind"] == REQUEST]


def test_two_machines_on_a_bridge(lan: Lan, build_image: Build, tmp_path: Path) -> None:
    """They find each other by the names that they told the DHCP server, and talk by IPv4 and IPv6;
    the lease is extended, taken away, and given again."""
    image = build_image((HERE / "network.c").read_text(), name="network")
    one, two = tmp_path / "one", tmp_path / "two"
    for name in (one, two):
        os.link(image, name)
    show = ("addresses", "mtu", "eth0", "file", "/etc/resolv.conf")
    # SIGTERM does nothing to the client, SIGUSR1 has it ask whether the lease holds
    signals = ("signal-all", "15", "signal-all", "10")
    waits = ("until", "now", "addresses", "signal-all", "9", "until", "end")
    first = Machine(lan, one, *show, *signals, "serve", "7", "serve", "7", *waits)
    second = None
    try:
        said = first.lines("listening")
        own, own6 = address(said, "10.77.0."), address(said, "fd77::")
        assert "eth0 mtu 1460" in said
        assert "/etc/resolv.conf: search lan.test" in said
        servers = [line.split()[2] for line in said if "conf: nameserver" in line]
        assert servers == ["10.77.0.1", "fd77::53"]
        (leased,) = {e["mac"] for e in lan.events() if e.get("given") == own}

        calls = ("call", "one", "7", "four", "lookup", "one", "call", own6, "7", "six")
        second = Machine(lan, two, *show, *calls, "until", "end")
        assert first.lines("got")[-1] == "got four"
        said = second.lines(own6)
        assert "one answers four" in said and f"{own6} answers six" in said
        assert f"one is {own}" in said
        assert address(said, "10.77.0.") != own
        asked = [e for e in lan.events() if e["kind"] == REQUEST and e["wanted"] == own]
        assert sum(e["ciaddr"] == "0.0.0.0" for e in asked) == 2
        assert {e["name"] for e in lan.events() if e["kind"] == "dns"} >= {"one.lan.test"}

        # a lease of 4 s: both are extended, by requests from the address itself
        heard = len(lan.events())
        for mac in {e["mac"] for e in lan.events() if e["kind"] == DISCOVER}:
            extended = lan.wait(
                lambda e, mac=mac: e["kind"] == ACK and e["mac"] == mac, after=heard
            )
            assert requests(lan.events()[heard:extended], mac)[-1]["ciaddr"] != "0.0.0.0"
            assert sum(e["kind"] == DISCOVER and e["mac"] == mac for e in lan.events()) == 1

        # the tap goes with the machine, however that ends
        assert lan.output("ip", "-o", "link", "show", "master", "br0").count("\n") == 2
        second.process.send_signal(signal.SIGKILL)
        _soon(lambda: lan.output("ip", "-o", "link", "show", "master", "br0").count("\n") == 1)

        # taken away, and another one given
        heard = len(lan.events())
        lan.command("nak")
        refused = lan.wait(lambda e: e["kind"] == NAK and e["mac"] == leased, after=heard)
        given = lan.wait(lambda e: e["kind"] == ACK and e["mac"] == leased, after=refused)
        # at once, not when the lease is over
        asked = [e for e in lan.events()[refused:given] if e["mac"] == leased]
        assert asked[0]["kind"] == DISCOVER
        other = lan.events()[given - 1]["given"]
        assert other != own
        lan.wait(lambda e: e["kind"] == REQUEST and e["ciaddr"] == other, after=given)
        heard = len(lan.events())
        first.tell("now")
        assert address(first.lines("eth0 10.77.0."), "10.77.0.") == other

        # the client was killed by the application; the next one asks for the same address
        asked = lan.wait(lambda e: e["kind"] == REQUEST and e["ciaddr"] == "0.0.0.0", after=heard)
        assert lan.events()[asked - 1]["wanted"] == other
        assert all(e["kind"] != DISCOVER for e in lan.events()[heard:asked])
        lan.wait(lambda e: e["kind"] == REQUEST and e["ciaddr"] == other, after=asked)
        first.tell("end")
        _, errors = first.process.communicate(timeout=DEADLINE * FACTOR)
        assert errors.count("the DHCP client was killed and is started again") == 1
        assert first.process.returncode == 0
    finally:
        for machine in (first, second):
            if machine:
                machine.end()


def test_no_server_at_first_and_none_at_last(lan: Lan, build_image: Build) -> None:
    """The application starts without an address, which comes later; a lease that nobody extends is
    given up. A report of what the machine is doing leaves the client out."""
    image = build_image((HERE / "network.c").read_text(), name="network")
    lan.command("mute")
    words = ("addresses", "mtu", "lo", "until", "one", "addresses", "mtu", "lo", "until", "two")
    words += ("addresses", "mtu", "lo", "until", "end")
    machine = Machine(lan, image, *words, options=("--net", "bridge=br0"))
    try:
        assert machine.lines("lo mtu") == ["lo mtu 65536"]
        lan.command("speak")
        given = lan.wait(lambda e: e["kind"] == ACK)
        lan.wait(lambda e: e["kind"] == REQUEST and e["ciaddr"] != "0.0.0.0", after=given)
        machine.tell("one")
        assert address(machine.lines("lo mtu"), "10.77.0.") == lan.events()[given - 1]["given"]

        # a server that refuses what it offers is not asked without a pause
        lan.command("refuse")
        refused = lan.wait(lambda e: e["kind"] == NAK, after=len(lan.events()))
        refused = lan.wait(lambda e: e["kind"] == NAK, after=refused)
        time.sleep(1)
        assert len(lan.events()) == refused
        lan.command("speak")
        lan.wait(lambda e: e["kind"] == ACK, after=refused)

        lan.command("mute")
        heard = len(lan.events())
        lan.wait(lambda e: e["kind"] == DISCOVER, after=heard)
        assert [e for e in lan.events()[heard:] if e["kind"] == REQUEST]
        machine.tell("two")
        assert not [line for line in machine.lines("lo mtu") if "10.77.0." in line]
        machine.process.send_signal(signal.SIGQUIT)
        assert machine.process.stderr is not None
        report = [machine.process.stderr.readline()]
        while "main at" not in report[-1]:
            report.append(machine.process.stderr.readline())
        assert "network (process " in report[0] and "blocked in read" in report[1]
        machine.tell("end")
        _, errors = machine.process.communicate(timeout=DEADLINE * FACTOR)
        assert errors.count("(process ") == 0
        assert "no DHCP server has answered yet (the search goes on) on eth0" in errors
        assert "no DHCP server has renewed the address of eth0" in errors
        assert machine.process.returncode == 0
    finally:
        machine.end()


def _soon(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10 * FACTOR
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)
