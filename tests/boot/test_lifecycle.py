"""Machines in the background, and what is asked of them: run -d, ps, logs, stop, kill, wait."""

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support.boots import BIN, DEADLINE, FACTOR, Build

from ukcc.free_port import free_port

# A server that says which signals it gets, greets who connects, and ends with 40 + the signal, but
# not on SIGUSR1, and not at all if it is stubborn.
SERVER = r"""
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static volatile sig_atomic_t got;

static void note(int sig)
{
	got = sig;
}

int main(int argc, char **argv)
{
	static const int caught[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR1 };
	struct sigaction action = { .sa_handler = note };
	struct sockaddr_in any = { .sin_family = AF_INET, .sin_port = htons(7777) };
	struct pollfd waited = { .fd = socket(AF_INET, SOCK_STREAM, 0), .events = POLLIN };
	int listener = waited.fd, i;
	sigset_t blocked, before;

	/* signals come in ppoll() only: one between a look at `got` and a call would be lost */
	sigfillset(&blocked);
	sigprocmask(SIG_BLOCK, &blocked, &before);
	for (i = 0; i < 4; i++)
		sigaction(caught[i], &action, NULL);
	if (bind(listener, (struct sockaddr *)&any, sizeof(any)) || listen(listener, 5))
		return 1;
	fputs("an error\n", stderr);
	puts("ready");
	fflush(stdout);
	for (;;) {
		if (ppoll(&waited, 1, NULL, &before) > 0) {
			int client = accept(listener, NULL, NULL);

			write(client, "hello", 5);
			close(client);
		}
		if (!got)
			continue;
		printf("got %s\n", sigabbrev_np(got));
		fflush(stdout);
		if (got != SIGUSR1 && argc == 1)
			return 40 + got;
		got = 0;
	}
}
"""

CYCLES = int(os.environ.get("UKCC_TEST_CYCLES", "5"))


@pytest.fixture(scope="session")
def server(build_image: Build) -> Path:
    return build_image(SERVER, name="lifecycle")


