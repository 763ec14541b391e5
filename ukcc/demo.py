"""`ukcc demo`: builds the distribution's Redis by uk-gcc, boots it and talks to it.

The transcript goes to standard output. Nothing is claimed beyond what was measured in this run.
"""

import contextlib
import json
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc import debsource, paths, proc
from ukcc.errors import UkccError
from ukcc.free_port import free_port
from ukcc.vm.hypervisor import accel
from ukcc.vm.options import LOOPBACK

_READY = 120.0  # seconds until the server answers
_BENCHMARK = 600.0  # seconds
_REQUESTS = 5000
_GUEST_PORT = 6379
# --save "": no snapshots; the machine has no disk to keep them on
_SERVER_WORDS = ("--protected-mode", "no", "--save", "", "--loglevel", "warning")


@dataclass(frozen=True)
class Redis:
    """What the build left: the image, and two clients that run as Linux processes."""

    server: Path
    cli: Path
    benchmark: Path


def demo() -> None:
    """Raises UkccError at the first step that did not do what it should."""
    work = Path(paths.store()) / "demo"
    _say("Fetching the distribution's source of Redis")
    source = debsource.fetch("redis", work)
    _fact(f"redis {source.version}, unpacked in {source.tree}")

    _say("Building it, unchanged, by uk-gcc")
    redis = build(source.tree, work / "build.log")
    _fact(f"src/redis-server: {redis.server.stat().st_size / 1e6:.1f} MB, one file")

    _say("The file runs on Linux")
    version = proc.output([str(redis.server), "--version"]).strip()
    _shown([str(redis.server.name), "--version"], version)

    used = accel.choose("auto")
    _say(f"The same file boots as a virtual machine (accelerator: {used})")
    port = free_port()
    command = _run_command(redis.server, used, port)
    _shown(["ukcc", *command[3:]], "")
    started = time.monotonic()
    with booted(command, work / "console.log") as machine:
        wait_until_ready(redis.cli, port, machine)
        _fact(f"first PONG {time.monotonic() - started:.2f} s after the command")
        _talk(redis, port, used)
        _say("Stopping it in order")
        _cli(redis.cli, port, "SHUTDOWN", "NOSAVE")
        status = _wait(machine)
    if status != 0:
        raise UkccError(f"the machine ended with status {status}", f"see {work / 'console.log'}")
    _fact(f"exit status {status}")


def build(tree: Path, log: Path) -> Redis:
    """`make CC=uk-gcc MALLOC=libc` in the source tree, which is as the distribution has it."""
    log.unlink(missing_ok=True)
    command = ["make", "-j2", "CC=uk-gcc", "MALLOC=libc"]
    _shown(command, "")
    started = time.monotonic()
    proc.run(proc.isolated(command, {"PATH": proc.path_for_builds()}), cwd=tree, log=log)
    _fact(f"took {time.monotonic() - started:.0f} s; log: {log}")
    made = Redis(*(tree / "src" / f"redis-{name}" for name in ("server", "cli", "benchmark")))
    for program in (made.server, made.cli, made.benchmark):
        if not program.exists():
            raise UkccError(f"{program}: make did not build it", f"see {log}")
    return made


def _run_command(server: Path, used: str, port: int) -> list[str]:
    """`ukcc run …`."""
    options = ["--accel", used, "-p", f"{port}:{_GUEST_PORT}"]
    return [*proc.UKCC, "run", *options, str(server), *_SERVER_WORDS]


@contextlib.contextmanager
def booted(command: Sequence[str], console: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The running machine, its console in a file; it is ended whatever happens inside."""
    with console.open("wb") as log:
        machine = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        yield machine
    except BaseException:
        sys.stderr.write(console.read_text(errors="replace")[-4000:])
        raise
    finally:
        machine.kill()
        machine.wait()


def wait_until_ready(cli: Path, port: int, machine: "subprocess.Popen[bytes]") -> None:
    """Until the server answers a PING. Raises UkccError when it ends, or is too slow."""
    end = time.monotonic() + _READY
    while time.monotonic() < end:
        if machine.poll() is not None:
            raise UkccError(f"the machine ended with status {machine.returncode} before it served")
        if ping(cli, port):
            return
        time.sleep(0.05)
    raise UkccError(f"no answer from the server in {_READY:.0f} s")


def ping(cli: Path, port: int) -> bool:
    """One PING. QEMU takes the connection before the guest is up, and then nothing comes back."""
    command = [str(cli), "-h", LOOPBACK, "-p", str(port), "ping"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=2)
    except subprocess.TimeoutExpired:
        return False
    return done.stdout.strip() == b"PONG"


def _talk(redis: Redis, port: int, used: str) -> None:
    _shown(["redis-cli", "-p", str(port), "ping"], _cli(redis.cli, port, "ping"))
    _cli(redis.cli, port, "SET", "greeting", "hello from ring 0")
    _shown(
        ["redis-cli", "-p", str(port), "GET", "greeting"], _cli(redis.cli, port, "GET", "greeting")
    )
    server = _info(_cli(redis.cli, port, "INFO", "server"))
    _fact(f"INFO server: os {server.get('os', '?')}, process_id {server.get('process_id', '?')}")
    _say(f"redis-benchmark as a Linux process, {_REQUESTS} requests each")
    for test, rate in benchmark(redis.benchmark, port).items():
        _fact(f"{test}: {rate:.0f} requests/s under {used}, through user-mode networking")


def benchmark(program: Path, port: int, requests: int = _REQUESTS) -> dict[str, float]:
    """Test -> requests per second of wall time, from redis-benchmark's CSV. requests: of each."""
    words = [str(program), "-h", LOOPBACK, "-p", str(port)]
    words += ["-t", "set,get", "-n", str(requests), "--csv"]
    # not -q: nothing of it is for people; the limit is for a guest that hangs
    text = proc.output(["timeout", str(int(_BENCHMARK)), *words])
    rates = {name: float(rate) for name, rate in re.findall(r'^"(\w+)","([\d.]+)"', text, re.M)}
    if rates.keys() != {"SET", "GET"}:
        raise UkccError(f"unexpected output of redis-benchmark: {json.dumps(text[-500:])}")
    return rates


def _cli(cli: Path, port: int, *words: str) -> str:
    text = proc.output(["timeout", "30", str(cli), "-h", LOOPBACK, "-p", str(port), *words])
    return text.strip()


def _info(text: str) -> dict[str, str]:
    pairs = (line.strip().partition(":") for line in text.splitlines() if ":" in line)
    return {key: value for key, _, value in pairs}


def _wait(machine: "subprocess.Popen[bytes]") -> int:
    try:
        return machine.wait(30)
    except subprocess.TimeoutExpired:
        raise UkccError("the machine did not end after SHUTDOWN") from None


def _say(text: str) -> None:
    print(f"\n== {text}", flush=True)


def _fact(text: str) -> None:
    print(f"   {text}", flush=True)


def _shown(command: Sequence[str], output: str) -> None:
    """A command as one would type it, and what it said."""
    print(f"   $ {shlex.join(command)}", flush=True)
    for line in output.splitlines():
        print(f"   {line}", flush=True)
