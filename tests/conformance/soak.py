"""`python -m conformance.soak [--minutes N]`: one guest, Redis under load, and stress-ng.

The guest's runner keeps Redis as its companion and gives stress-ng a mix to do, a round a minute;
redis-benchmark, on the host, asks without a pause. Between the rounds memory is measured. The soak
fails at the first warning of the kernel, when a round or the load fails, when Redis or the machine
ends, and in the end when memory, or the number of tasks, kept growing.
"""

import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import tomli

from conformance import results, stress_guest, stress_image, stress_list
from conformance.soak_growth import Limits, growths
from conformance.stress_guest import Guest, Order
from conformance.stress_judge import judge_process, kernel_warnings
from conformance.stress_lines import Job, Memory
from ukcc import debsource, demo
from ukcc.errors import UkccError
from ukcc.free_port import free_port
from ukcc.unwinding import unwind_when_ended
from ukcc.vm.hypervisor import accel

PLAN = Path(__file__).with_name("soak.toml")
_CPUS = 2
_MEMORY_MIB = 1024
_ROUND = 60  # seconds of stress; measuring and settling come on top
_SLACK = 180  # seconds that a round may take longer
_GUEST_PORT = 6379
_REQUESTS = 500  # of each kind, in one benchmark: a busy guest needs some seconds for them
_KIB_PER_MIB = 1024


@dataclass(frozen=True)
class Plan:
    """stress: stress-ng's arguments for a round; redis: the server's; growth: what may grow."""

    stress: tuple[str, ...]
    redis: tuple[str, ...]
    growth: Limits


def load(path: Path = PLAN) -> Plan:
    """Reads the data file. Raises UkccError that names what is wrong."""
    try:
        table = tomli.loads(path.read_text())
        return Plan(
            tuple(map(str, table.pop("stress"))),
            tuple(map(str, table.pop("redis"))),
            Limits(**_only(table)),
        )
    except (OSError, tomli.TOMLDecodeError, KeyError, TypeError) as error:
        raise UkccError(f"{path}: {error}") from None


def _only(table: dict[str, Any]) -> dict[str, int]:
    """The table `growth`, which is all that is left. Raises TypeError."""
    if table.keys() != {"growth"}:
        raise TypeError(f"missing, or not known: {', '.join(sorted(table.keys() ^ {'growth'}))}")
    return dict(table["growth"])


class Load:
    """redis-benchmark, again and again, in a thread of its own.

    served: requests answered until now; failure: what went wrong, or empty.
    """

    def __init__(self, redis: demo.Redis, port: int) -> None:
        self.served = 0
        self.failure = ""
        self._redis, self._port = redis, port
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """No further run; the one at work is not waited for long: the machine may be gone."""
        self._stop.set()
        self._thread.join(1)

    def _run(self) -> None:
        while not self._stop.is_set() and not demo.ping(self._redis.cli, self._port):
            self._stop.wait(1)  # the machine boots; the main thread knows when it has ended
        while not self._stop.is_set():
            try:
                rates = demo.benchmark(self._redis.benchmark, self._port, _REQUESTS)
            except UkccError as error:
                if not self._stop.is_set():
                    self.failure = f"{error.message}: {error.hint}"
                return
            self.served += len(rates) * _REQUESTS


@click.command()
@click.option(
    "--minutes",
    default=60,
    show_default=True,
    help="Rounds, of a minute of stress each; 4 or more.",
)
def main(minutes: int) -> None:
    """Soak one guest of 2 CPUs: Redis under load beside stress-ng.

    The exit status is 1 when the kernel warned, something failed, or memory kept growing.
    """
    try:
        if minutes < 4:
            raise UkccError(f"--minutes {minutes}: growth takes 4 or more to be seen")
        plan = load()
        measured = _soak(plan, stress_list.load().warnings, minutes)
        found = growths(measured, plan.growth)
    except UkccError as error:
        print(error.line("soak"), file=sys.stderr)
        sys.exit(error.status)
    for growth in found:
        click.echo(f"{'KEEPS GROWING: ' if growth.keeps_growing else ''}{growth}")
    sys.exit(1 if any(growth.keeps_growing for growth in found) else 0)


def _soak(plan: Plan, warnings: tuple[str, ...], minutes: int) -> list[Memory]:
    """The measurements after each round. Raises UkccError for whatever went wrong."""
    work = results.directory() / "soak"
    program = stress_image.stress_ng()
    redis = demo.build(debsource.fetch("redis", work).tree, work / "redis.log")
    image = stress_image.build("runner", [program, str(redis.server)], work)
    port = free_port()
    guest = Guest(
        image.path,
        _MEMORY_MIB,
        _CPUS,
        accel.choose("auto"),
        ("-p", f"{port}:{_GUEST_PORT}"),
        (f"{stress_image.PLACE}/{redis.server.name}", *plan.redis),
    )
    words = (f"{stress_image.PLACE}/{Path(program).name}", *plan.stress, "--timeout", f"{_ROUND}s")
    orders = [Order(f"minute-{n + 1}", _ROUND + _SLACK, 0, words) for n in range(minutes)]
    load_on_redis = Load(redis, port)
    measured: list[Memory] = []
    before = 0
    load_on_redis.start()
    try:
        for job in stress_guest.run(guest, orders, work / "machines"):
            served = load_on_redis.served
            click.echo(line(job, served - before))
            before = served
            check(job, load_on_redis.failure, warnings)
            assert job.after is not None  # else check() would have raised
            measured.append(job.after)
    finally:
        load_on_redis.stop()
    if not before:
        raise UkccError("Redis answered no request in all the time")
    return measured


def check(job: Job, failure: str, warnings: tuple[str, ...]) -> None:
    """Raises UkccError when this round was not as it should be. failure: of the load."""
    if job.how in ("died", "silent"):
        said = kernel_warnings(job.kernel, warnings) or list(job.kernel[-3:])
        raise UkccError(f"{job.name}: the machine {job.how}: {' | '.join(said)}")
    for text in kernel_warnings(job.kernel, warnings):
        raise UkccError(f"{job.name}: the kernel: {text}")
    verdict, why = judge_process(job)
    if verdict != "pass":
        raise UkccError(f"{job.name}: stress-ng: {verdict}: {why}")
    if failure:
        raise UkccError(f"{job.name}: the load on Redis: {failure}")
    if job.after is None:
        raise UkccError(f"{job.name}: no measurement came")


def line(job: Job, served: int) -> str:
    """One line a minute: memory in MiB, tasks, requests that Redis answered."""
    if job.after is None:
        return f"{job.name}: {job.how}"
    memory = job.after
    figures = {
        "available": memory.available / _KIB_PER_MIB,
        "slab": memory.slab / _KIB_PER_MIB,
        "unreclaimable": memory.unreclaimable / _KIB_PER_MIB,
    }
    shown = ", ".join(f"{name} {value:.1f} MiB" for name, value in figures.items())
    return f"{job.name}: {job.how}; {shown}, {memory.tasks} tasks; {served} requests to Redis"


if __name__ == "__main__":
    unwind_when_ended()
    main()
