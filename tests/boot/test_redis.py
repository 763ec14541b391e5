"""The main job: the distribution's Redis, built unchanged by uk-gcc, served by a unikernel."""

import contextlib
import itertools
import socket
import subprocess
import threading
from pathlib import Path

import pytest
from support import killing
from support.boots import run_argv

from ukcc import debsource, demo
from ukcc.free_port import free_port


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> demo.Redis:
    work = tmp_path_factory.mktemp("redis")
    source = debsource.fetch("redis", work)
    return demo.build(source.tree, work / "build.log")


def test_redis_serves(redis: demo.Redis, tmp_path: Path) -> None:
    port = free_port()
    command = run_argv(
        redis.server, ["--protected-mode", "no", "--save", ""], ["-p", f"{port}:6379"]
    )
    with demo.booted([word.decode() for word in command], tmp_path / "console") as machine:
        demo.wait_until_ready(redis.cli, port, machine)
        client = [str(redis.cli), "-p", str(port)]
        assert subprocess.run([*client, "ping"], capture_output=True).stdout == b"PONG\n"
        subprocess.run([*client, "set", "key", "x" * 100000], check=True, capture_output=True)
        value = subprocess.run([*client, "get", "key"], capture_output=True).stdout
        assert value == b"x" * 100000 + b"\n"
        assert set(demo.benchmark(redis.benchmark, port)) == {"SET", "GET"}
        subprocess.run([*client, "shutdown", "nosave"], capture_output=True)
        assert machine.wait(60) == 0


def _acknowledged(client: socket.socket, words: str) -> "bytes | None":
    """The answer to one command, or None when the machine has ended before it came."""
    answer = b""
    with contextlib.suppress(OSError):
        client.sendall(words.encode() + b"\r\n")
        while not answer.endswith(b"\r\n"):
            data = client.recv(4096)
            if not data:
                return None
            answer += data
        return answer
    return None


def test_redis_loses_nothing_that_it_acknowledged(redis: demo.Redis, tmp_path: Path) -> None:
    """The VMM is killed while Redis appends to its file, on a disk and on a share in turn."""
    (tmp_path / "share").mkdir()
    options = ["-v", f"{tmp_path}/share:/share", "--disk", f"{tmp_path}/data.img:/disk,create=64M"]
    words = ["--protected-mode", "no", "--save", "", "--appendonly", "yes"]
    words += ["--appendfsync", "always", "--dir"]
    kept = {"/disk": 0, "/share": 0}
    rounds = [*killing.moments(2, 100), (0, 0.0), (0, 0.0)]
    for turn, (count, pause) in enumerate(rounds):
        place = list(kept)[turn % 2]
        port = free_port()
        command = run_argv(redis.server, [*words, place], ["-p", f"{port}:6379", *options])
        with demo.booted([word.decode() for word in command], tmp_path / "console") as machine:
            demo.wait_until_ready(redis.cli, port, machine)
            with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
                for number in range(1, kept[place] + 1):
                    assert _acknowledged(client, f"STRLEN {number}") == b":%d\r\n" % number
                size = _acknowledged(client, "DBSIZE")
                assert size in (b":%d\r\n" % n for n in (kept[place], kept[place] + 1))
                timer = threading.Timer(pause, killing.kill_vmm, [machine])
                for number in itertools.count(kept[place] + 1):
                    if number == kept[place] + 1 + count:
                        timer.start()
                    if _acknowledged(client, f"SET {number} {'x' * number}") != b"+OK\r\n":
                        break
                kept[place] = number - 1
            timer.join()
            assert machine.wait(60) == 125


def test_redis_runs_on_linux(redis: demo.Redis) -> None:
    done = subprocess.run([redis.server, "--version"], capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"Redis server v=")
