"""From the command to the first answered request: a cold boot of Redis, and a snapshot of it.

Both by `ukcc run` as a user would call it, in turn, so that a slow phase of the host hits both.
The guest's instructions are counted in a run of its own, for counting slows it.
"""

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bench import Figure
from bench.host import run
from ukcc import debsource, demo, paths, proc
from ukcc.counting.counter import Counter, counter
from ukcc.errors import UkccError
from ukcc.free_port import free_port
from ukcc.snapshots.manifest import MEMORY
from ukcc.snapshots.memory import bytes_held
from ukcc.vm.options import LOOPBACK

_PORT = 6379
_READY = "Ready to accept connections"
_WORDS = ("--protected-mode", "no", "--save", "")
_ROUNDS = 3
_DEADLINE = 300.0  # seconds
_PAUSE = 0.005  # seconds between two tries to connect
_PING, _PONG = b"PING\r\n", b"+PONG\r\n"
_TENTH = "at most 0.1"


@dataclass(frozen=True)
class Start:
    """One way to a Redis that answers. name: for people; words: of `ukcc run`, without -p;
    ready: what it says before it can answer, or nothing if its port is closed until then.
    """

    name: str
    words: tuple[str, ...]
    ready: str = ""


def snapshot_figures(work: Path) -> list[Figure]:
    """Wall time (the smallest of rounds that alternate), instructions, and sizes."""
    server, snapshot = str(_server()), str(work / "snapshot")
    words = ["--accel", "tcg", "-o", snapshot, "--when", _READY, server]
    run([str(proc.own_tool("ukcc")), "snapshot", *words, "--", *_WORDS])
    cold = Start("cold boot", ("--accel", "tcg", server, *_WORDS), _READY)
    saved = Start("--from a snapshot", ("--from", snapshot))
    walls: dict[str, list[float]] = {}
    for _ in range(_ROUNDS):
        for start in (cold, saved):
            taken, _ = _first_answer(start, os.environ)
            walls.setdefault(start.name, []).append(taken)
    counts = {start.name: _count(start, work) for start in (cold, saved)}
    name = "first PING of Redis"
    figures = []
    for unit, found in (
        ("s", {way: min(times) for way, times in walls.items()}),
        ("10^6 instructions", counts),
    ):
        figures += [Figure(f"{name}, {way}", value, unit) for way, value in found.items()]
        ratio = found[saved.name] / found[cold.name]
        figures.append(Figure(f"{name}, snapshot to cold, {unit}", ratio, "ratio", _TENTH))
    held = bytes_held(Path(snapshot) / MEMORY) / 1e6
    return [*figures, Figure("snapshot of Redis", held, "MB on disk")]


def _server() -> Path:
    """Redis as `make demo` has it, built if it is not there."""
    work = Path(paths.store()) / "demo"
    built = sorted(work.glob("redis-*/src/redis-server"))
    if built:
        return built[-1]
    source = debsource.fetch("redis", work)
    with contextlib.redirect_stdout(sys.stderr):
        return demo.build(source.tree, work / "build.log").server


def _first_answer(
    start: Start, environment: Mapping[str, str], counted: "Counter | None" = None
) -> tuple[float, int]:
    """Seconds of wall time from the command to the answer, and the instructions by then."""
    port = free_port()
    command = [str(proc.own_tool("ukcc")), "run", "-p", f"{port}:{_PORT}", *start.words]
    began = time.monotonic()
    machine = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
    )
    try:
        if start.ready:
            _wait_for_line(machine, start.ready)
        _ask(machine, port, began + _DEADLINE)
        return time.monotonic() - began, counted.executed() if counted else 0
    finally:
        machine.terminate()
        machine.communicate()


def _wait_for_line(machine: "subprocess.Popen[bytes]", text: str) -> None:
    """QEMU takes a connection at once; one that came before the server would wait for seconds."""
    assert machine.stdout is not None
    for line in machine.stdout:
        if text.encode() in line:
            return
    raise UkccError("the machine ended before Redis was ready")


def _ask(machine: "subprocess.Popen[bytes]", port: int, end: float) -> None:
    while time.monotonic() < end and machine.poll() is None:
        try:
            with socket.create_connection((LOOPBACK, port), timeout=_DEADLINE) as client:
                client.sendall(_PING)
                if client.recv(len(_PONG)) == _PONG:
                    return
        except OSError:
            time.sleep(_PAUSE)
    raise UkccError("Redis has not answered a PING")


def _count(start: Start, work: Path) -> float:
    """Instructions that the guest executes until it has answered, in millions."""
    counted = counter(work)
    _, executed = _first_answer(start, counted.environment, counted)
    return executed / 1e6
