"""Fuzzes in slices until each target has its time in the ledger: the least fuzzed first."""

import concurrent.futures
import dataclasses
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from fuzz.digest import digest
from fuzz.engine import Fuzzer, Result
from fuzz.ledger import Account, Damaged, Ledger
from fuzz.table import Target

AT_A_TIME = 2
SLICE = 300  # seconds


@dataclass(frozen=True)
class Place:
    """Where fuzzing leaves what it learns, and how a target is started.

    state: the directory of corpora and findings; argv: the process of a target, built if need be.
    seed: of runs that are to be the same each time, which add nothing to the ledger.
    """

    state: Path
    ledger: Ledger
    argv: "Callable[[Target], list[str]]"
    stop: threading.Event = field(default_factory=threading.Event)
    seed: "int | None" = None


def account(ledger: Ledger, target: Target, code: str) -> Account:
    """What a target has; of a damaged ledger nothing."""
    try:
        return ledger.account(target.name, code)
    except Damaged:
        return Account()


def counted(place: Place, target: Target, seconds: int) -> "tuple[Result, Account]":
    """One slice. It counts for the code that was there, if that did not change meanwhile."""
    code = digest(target)
    argv = place.argv(target)
    result = Fuzzer(target, argv, place.state, place.stop, place.seed).run(seconds)
    if digest(target) != code or place.seed is not None:
        return result, Account()
    return result, place.ledger.add(target.name, code, work(result))


def work(result: Result) -> Account:
    """What a run adds to an account."""
    findings = tuple(finding.what for finding in result.findings)
    if result.problem and not result.executions:
        return Account()  # nothing was fuzzed
    return Account(
        result.seconds,
        result.executions,
        result.coverage,
        result.features,
        result.corpus,
        findings,
    )


class Hours:
    """Works through targets. One whose slice ends early, by a finding, has no further one."""

    def __init__(self, place: Place, targets: "list[Target]", wanted: int) -> None:
        self._place, self._wanted = place, wanted
        self._left = {target.name: target for target in targets}
        self._seconds = {t.name: account(place.ledger, t, digest(t)).seconds for t in targets}
        self._begun: dict[str, float] = {}
        self._lock = threading.Lock()

    def run(self, show: "Callable[[Result, Account], None]") -> "list[Result]":
        """show: called after each slice, by one thread at a time. What this run did, by target."""
        done: dict[str, Result] = {}
        with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
            workers = [pool.submit(self._work, done, show) for _ in range(AT_A_TIME)]
            for worker in concurrent.futures.as_completed(workers):
                worker.result()
        return [done[name] for name in sorted(done)]

    def progress(self) -> "tuple[float, float, dict[str, float]]":
        """Seconds that are done, of how many; what runs, and what it has by now."""
        with self._lock:
            now = dict(self._seconds)
            for name, began in self._begun.items():
                now[name] += time.monotonic() - began
            done = sum(min(seconds, self._wanted) for seconds in now.values())
            return done, self._wanted * len(now), {name: now[name] for name in self._begun}

    def _work(self, done: "dict[str, Result]", show: "Callable[[Result, Account], None]") -> None:
        while not self._place.stop.is_set() and (target := self._next()):
            name = target.name
            left = int(self._wanted - self._seconds[name]) or 1
            try:
                result, now = counted(self._place, target, min(SLICE, left))
            except BaseException:
                self._place.stop.set()  # the other worker ends as well, and counts
                raise
            with self._lock:
                del self._begun[name]
                self._seconds[name] = now.seconds
                done[name] = _together(done[name], result) if name in done else result
                if not result.ended_early:
                    self._left[name] = target
                show(result, now)

    def _next(self) -> "Target | None":
        """The least fuzzed that nobody works on; it is the caller's then."""
        with self._lock:
            short = [name for name in self._left if self._seconds[name] < self._wanted]
            if not short:
                return None
            name = min(short, key=lambda name: self._seconds[name])
            self._begun[name] = time.monotonic()
            return self._left.pop(name)


def _together(before: Result, result: Result) -> Result:
    known = {finding.what for finding in before.findings}
    return dataclasses.replace(
        result,
        seconds=round(before.seconds + result.seconds, 1),
        executions=before.executions + result.executions,
        coverage=max(before.coverage, result.coverage),
        features=max(before.features, result.features),
        corpus=max(before.corpus, result.corpus),
        findings=before.findings + [f for f in result.findings if f.what not in known],
        problem=before.problem or result.problem,
    )