class Host:
    """`ukcc` with machines of its own in a directory that nobody else has."""

    def __init__(self, runtime: Path) -> None:
        self.machines, self.temporary = runtime / "ukcc" / "machines", runtime / "tmp"
        self.temporary.mkdir()
        self._mark = f"XDG_RUNTIME_DIR={runtime}"
        own = {"XDG_RUNTIME_DIR": str(runtime), "TMPDIR": str(self.temporary)}
        self._env = {**os.environ, **own}

    def start(self, *words: "str | Path", **more: Any) -> "subprocess.Popen[bytes]":
        argv = [str(BIN / "ukcc"), *map(str, words)]
        defaults: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(argv, env=self._env, stdin=subprocess.DEVNULL, **defaults | more)

    def __call__(self, *words: "str | Path") -> "tuple[int, str, str]":
        process = self.start(*words)
        out, err = process.communicate(timeout=DEADLINE * FACTOR)
        print("$ ukcc", *words, "->", process.returncode, out.decode(), err.decode())
        return process.returncode, out.decode(), err.decode()

    def run(self, *words: "str | Path") -> "tuple[int, str, str]":
        """Under TCG always: a fresh directory knows nothing of KVM yet."""
        return self("run", "--accel", "tcg", *words)

    def listed(self, *options: str) -> "list[dict[str, Any]]":
        status, out, err = self("ps", "--json", *options)
        assert (status, err) == (0, "")
        found = json.loads(out)
        assert isinstance(found, list)
        return found

    def processes(self) -> list[str]:
        """Those that have been started with our environment: supervisors, QEMU, whatever else."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                if self._mark.encode() in (place / "environ").read_bytes().split(b"\0"):
                    found.append((place / "cmdline").read_text())
        return found

    def soon_in_log(self, name: str, line: str) -> None:
        soon(lambda: line in self("logs", name)[1].splitlines())


def soon(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + DEADLINE * FACTOR
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(word) for word in text.split()]


def has_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    made = Host(tmp_path)
    yield made
    for machine in made.listed():
        os.kill(machine["supervisor"], signal.SIGKILL)  # QEMU goes with it


def test_a_server_in_the_background(server: Path, host: Host) -> None:
    port = free_port()
    words = ("-d", "--name", "web", "-p", f"{port}:7777", server)
    assert host.run(*words) == (0, "web\n", "")
    assert host.run(*words)[0] == 125  # the port is in use as well
    status, out, err = host.run("-d", "--name", "web", server)
    assert (status, out) == (125, "") and "--name web: a machine of that name is running" in err
    (machine,) = host.listed()
    assert (machine["name"], machine["state"], machine["image"]) == ("web", "running", str(server))
    assert (machine["ports"], machine["detached"]) == ([f"127.0.0.1:{port}:7777"], True)
    supervisor = machine["supervisor"]
    assert os.getsid(supervisor) == supervisor != os.getsid(0)
    assert len(children(supervisor)) == 1

    follower = host.start("logs", "-f", "web")
    assert follower.stdout and follower.stdout.readline() == b"ready\n"
    assert host("logs", "web") == (0, "ready\n", "an error\n")
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE) as client:
        assert client.recv(100) == b"hello"
    assert host("kill", "-s", "USR1", "web") == (0, "", "")
    assert follower.stdout.readline() == b"got USR1\n"

    waiter = host.start("wait", "web")
    assert host("stop", "-t", str(DEADLINE * FACTOR), "web") == (0, "web\n", "")
    assert waiter.communicate() == (b"55\n", b"") and waiter.returncode == 55
    assert follower.communicate() == (b"got TERM\n", b"an error\n") and follower.returncode == 0
    assert has_gone(supervisor)
    assert host.listed() == [] and host.listed("-a")[0]["state"] == "exited 55"
    assert host("wait", "web") == (55, "55\n", "")
    assert host("logs", "web") == (0, "ready\ngot USR1\ngot TERM\n", "an error\n")
    status, _, err = host("stop", "web")
    assert status == 125 and "web does not run (exited 55)" in err
    assert host("ps", "--prune") == (0, "web\n", "")
    assert [path.name for path in host.machines.iterdir()] == [".lock"]


def test_a_start_that_fails_says_so_in_the_foreground(
    server: Path, host: Host, tmp_path: Path
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        status, out, err = host.run("-d", "-p", f"{port}:7777", server)
    assert (status, out) == (125, "") and f"port {port}" in err and err.count("\n") == 1
    text = tmp_path / "text"
    text.write_text("no image")
    status, out, err = host.run("-d", text)
    assert (status, out) == (125, "") and err.count("\n") == 1
    # QEMU itself finds out, in the background: nobody has so much memory
    status, out, err = host.run("-d", "--name", "big", "-m", "200000000", server)
    assert (status, out) == (125, "") and "QEMU failed: " in err and err.count("\n") == 1
    for name in ("", "a/b"):
        assert host.run("-d", "--name", name, server)[0] == 125
    assert host.listed("-a") == []


def test_who_does_not_end_is_ended(server: Path, host: Host) -> None:
    read_end, write_end = os.pipe()
    starter = host.start("run", "--accel", "tcg", "-d", server, "stubborn", pass_fds=[write_end])
    os.close(write_end)
    out, errors = starter.communicate()
    name = out.decode().strip()
    assert (starter.returncode, errors) == (0, b"") and name.startswith("lifecycle-")
    # nobody keeps what the starter was given
    assert select.select([read_end], [], [], 10)[0] and os.read(read_end, 1) == b""
    os.close(read_end)
    host.soon_in_log(name, "ready")
    status, out, err = host("stop", "-t", "3", name)
    assert (status, out) == (0, f"{name}\n")
    assert err == f"ukcc stop: {name} had not ended 3 s after SIGTERM; its machine was ended\n"
    assert host("wait", name) == (137, "137\n", "")


def test_a_machine_of_the_foreground_can_be_stopped_from_elsewhere(
    server: Path, host: Host
) -> None:
    front = host.start("run", "--accel", "tcg", "--name", "front", server)
    assert front.stdout and front.stdout.readline() == b"ready\n"
    (machine,) = host.listed()
    assert (machine["name"], machine["supervisor"]) == ("front", front.pid)
    assert not machine["detached"] and host("logs", "front")[0] == 125
    waiter = host.start("wait", "front")
    time.sleep(1)
    assert host("stop", "-t", str(DEADLINE * FACTOR), "front") == (0, "front\n", "")
    assert front.communicate() == (b"got TERM\n", b"an error\n") and front.returncode == 55
    assert waiter.communicate() == (b"55\n", b"")
    assert [path.name for path in host.machines.iterdir()] == [".lock"]


def test_the_second_signal_ends_the_machine(server: Path, host: Host) -> None:
    front = host.start("run", "--accel", "tcg", server, "stubborn", start_new_session=True)
    assert front.stdout and front.stdout.readline() == b"ready\n"
    (qemu,) = children(front.pid)
    # as a terminal does it, to all of the group
    os.killpg(front.pid, signal.SIGHUP)
    assert front.stdout.readline() == b"got HUP\n"
    assert front.poll() is None
    front.send_signal(signal.SIGINT)
    assert front.communicate()[0] == b"" and front.returncode == 130
    assert has_gone(qemu) and [path.name for path in host.machines.iterdir()] == [".lock"]


def test_a_supervisor_that_is_killed_leaves_no_machine(server: Path, host: Host) -> None:
    port = free_port()
    assert host.run("-d", "--name", "lost", "-p", f"{port}:7777", server)[0] == 0
    host.soon_in_log("lost", "ready")
    (machine,) = host.listed()
    (qemu,) = children(machine["supervisor"])
    follower = host.start("logs", "-f", "lost")
    os.kill(machine["supervisor"], signal.SIGKILL)
    assert follower.communicate() == (b"ready\n", b"an error\n")
    soon(lambda: has_gone(qemu))
    assert host.listed() == []
    (machine,) = host.listed("-a")
    assert machine["state"] == "lost" and machine["end"]["status"] is None
    status, out, err = host("wait", "lost")
    assert (status, out) == (125, "") and "lost: no exit status: its supervisor was killed" in err
    # the name can be had again, by one
    words = ("run", "--accel", "tcg", "-d", "--name", "lost", server)
    starters = [host.start(*words) for _ in range(2)]
    said = sorted((starter.communicate(), starter.returncode) for starter in starters)
    assert [status for _, status in said] == [125, 0] and b"is running" in said[0][0][1]
    assert host("kill", "lost") == (0, "", "") and host("wait", "lost")[1] == "137\n"


def test_cycles_leave_nothing(server: Path, host: Host) -> None:
    """UKCC_TEST_CYCLES says how many."""
    port = free_port()
    for number in range(CYCLES):
        name = f"cycle{number % 3}"
        assert host.run("-d", "--name", name, "-p", f"{port}:7777", server) == (0, f"{name}\n", "")
        assert len(host.processes()) >= 2  # the supervisor and QEMU
        # stopped while it boots, or when it serves
        if number % 2:
            host.soon_in_log(name, "ready")
        assert host("stop", "-t", str(DEADLINE * FACTOR), name) == (0, f"{name}\n", "")
        assert host("wait", name)[0] in ((55,) if number % 2 else (55, 143))
    assert host("ps", "--prune")[1].split() == sorted({f"cycle{n % 3}" for n in range(CYCLES)})
    assert [path.name for path in host.machines.iterdir()] == [".lock"]
    assert host.processes() == [] and list(host.temporary.iterdir()) == []
    with socket.socket() as trial:
        trial.bind(("127.0.0.1", port))
