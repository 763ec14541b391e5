"""The main job: the distribution's Redis, built unchanged by uk-gcc, served by a unikernel."""

import subprocess
from pathlib import Path

import pytest
from conftest import run_argv

from ukcc import debsource, demo


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> demo.Redis:
    work = tmp_path_factory.mktemp("redis")
    source = debsource.fetch("redis", work)
    return demo.build(source.tree, work / "build.log")


def test_redis_serves(redis: demo.Redis, tmp_path: Path) -> None:
    port = demo.free_port()
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


def test_redis_runs_on_linux(redis: demo.Redis) -> None:
    done = subprocess.run([redis.server, "--version"], capture_output=True)
    assert done.returncode == 0 and done.stdout.startswith(b"Redis server v=")
