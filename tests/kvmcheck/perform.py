"""Does what a row says: in the nest, on the host's own KVM, or as the control."""

import contextlib
import json
import os
import resource
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from kvmcheck.table import Row
from ukcc.free_port import free_port
from ukcc.vm.hypervisor.qemu import PROGRAM
from ukcc.vm.options import LOOPBACK

_UKCC = str(Path(sys.executable).parent / "ukcc")
_WORDS = 400  # characters of what a wrong row has said: so many first ones, and as many last ones
_BETWEEN_NMIS = 0.05  # seconds; the guest has to get on as well
_REQUESTS = 200  # of each kind, of redis-benchmark

# Puts words behind the values of QEMU's options; `-machine` is there twice in a machine with memory
# that is shared, and the first one names the kind.
_WRAPPER = """#!/bin/sh
before=
for word; do
    shift
    case $before,$word in
    -cpu,*) word=$word{cpu} ;;
    -machine,q35* | -machine,microvm*) word=$word{machine} ;;
    esac
    before=$word
    set -- "$@" "$word"
done
exec {program} "$@"
"""


@dataclass(frozen=True)
class Place:
    """Where rows run. accel: `kvm` or `tcg`; factor: of all times; images: their directory."""

    accel: str
    factor: float
    images: str


@dataclass(frozen=True)
class Result:
    """problem: what was not as it should be, one line; empty if nothing. seconds: of wall time."""

    problem: str
    seconds: float


class Wrong(Exception):
    """What is not as the row says."""


def perform(row: Row, place: Place) -> Result:
    """Never raises for what the row's machine does."""
    began = time.monotonic()
    problem = ""
    with tempfile.TemporaryDirectory(prefix="ukcc-kvm-check-") as work:
        try:
            DRIVERS[row.driver](Doing(row, place, Path(work)))
        except (Wrong, OSError) as error:
            problem = _one_line(str(error)) or type(error).__name__
    return Result(problem, round(time.monotonic() - began, 1))


