"""The library that QEMU preloads: that it is its source, and what it lets a program do."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.compiled import check_is_its_source

from ukcc.vm.hypervisor import guard

# Sends `hello` to addresses, over TCP and UDP, and says what came of it.
CLIENT = """
import socket, sys
for word in sys.argv[1:]:
    kind, host, port = word.split(",")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, getattr(socket, kind)) as client:
        try:
            if kind == "SOCK_STREAM":
                client.connect((host, int(port)))
            else:
                client.sendto(b"hello", (host, int(port)))
            print("reached")
        except OSError as error:
            print(error.strerror)
"""

# A server for datagrams that answers, then sends a word to another port of loopback by itself.
SERVER = """
import socket, sys
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 0))
    print(server.getsockname()[1], flush=True)
    data, sender = server.recvfrom(64)
    server.sendto(data, sender)
    for to in (("127.0.0.1", int(sys.argv[1])), ("127.0.0.9", sender[1])):
        try:
            server.sendto(b"x", to)
            print("reached")
        except OSError as error:
            print(error.strerror)
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
    try:
        other.sendto(b"x", sender)
        print("reached")
    except OSError as error:
        print(error.strerror)
"""

# Becomes another user, and says by which signal it ends with its parent.
DROPS = """
import ctypes, os, signal, sys, time
libc, number = ctypes.CDLL(None), ctypes.c_int()
os.setgid(4711)
os.setuid(4711)
libc.prctl(2, ctypes.byref(number))
print(number.value, os.getuid(), flush=True)
time.sleep(100)
"""


@contextlib.contextmanager
def guarded(*argv: str, loopback: bool = False) -> Iterator["subprocess.Popen[str]"]:
    with guard.open_library() as library:
        environment = guard.environment(library, loopback=loopback)
        words = [sys.executable, "-c", *argv]
        with subprocess.Popen(
            words, env=environment, pass_fds=[library], stdout=subprocess.PIPE, text=True
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def test_it_is_its_source(tmp_path: Path) -> None:
    check_is_its_source(
        guard.__file__, guard.FLAGS, guard.COMPILER, guard.LIBRARY, tmp_path / "built"
    )


@contextlib.contextmanager
def everywhere() -> Iterator[int]:
    """A port at which TCP and UDP are served, at every address of the host."""
    with (
        socket.create_server(("::", 0), family=socket.AF_INET6, dualstack_ipv6=True) as server,
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as datagrams,
    ):
        port = server.getsockname()[1]
        datagrams.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        datagrams.bind(("::", port))
        yield port


LOOPBACKS = ("127.0.0.1", "127.9.8.7", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1", "::ffff:0.0.0.0")


@pytest.mark.parametrize(("loopback", "said"), [(False, "Connection refused"), (True, "reached")])
def test_the_loopback(loopback: bool, said: str) -> None:
    """By all the names that it has for connect() and sendto()."""
    with everywhere() as port:
        words = [
            f"{kind},{to},{port}" for to in LOOPBACKS for kind in ("SOCK_STREAM", "SOCK_DGRAM")
        ]
        with guarded(CLIENT, *words, loopback=loopback) as client:
            assert client.communicate()[0].splitlines() == [said] * len(words)


def test_another_address_is_none_of_its_business() -> None:
    with guarded(CLIENT, "SOCK_DGRAM,192.0.2.1,9", "SOCK_DGRAM,224.0.0.251,9") as client:
        assert "Connection refused" not in client.communicate()[0]


def test_what_has_come_from_there_is_answered() -> None:
    """By the socket that it came to, to the address that it came from, and to no other."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as service,
    ):
        client.settimeout(20)
        service.bind(("127.0.0.1", 0))
        with guarded(SERVER, str(service.getsockname()[1])) as server:
            assert server.stdout is not None
            client.sendto(b"hello", ("127.0.0.1", int(server.stdout.readline())))
            assert client.recv(64) == b"hello"
            assert server.communicate()[0].splitlines() == ["Connection refused"] * 3


@pytest.mark.parametrize(
    ("text", "port", "said"),
    [
        ("nameserver 127.0.0.53\n", 53, "reached"),
        ("# a comment\nsearch lan\nnameserver\t127.0.0.53 # x", 53, "reached"),
        ("nameserver 127.0.0.53\n", 54, "Connection refused"),
        ("nameserver 127.0.0.5\n", 53, "Connection refused"),
        ("nameserver 127.0.0.530\n", 53, "Connection refused"),
        ("nameserver 127.0.0.53.1\n", 53, "Connection refused"),
        ("# nameserver 127.0.0.53\n", 53, "Connection refused"),
        ("", 53, "Connection refused"),
    ],
)
def test_the_hosts_name_server(tmp_path: Path, text: str, port: int, said: str) -> None:
    """resolvers of the host are often at loopback; the guest reaches them at 10.0.2.3."""
    file = tmp_path / "resolv.conf"
    file.write_text(text)
    place = os.path.realpath("/etc/resolv.conf")
    word = f"SOCK_DGRAM,127.0.0.53,{port}"
    with guard.open_library() as library:
        script = f"mount --bind {file} {place} && exec {sys.executable} -c '{CLIENT}' {word}"
        done = subprocess.run(
            ["unshare", "-m", "sh", "-c", script],
            env=guard.environment(library, loopback=False),
            pass_fds=[library],
            capture_output=True,
            text=True,
            check=False,
        )
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("no mount name spaces can be made here")
    assert done.stdout == f"{said}\n"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root changes its user")
def test_the_end_with_the_parent_outlives_a_change_of_the_user() -> None:
    parent = """
import ctypes, os, subprocess, sys, time
die = lambda: ctypes.CDLL(None).prctl(1, 9)
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], preexec_fn=die, close_fds=False)
print(child.pid, flush=True)
time.sleep(100)
"""
    with guarded(parent, DROPS) as process:
        assert process.stdout is not None
        lines = sorted((process.stdout.readline() for _ in range(2)), key=len)
        assert f"{int(signal.SIGKILL)} 4711\n" in lines
        child = next(int(line) for line in lines if " " not in line)
        process.kill()
        process.wait()
        end = time.monotonic() + 20
        while _is_alive(child):
            assert time.monotonic() < end
            time.sleep(0.01)


def _is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_what_the_user_preloads_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LD_PRELOAD", "/lib/mine.so")
    monkeypatch.setenv("UKCC_LOOPBACK", "yes")
    monkeypatch.setenv("UKCC_GUARD_FD", "1")
    environment = guard.environment(7, loopback=False)
    assert environment["LD_PRELOAD"] == "/proc/self/fd/7:/lib/mine.so"
    assert environment["UKCC_LOOPBACK"] == "no" and "UKCC_GUARD_FD" not in environment
