"""Runs a fuzzer as a process, again after each finding, and reads what it says of itself."""

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.table import HERE, ROOT, Target

# An hour of somebody's laptop: it stays usable. It has to get on, though: an input's time is that
# of the clock.
_NICE = ("nice", "-n", "10")

_MOST_FINDINGS = 8  # of one target, then it is left alone
_INPUT_SECONDS, _RSS_MIB = 10, 2048
_GRACE = 60  # seconds for the last input, and for its end
_ASKED = 5  # seconds from being asked to end until being killed
_LOOK = 0.2  # seconds between two looks whether it has ended

_STATUS = re.compile(r"^#(\d+)\s.*?\bcov: (\d+) ft: (\d+) corp: (\d+)", re.MULTILINE)
_EXECUTED = re.compile(r"^stat::number_of_executed_units:\s+(\d+)", re.MULTILINE)
_FINDINGS = ("crash-", "timeout-", "oom-", "leak-")

_LOG = "last.log"

# What the committed corpus gets of a grown one: so many inputs, of so many bytes at most.
_HASH = re.compile(r"[0-9a-f]{40}")
_MOST_LEARNED, _LARGEST_LEARNED = 24, 768

# What a finding is known by: what, and where in our code.
_UNCAUGHT = "=== Uncaught Python exception: ===\n"
_FRAME = re.compile(r'^  File "[^"]*/(ukcc/[^"]*|tests/fuzz/[^"]*)", line \d+, in (\S+)', re.M)
_SANITIZER = re.compile(r"^.*: runtime error: (.*)$|^SUMMARY: (.*)$", re.M)


@dataclass(frozen=True)
class Finding:
    """what: one line; input: the file that shows it again; log: what the fuzzer said."""

    what: str
    input: Path
    log: Path


@dataclass
class Result:
    """executions, coverage (edges or lines, as the engine counts), features, corpus (inputs).

    ended_early: by findings or a problem, so that a second try would meet the same.
    """

    target: str
    engine: str
    seconds: float = 0.0
    executions: int = 0
    coverage: int = 0
    features: int = 0
    corpus: int = 0
    findings: "list[Finding]" = field(default_factory=list)
    problem: str = ""
    ended_early: bool = False


class Fuzzer:
    """One target. state: a directory that keeps the grown corpus and the findings.

    stop: when it is set, a run ends at once, and what it has done up to then counts.
    seed: begins from the committed corpus alone, and always tries the same inputs in the same
    order; nothing that it learns is kept.
    """

    def __init__(
        self,
        target: Target,
        argv: "list[str]",
        state: Path,
        stop: "threading.Event | None" = None,
        seed: "int | None" = None,
    ) -> None:
        self._target, self._argv, self._seed = target, argv, seed
        self._stop = stop or threading.Event()
        self._corpus = state / "corpus" / target.name
        self._findings = state / "findings" / target.name
        for directory in (self._corpus, self._findings):
            directory.mkdir(parents=True, exist_ok=True)

    def run(self, seconds: int) -> Result:
        """For that long, or until the same finding comes a second time, or there are too many."""
        result = Result(self._target.name, "libFuzzer" if self._target.is_c else "Atheris")
        began = time.monotonic()
        result.ended_early = True
        while len(result.findings) < _MOST_FINDINGS:
            left = int(seconds - (time.monotonic() - began))
            if left < 1 and result.executions:
                result.ended_early = False
                break
            with tempfile.TemporaryDirectory(dir=self._findings) as place:
                status = self._once(Path(place), max(left, 1), result)
                new = self._kept(Path(place), result)
            if status == 0 or self._stop.is_set():
                result.ended_early = False
                break
            if not new:
                # what is met at once would be met at once again
                if not result.findings:
                    log = self._findings / _LOG
                    result.problem = f"the fuzzer ended with status {status}: see {log}"
                break
        result.seconds = round(time.monotonic() - began, 1)
        return result

    def _once(self, place: Path, seconds: int, result: Result) -> int:
        """One process, whose findings and log are in the directory: its status."""
        options = [
            f"-max_total_time={seconds}",
            f"-max_len={self._target.longest}",
            f"-timeout={_INPUT_SECONDS}",
            f"-rss_limit_mb={_RSS_MIB}",
            f"-artifact_prefix={place}/",
            "-print_final_stats=1",
            "-reload=0",
        ]
        grown = self._corpus
        if self._seed is not None:
            options.append(f"-seed={self._seed}")
            grown = place / "corpus"
            grown.mkdir()
        argv = [*_NICE, *self._argv, *options, str(grown), str(self._target.seeds)]
        with (place / _LOG).open("wb") as out:
            status = _wait(argv, out.fileno(), seconds + _GRACE, self._stop)
        _count(result, (place / _LOG).read_text(errors="replace"))
        return status

    def _kept(self, place: Path, result: Result) -> int:
        """Moves findings that are new in this run out of the directory; how many."""
        log = (place / _LOG).read_text(errors="replace")
        shutil.copy(place / _LOG, self._findings / _LOG)
        known, before = {finding.what for finding in result.findings}, len(result.findings)
        for path in sorted(place.iterdir()):
            if path.name.startswith(_FINDINGS):
                what = _named(path.name, log, self._target.is_c)
                kept = self._findings / path.name
                shutil.move(path, kept)
                if what not in known:
                    result.findings.append(
                        Finding(what, kept, Path(shutil.copy(place / _LOG, f"{kept}.log")))
                    )
        return len(result.findings) - before