@dataclass(frozen=True)
class Doing:
    """One row at work. work: an empty directory."""

    row: Row
    place: Place
    work: Path

    @property
    def image(self) -> str:
        return f"{self.place.images}/{self.row.program}"

    @property
    def seconds(self) -> float:
        return self.row.seconds * self.place.factor

    @property
    def machine_words(self) -> list[str]:
        """What says which machine it is."""
        kind = [] if self.row.machine == "q35" else ["--machine", self.row.machine]
        return ["--accel", self.place.accel, "--smp", str(self.row.cpus), *kind]

    @property
    def options(self) -> list[str]:
        """The row's own of `ukcc run`."""
        (self.work / "work").mkdir(exist_ok=True)
        known = {"{work}": str(self.work / "work"), "{images}": self.place.images}
        return [_filled(word, known) for word in self.row.options]

    def environment(self) -> "dict[str, str]":
        """With a QEMU before the real one where the row has words for it."""
        if not self.row.cpu and not self.row.machine_words:
            return dict(os.environ)
        wrapper = self.work / "bin" / PROGRAM
        wrapper.parent.mkdir(exist_ok=True)
        real = shutil.which(PROGRAM)
        words = {"cpu": self.row.cpu, "machine": self.row.machine_words, "program": str(real)}
        wrapper.write_text(_WRAPPER.format(**words))
        wrapper.chmod(0o755)
        return {**os.environ, "PATH": f"{wrapper.parent}:{os.environ['PATH']}"}

    def ukcc(self, *words: str) -> "tuple[int, str, str]":
        """Status, standard output and error. Raises Wrong when it does not end in time."""
        with self.started(*words) as process:
            return self.ended(process, words[0])

    @contextlib.contextmanager
    def started(self, *words: str) -> "Iterator[subprocess.Popen[str]]":
        """`ukcc` at work; ended with the context."""
        process = subprocess.Popen(
            [_UKCC, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=self.environment(),
            text=True,
            errors="replace",
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def ended(self, process: "subprocess.Popen[str]", what: str) -> "tuple[int, str, str]":
        """As `ukcc`."""
        try:
            out, err = process.communicate(timeout=self.seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise Wrong(f"{what}: no end after {self.seconds:g} s: {out}{err}") from None
        return process.returncode, out, err

    def judge(self, ended: "tuple[int, str, str]") -> None:
        """Raises Wrong unless status and last line are the row's."""
        status, out, err = ended
        said = out.splitlines()[-1:] == [self.row.last]
        if status != self.row.status or not said:
            raise Wrong(f"status {status}: {out}{err}")


def _run(doing: Doing) -> None:
    """One `ukcc run`, and what it leaves."""
    words = [*doing.machine_words, *doing.options, doing.image, *doing.row.args]
    # its own limit comes first, and says what the machine is at
    limit = ["--timeout", f"{doing.seconds * 0.8:g}"]
    doing.judge(doing.ukcc("run", "--no-config", *limit, *words))
    for name, content in doing.row.leaves.items():
        file = doing.work / "work" / name
        if not file.is_file() or file.read_text() != content:
            raise Wrong(f"{name}: not there, or not {content!r}")


def _nmi(doing: Doing) -> None:
    """NMIs through QEMU's monitor until the program has had enough of them."""
    words = [*doing.machine_words, doing.image, *doing.row.args]
    status, line, err = doing.ukcc("run", "--no-config", "--net", "none", "--dry-run", *words)
    if status:
        raise Wrong(f"--dry-run: status {status}: {err}")
    monitor = doing.work / "monitor"
    argv = [*shlex.split(line), "-qmp", f"unix:{monitor},server=on,wait=off"]
    machine = subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    timer = threading.Timer(doing.seconds, machine.kill)
    timer.start()
    try:
        assert machine.stdout is not None  # it is a pipe
        before = b""
        while line_of := machine.stdout.readline():
            before += line_of
            if b"ready" in line_of:  # the kernel has no handler before
                break
        sent = _inject(monitor, machine)
        out = machine.stdout.read()
        machine.wait()
    finally:
        timer.cancel()
        machine.kill()
        machine.wait()
    if doing.row.last.encode() not in out.split() or not sent:
        raise Wrong(f"{sent} NMIs, status {machine.returncode}: {(before + out).decode('latin-1')}")


def _inject(monitor: Path, machine: "subprocess.Popen[bytes]") -> int:
    """How many; until the machine ends."""
    sent = 0
    with socket.socket(socket.AF_UNIX) as channel, contextlib.suppress(OSError):
        channel.connect(str(monitor))
        talk = channel.makefile("rw")
        talk.readline()
        command = "qmp_capabilities"
        while machine.poll() is None:
            talk.write(json.dumps({"execute": command}) + "\n")
            talk.flush()
            if not talk.readline():
                break
            sent += command == "inject-nmi"
            command = "inject-nmi"
            time.sleep(_BETWEEN_NMIS)
    return sent


def _snapshot(doing: Doing) -> None:
    """Saved when it says `ready`, continued, and the time of day is the host's then."""
    saved = str(doing.work / "snapshot")
    words = [*doing.machine_words, doing.image, "-o", saved, "--when", "ready"]
    status, out, err = doing.ukcc("snapshot", *words)
    if status:
        raise Wrong(f"snapshot: status {status}: {out}{err}")
    time.sleep(3)  # which a clock that goes on from the snapshot would not have
    began = time.time()
    ended = doing.ukcc("run", "--from", saved, "--timeout", f"{doing.seconds * 0.8:g}")
    doing.judge(ended)
    now = float(next(line for line in ended[1].splitlines() if line.startswith("now "))[4:])
    if not began - 2 <= now <= time.time() + 2:
        raise Wrong(f"the time of day is {now - began:+.1f} s off")


def _lifecycle(doing: Doing) -> None:
    """`run -d`, `ps`, a signal, `logs`, `stop`, `wait`."""
    name = f"kvm-check-{os.getpid()}-{doing.work.name[-8:]}"
    words = ["--no-config", "-d", "--name", name, *doing.machine_words, doing.image]
    status, out, err = doing.ukcc("run", *words)
    if (status, out) != (0, f"{name}\n"):
        raise Wrong(f"run -d: status {status}: {out}{err}")
    try:
        _until(doing, "ready", lambda: "ready" in doing.ukcc("logs", name)[1])
        listed = json.loads(doing.ukcc("ps", "--json")[1])
        if [one["accel"] for one in listed if one["name"] == name] != [doing.place.accel]:
            raise Wrong(f"ps: {listed}")
        doing.ukcc("kill", "-s", "USR1", name)
        got = f"got {signal.SIGUSR1:d}"
        _until(doing, got, lambda: got in doing.ukcc("logs", name)[1])
        doing.ukcc("stop", "-t", f"{doing.seconds:g}", name)
        status, out, err = doing.ukcc("wait", name)
        if status != 40 + signal.SIGTERM:
            raise Wrong(f"wait: status {status}: {out}{err}")
    finally:
        doing.ukcc("kill", name)


def _until(doing: Doing, what: str, holds: Callable[[], bool]) -> None:
    end = time.monotonic() + doing.seconds
    while not holds():
        if time.monotonic() > end:
            raise Wrong(f"no {what!r} after {doing.seconds:g} s")
        time.sleep(0.2)


def _redis(doing: Doing) -> None:
    """A server with its own clients as processes of the host, and its end by SIGTERM."""
    port = str(free_port())
    words = [*doing.machine_words, "-p", f"{port}:6379", doing.image, *doing.row.args]
    with doing.started("run", "--no-config", *words) as process:
        drained = threading.Thread(target=_drain, args=(process,), daemon=True)
        drained.start()
        client = [f"{doing.place.images}/redis-cli", "-h", LOOPBACK, "-p", port]
        _until(doing, "PONG", lambda: _ended_early(process) or _said([*client, "ping"]) == "PONG")
        _said([*client, "set", "greeting", "from ring 0"])
        if (said := _said([*client, "get", "greeting"])) != "from ring 0":
            raise Wrong(f"get: {said!r}")
        bench = [f"{doing.place.images}/redis-benchmark", "-h", LOOPBACK, "-p", port, "--csv"]
        bench += ["-n", str(_REQUESTS), "-c", "5", "-t", "ping_mbulk,set,get,lpush,mset"]
        rows = _said(bench, doing.seconds).splitlines()
        if len(rows) < 6:
            raise Wrong(f"redis-benchmark: {rows}")
        process.terminate()
        if (status := process.wait(doing.seconds)) != 0:
            raise Wrong(f"status {status} after SIGTERM")


def _drain(process: "subprocess.Popen[str]") -> None:
    assert process.stdout is not None  # it is a pipe
    for _ in process.stdout:
        pass


def _ended_early(process: "subprocess.Popen[str]") -> bool:
    if process.poll() is not None:
        raise Wrong(f"ended with status {process.returncode} before it served")
    return False


def _said(argv: Sequence[str], seconds: float = 5.0) -> str:
    """Standard output; empty when it does not end."""
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        return ""
    return done.stdout.decode(errors="replace").strip()


DRIVERS: "dict[str, Callable[[Doing], None]]" = {
    "run": _run,
    "nmi": _nmi,
    "snapshot": _snapshot,
    "lifecycle": _lifecycle,
    "redis": _redis,
}


def cpu_seconds() -> float:
    """Of this process and those of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def _filled(word: str, known: "dict[str, str]") -> str:
    for name, value in known.items():
        word = word.replace(name, value)
    return word


def _one_line(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 2 * _WORDS else f"{line[:_WORDS]} … {line[-_WORDS:]}"
