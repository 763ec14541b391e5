"""Runs jobs in a booted image, one after the other; when the machine dies, a fresh one goes on."""

import contextlib
import queue
import re
import subprocess
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from conformance.stress_lines import Job, Reader
from ukcc import proc
from ukcc.errors import MachineError

_BOOT = 240.0  # seconds until the first line; a boot takes two when nobody else computes
_MARGIN = 90.0  # seconds beyond a job's limit: the runner kills and measures, the host is busy
_END = 60.0  # seconds for the machine to end after the last job
_KEPT = 40  # lines of the console of a machine that died
_WITHOUT_PROGRESS = 3  # machines in a row that end before a job began
_STAMP = re.compile(r"^(?:<\d>)?\[ *\d+\.\d+\] ?(?:\[ *[TC]\d+\] ?)?")


@dataclass(frozen=True)
class Order:
    """One job: its name, its limit in seconds, its user, the words of its command in the guest."""

    name: str
    limit: int
    uid: int
    words: tuple[str, ...]

    def line(self) -> str:
        """As the runner reads it."""
        return " ".join((self.name, str(self.limit), str(self.uid), *self.words)) + "\n"


@dataclass(frozen=True)
class Guest:
    """The machine: image, MiB of memory, CPUs, accelerator, further options of `ukcc run`.

    companion: the command in the guest that the runner starts first, and keeps.
    """

    image: Path
    memory_mib: int
    cpus: int
    accel: str
    options: tuple[str, ...] = ("--net", "none")
    companion: tuple[str, ...] = ()

    def command(self) -> list[str]:
        """`ukcc run …`."""
        machine = ["-m", str(self.memory_mib), "--smp", str(self.cpus), "--accel", self.accel]
        return [*proc.UKCC, "run", *machine, *self.options, str(self.image), *self.companion]


def run(guest: Guest, orders: Sequence[Order], work: Path) -> Iterator[Job]:
    """The jobs as they end, in order. Consoles and lines of each machine are in `work`.

    Raises MachineError when machines end again and again before a job has begun.
    """
    left, machines, fruitless = list(orders), 0, 0
    work.mkdir(parents=True, exist_ok=True)
    while left:
        machines += 1
        ended = 0
        for job in _one_machine(guest, left, work / f"machine-{machines}"):
            ended += 1
            yield job
        del left[:ended]
        fruitless = 0 if ended else fruitless + 1
        if fruitless == _WITHOUT_PROGRESS:
            raise MachineError(
                f"{guest.image.name}: {fruitless} machines ended before a job began",
                f"what they said: {work}/machine-*.log",
            )


def _one_machine(guest: Guest, orders: Sequence[Order], log: Path) -> Iterator[Job]:
    """The jobs that ended in one machine, the one that ended it included."""
    console = log.with_suffix(".console")
    limits = {order.name: order.limit for order in orders}
    reader, how = Reader(), "died"
    with (
        log.with_suffix(".log").open("w", buffering=1, errors="replace") as record,
        machine(guest.command(), console) as (process, lines),
    ):
        # one at a time: what a machine says of a job must have left it before the next can end it
        to_do = iter(orders)
        _feed(process, next(to_do))
        patience = _BOOT
        while True:
            try:
                line = lines.get(timeout=patience)
            except queue.Empty:
                how = "silent"
                break
            if line is None:
                break
            record.write(line + "\n")
            job = reader.feed(line)
            if job:
                yield job
                _feed(process, next(to_do, None))
            patience = limits.get(reader.running, 0) + _MARGIN
        if reader.done:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_END)
                return
    if reader.running:
        yield reader.end(how, last_words(console, reader.other))


@contextlib.contextmanager
def machine(
    command: Sequence[str], console: Path
) -> "Iterator[tuple[subprocess.Popen[bytes], queue.Queue[str | None]]]":
    """A running machine, and the lines of its standard error, then None; its console in a file."""
    with console.open("wb") as out:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=out, stderr=subprocess.PIPE
        )
    assert process.stdin is not None and process.stderr is not None  # they are pipes
    said: queue.Queue[str | None] = queue.Queue()
    collector = threading.Thread(target=_collect, args=(process.stderr, said), daemon=True)
    collector.start()
    try:
        yield process, said
    finally:
        process.kill()
        process.wait()
        collector.join(5)


def _feed(process: "subprocess.Popen[bytes]", order: "Order | None") -> None:
    """The next job for the runner, or the end of them. A machine that has ended takes none."""
    assert process.stdin is not None  # it is a pipe
    with contextlib.suppress(BrokenPipeError):
        if order is None:
            process.stdin.close()
        else:
            process.stdin.write(order.line().encode())
            process.stdin.flush()


def _collect(pipe: IO[bytes], said: "queue.Queue[str | None]") -> None:
    for raw in pipe:
        said.put(raw.decode(errors="replace").rstrip("\r\n"))
    said.put(None)


def last_words(console: Path, other: Sequence[str]) -> tuple[str, ...]:
    """The end of a dead machine's console, without time stamps, and what `ukcc run` said."""
    text = console.read_text(errors="replace")
    shown = [_STAMP.sub("", line.strip()) for line in text.splitlines() if line.strip()]
    return (*shown[-_KEPT:], *other)