def python_argv(target: Target) -> "list[str]":
    """The process of a Python target."""
    return [sys.executable, "-m", "fuzz.python_target", target.name]


def environment() -> "dict[str, str]":
    """Ours, with the package `fuzz` to be found, and sanitizers that end at the first finding."""
    options = "abort_on_error=0:allocator_may_return_null=1:detect_leaks=0"
    return {
        **os.environ,
        "PYTHONHASHSEED": "0",  # an input takes the same way each time
        "PYTHONPATH": os.pathsep.join(map(str, (HERE.parent, ROOT))),
        "ASAN_OPTIONS": options,
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


def minimize(target: Target, argv: "list[str]", state: Path) -> int:
    """Adds to the committed corpus the fewest inputs that cover what the grown one does besides.

    Files with names of their own stay; those named by their hash, from another time, may go.
    """
    grown = state / "corpus" / target.name
    grown.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=state) as place:
        merged = Path(place) / "merged"
        merged.mkdir()
        given, learned = [], []
        for path in target.seeds.iterdir():
            (learned if _HASH.fullmatch(path.name) else given).append(path)
        for path in given:
            shutil.copy(path, merged)
        words = ["-merge=1", f"-max_len={target.longest}", str(merged), str(target.seeds)]
        with (Path(place) / _LOG).open("wb") as log:
            status = _wait([*_NICE, *argv, *words, str(grown)], log.fileno(), None)
        if status:
            return status
        new = [path for path in merged.iterdir() if _HASH.fullmatch(path.name)]
        for path in learned:
            path.unlink()
        for path in sorted(new, key=lambda path: (path.stat().st_size, path.name))[:_MOST_LEARNED]:
            if path.stat().st_size <= _LARGEST_LEARNED:
                shutil.copy(path, target.seeds)
    return 0


def _wait(
    argv: "list[str]", out: int, seconds: "float | None", stop: "threading.Event | None" = None
) -> int:
    """The exit status; a process that outlives its time is killed, with status 124.

    It is in a session of its own: Ctrl-C at the terminal comes to us alone, and we ask it to end.
    """
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=out,
        env=environment(),
        start_new_session=True,
    )
    try:
        if stop is None:
            return process.wait(seconds)
        return _wait_or_stop(process, seconds, stop)
    except subprocess.TimeoutExpired:
        return 124
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        process.wait()


def _wait_or_stop(
    process: "subprocess.Popen[bytes]", seconds: "float | None", stop: threading.Event
) -> int:
    """Raises TimeoutExpired."""
    end = time.monotonic() + (seconds or float("inf"))
    while (status := process.poll()) is None:
        if stop.wait(_LOOK):
            process.terminate()  # libFuzzer then says what it has done
            return process.wait(_ASKED)
        if time.monotonic() > end:
            raise subprocess.TimeoutExpired(process.args, seconds or 0)
    return status


def _count(result: Result, log: str) -> None:
    """Adds what one process has done."""
    lines = _STATUS.findall(log)
    if not lines:
        return
    executed = _EXECUTED.findall(log)
    result.executions += int(executed[-1]) if executed else int(lines[-1][0])
    result.coverage = max(result.coverage, *(int(line[1]) for line in lines))
    result.features = max(result.features, *(int(line[2]) for line in lines))
    result.corpus = max(result.corpus, *(int(line[3]) for line in lines))


def _named(name: str, log: str, is_c: bool) -> str:
    """What a finding is, without what differs from one input to the next."""
    kind = name.partition("-")[0]
    if is_c:
        found = _SANITIZER.search(log)
        return (found[1] or found[2]).strip() if found else kind
    frames = _FRAME.findall(log)
    where = " in {1} ({0})".format(*frames[-1]) if frames else ""
    _, _, said = log.partition(_UNCAUGHT)
    return (said.partition("\n")[0].partition(":")[0] or kind) + where
