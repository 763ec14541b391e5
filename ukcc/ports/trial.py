"""Tests a port: boots its images, runs the lines of its tests, and counts its own suite's."""

import contextlib
import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc import paths, proc
from ukcc.errors import UkccError
from ukcc.free_port import free_port
from ukcc.ports.adding_up import add_up
from ukcc.ports.build import bash
from ukcc.ports.machine import RunningMachine, running
from ukcc.ports.place import PortBuild
from ukcc.ports.recipe import Boot, Suite, Trial
from ukcc.progress import Progress

# Which command of a test it was that failed; what it was called with, and what before, is in the
# log by bash -x.
_FAILED = "ukcc: failed: "
_TOLD = f"trap 'echo \"{_FAILED}$BASH_COMMAND\" >&2' ERR; "


@dataclass(frozen=True)
class TestVerdict:
    """Of one test. error: empty if it passed."""

    what: str
    error: str


@dataclass(frozen=True)
class Count:
    """Of a suite in one life: how many tests passed, and the names of those that did not."""

    passed: int
    failed: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.passed} of {self.passed + len(self.failed)}"


@dataclass(frozen=True)
class Comparison:
    """A suite in both lives. unexplained: tests that fail as unikernel only, without a reason."""

    process: Count
    unikernel: Count
    unexplained: tuple[str, ...]


def run_tests(place: PortBuild, progress: Progress) -> list[TestVerdict]:
    """Each test of the recipe, one after the other; a failure does not stop the others."""
    return [
        _verdict(place, test, test_step(number), progress)
        for number, test in enumerate(place.recipe.test, 1)
    ]


def test_step(number: int) -> str:
    """The name of a test's directory and log; the first is 1."""
    return f"test-{number}"


def suite_step(life: str) -> str:
    """The same of the suite as `process` or `unikernel`."""
    return f"suite-{life}"


def run_suite(place: PortBuild, suite: Suite, progress: Progress) -> Comparison:
    """The application's own suite, as a process first. Raises UkccError if it cannot be counted."""
    counts = {}
    for life, lines, boot in (
        ("process", suite.process, None),
        ("unikernel", suite.unikernel, suite.boot),
    ):
        step = suite_step(life)
        with (
            progress.step(f"{place.recipe.name}: {suite.what}, as {life}"),
            _staged(place, step, suite.limit) as stage,
            _machine(stage, boot, "") as machine,
        ):
            said = _suite_lines(stage, lines, machine)
        counts[life] = count(suite, said)
    only = set(counts["unikernel"].failed) - set(counts["process"].failed) - set(suite.explained)
    return Comparison(counts["process"], counts["unikernel"], tuple(sorted(only)))


def count(suite: Suite, text: str) -> Count:
    """What a suite's words say. Raises UkccError when there is no test in them."""
    passed = add_up(suite.passed, text)
    failed = [m[1].strip() for m in re.finditer(suite.failed, text, re.MULTILINE)]
    if not passed and not failed:
        raise UkccError("the suite's output names no tests", "are the recipe's patterns right?")
    return Count(passed, tuple(dict.fromkeys(failed)))


def _verdict(place: PortBuild, test: Trial, step: str, progress: Progress) -> TestVerdict:
    try:
        with progress.step(f"{place.recipe.name}: {test.what}"):
            _test(place, test, step)
    except (UkccError, OSError) as error:
        return TestVerdict(test.what, str(error))
    return TestVerdict(test.what, "")


@dataclass(frozen=True)
class _Stage:
    """What a test has: a fresh directory, a log, variables, and time until `deadline`."""

    place: PortBuild
    work: Path
    log: Path
    variables: Mapping[str, str]
    deadline: float

    @property
    def left(self) -> float:
        """Seconds. Raises UkccError when there are none."""
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise UkccError("took longer than its limit")
        return left


def _stage(place: PortBuild, step: str, limit: int) -> _Stage:
    work = place.tested / "work" / step
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    place.log(step).unlink(missing_ok=True)
    variables = {
        **place.variables(),
        "WORK": str(work),
        "IMAGES": str(place.images),
        "XDG_RUNTIME_DIR": str(work),
        "HOME": str(work),
        "FREE_PORT": str(free_port()),
        "UKCC_HOME": paths.store(),
    }
    return _Stage(place, work, place.log(step), variables, time.monotonic() + limit)


def _test(place: PortBuild, test: Trial, step: str) -> None:
    with (
        _staged(place, step, test.limit) as stage,
        _machine(stage, test.boot, test.stdin) as machine,
    ):
        for line in test.run:
            _run(stage, line, machine, "-x")
        if machine and (test.stop or not test.run):
            status = machine.stop() if test.run else machine.wait(stage.left)
            if status != test.status:
                raise UkccError(f"ended with status {status}, not {test.status}: {machine.tail()}")
        if machine and not re.search(test.stdout, machine.said, re.MULTILINE):
            raise UkccError(f"the machine did not say {test.stdout!r}: {machine.tail()}")


@contextlib.contextmanager
def _staged(place: PortBuild, step: str, limit: int) -> Iterator[_Stage]:
    """A stage; what its lines have left running in the background is ended with it."""
    stage = _stage(place, step, limit)
    try:
        yield stage
    finally:
        variables = {**os.environ, "XDG_RUNTIME_DIR": str(stage.work)}
        listed = subprocess.run([*proc.UKCC, "ps", "--json"], env=variables, capture_output=True)
        names = [one["name"] for one in json.loads(listed.stdout or "[]")]
        if names:
            subprocess.run([*proc.UKCC, "kill", *names], env=variables, capture_output=True)


@contextlib.contextmanager
def _machine(stage: _Stage, boot: "Boot | None", stdin: str) -> "Iterator[RunningMachine | None]":
    """The machine of a test, ready; None for a test that starts what it wants itself."""
    if boot is None:
        yield None
        return
    with running(stage.place, boot, stage.work, stage.variables, stdin) as machine:
        machine.wait_until_ready(boot.ready, stage.deadline)
        yield machine


def _run(
    stage: _Stage,
    line: str,
    machine: "RunningMachine | None",
    *options: str,
    on_line: Callable[[str], None] = lambda line: None,
) -> None:
    """One line in the test's directory, by a bash with further options. Raises UkccError.

    on_line: gets each line of what it says.
    """
    variables = {**stage.variables, **(machine.variables() if machine else {})}
    path = f"{stage.place.prefix}/bin:{proc.path_for_builds()}"
    argv = bash(_TOLD + line, "-E", *options)
    command = proc.isolated(argv, {**variables, "PATH": path}, stage.left)
    try:
        proc.run(command, cwd=stage.work, log=stage.log, on_line=on_line)
    except proc.ProgramFailed as error:
        how = f"ended with {error.returncode}"
        if error.returncode == proc.TIMED_OUT:
            how = "took longer than its limit"
        told = [said for said in error.tail if said.startswith(_FAILED)]
        what = told[-1].removeprefix(_FAILED) if told else line.strip().partition("\n")[0]
        raise proc.ProgramFailed(
            f"`{what}` {how}", error.hint, error.returncode, error.tail
        ) from None


def _suite_lines(stage: _Stage, lines: Sequence[str], machine: "RunningMachine | None") -> str:
    """What a suite says; its status does not count, but what it says of each test."""
    said: list[str] = []
    for line in lines:
        try:
            _run(stage, line, machine, on_line=said.append)
        except proc.ProgramFailed as error:
            if error.returncode == proc.TIMED_OUT:
                raise
    return "\n".join(said)
