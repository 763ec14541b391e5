"""Networks in user mode, and what `ukcc run` says to networks that cannot be."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.boots import DEADLINE, FACTOR, Boot, Build, run_argv

from ukcc.free_port import free_port

PROGRAM = Path(__file__).parent / "programs" / "network.c"


@pytest.fixture(scope="session")
def image(build_image: Build) -> Path:
    return build_image(PROGRAM.read_text(), name="network")


def test_two_interfaces(image: Path, boot: Boot) -> None:
    """DHCP, IPv6 from a router and an MTU on the first, static addresses on the second."""
    options = ("--net", "user,ip=dhcp,ip=slaac,mtu=1400")
    options += ("--net", "user,ip=10.5.0.9/24,ip=fd05::9/64,dns=10.5.0.3")
    options += ("--add-host", "db:10.9.8.7", "--add-host", "six:2001:db8::7")
    options += ("--dns-search", "example.com", "--dns-search", "lan.test")
    files = ("/etc/resolv.conf", "/proc/net/route", "/proc/net/ipv6_route", "/etc/hosts")
    words = ("addresses", "mtu", "eth0", "mtu", "eth1", "lookup", "db", "lookup", "six")
    status, stdout, stderr = boot(
        image, *words, *(word for path in files for word in ("file", path)), options=options
    )
    said = stdout.decode().splitlines()
    assert (status, stderr) == (0, b"")
    addresses = {line for line in said if line.startswith("eth") and "/" in line}
    assert addresses >= {
        "eth0 10.0.2.15/24",
        "eth0 fec0::5054:ff:fe12:3456/64",
        "eth1 10.5.0.9/24",
        "eth1 fd05::9/64",
    }
    assert {"eth0 mtu 1400", "eth1 mtu 1500", "db is 10.9.8.7", "six is 2001:db8::7"} <= set(said)
    resolver = [line.partition(": ")[2] for line in said if line.startswith("/etc/resolv.conf")]
    # what was given, what was leased; QEMU's router announces one where the host has one by IPv6
    servers = [f"nameserver {server}" for server in ("10.5.0.3", "10.0.2.3")]
    assert resolver[:3] == ["search example.com lan.test", *servers]
    assert resolver[3:] in ([], ["nameserver fec0::3"])
    routes = [line.split()[1:8] for line in said if line.startswith("/proc/net/route: eth")]
    defaults = {
        (name, gateway, metric) for name, to, gateway, _, _, _, metric in routes if to == "0" * 8
    }
    assert defaults == {("eth0", "0202000A", "0"), ("eth1", "0200050A", "1")}
    # the gateway that was given goes before the one that announces itself, at 1024 (0x400)
    assert any(
        line.split()[1:3] == ["0" * 32, "00"]
        and line.split()[5:7] == ["fd05" + "0" * 27 + "2", "00000002"]
        for line in said
        if line.startswith("/proc/net/ipv6_route")
    )


@contextmanager
def running(
    image: Path, *args: str, options: "tuple[str, ...]"
) -> Iterator["subprocess.Popen[str]"]:
    argv = run_argv(image, args, ["--timeout", str(DEADLINE * FACTOR), *options])
    machine = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        yield machine
    finally:
        machine.terminate()
        machine.communicate()


def test_several_ports(image: Path) -> None:
    """TCP twice and UDP, to an address that DHCP has given."""
    tcp, other, udp = free_port(), free_port(), free_port()
    options = ("-p", f"{tcp}:7001", "-p", f"127.0.0.2:{other}:7002", "-p", f"{udp}:7003/udp")
    words = ("serve", "7001", "serve", "7002", "serve-udp", "7003")
    with running(image, *words, options=(*options, "--ip", "dhcp")) as machine:
        assert machine.stdout is not None
        for host, port, word in (("127.0.0.1", tcp, "one"), ("127.0.0.2", other, "two")):
            assert machine.stdout.readline() == "listening\n"
            with socket.create_connection((host, port), timeout=DEADLINE * FACTOR) as client:
                client.sendall(word.encode())
                assert client.recv(64) == word.encode()
            assert machine.stdout.readline() == f"got {word}\n"
        assert machine.stdout.readline() == "waiting\n"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(DEADLINE * FACTOR)
            client.sendto(b"three", ("127.0.0.1", udp))
            assert client.recv(64) == b"three"
        assert machine.wait(DEADLINE * FACTOR) == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["-p", "[::1]:8080:80"], "-p [::1]:8080:80: QEMU's user mode does not listen on IPv6"),
        (
            ["--net", "tap=nosuchtap0"],
            "--net tap=nosuchtap0: no such interface; make it: ip tuntap",
        ),
        (["--net", "bridge=nosuchbr0"], "--net bridge=nosuchbr0: no such bridge; make it: ip link"),
        (["--ip", "10.0.2.9/24,gw=10.0.3.1"], "it takes a gateway inside 10.0.2.0/24"),
        (["--ip", "10.0.2.0/24"], "which 10.0.2.0 is not"),
        (
            ["--net", "user", "--net", "user,ip=10.0.2.9/16"],
            "10.0.2.15/24 and 10.0.2.9/16: two interfaces in one network",
        ),
        (["--dns", "localhost"], "--dns 'localhost' is not understood"),
    ],
)
def test_networks_that_cannot_be(image: Path, boot: Boot, options: list[str], said: str) -> None:
    status, stdout, stderr = boot(image, options=options, timeout=20)
    assert (status, stdout) == (125, b"")
    assert said in stderr.decode() and stderr.count(b"\n") == 1


def test_no_right_to_make_a_tap(image: Path) -> None:
    """Without CAP_NET_ADMIN: one line says what to do."""
    if os.getuid() != 0:
        pytest.skip("only root can give the right up")
    argv = [*run_argv(image, [], ["--net", "bridge=lo"])]
    drop = ["setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin", "--"]
    done = subprocess.run([*map(os.fsencode, drop), *argv], capture_output=True, text=True)
    assert done.returncode == 125 and done.stderr.count("\n") == 1
    assert "--net bridge=lo: no right to make a tap (CAP_NET_ADMIN); run it as root" in done.stderr


def test_dry_run(image: Path, boot: Boot, tmp_path: Path) -> None:
    """The command line of networks that need nothing yet."""
    options = ["--dry-run", "--net", "tap=t0,mtu=9000", "--net", "bridge=b0"]
    status, stdout, _ = boot(image, options=options, env={"TMPDIR": str(tmp_path)})
    line = stdout.decode()
    assert status == 0
    assert " tap,id=net0,ifname=t0,script=no,downscript=no " in line and "host_mtu=9000" in line
    assert " bridge,id=net1,br=b0 " in line
