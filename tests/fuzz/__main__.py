"""`python -m fuzz`: runs the fuzzers, two at a time, and prints a table; 1 if there is a finding.

python -m fuzz run [--seconds N] [--json] [TARGET…]      until each has so long in the ledger
python -m fuzz run --total N [--seed S] [TARGET…]        all together for so long, more in any case
python -m fuzz status [--markdown | --json] [TARGET…]    the ledger: what each has, as its code is
python -m fuzz input TARGET FILE…                        one input, to see a finding again
python -m fuzz keep [TARGET…]                            the ledger into the committed hours.json
python -m fuzz minimize [TARGET…]                        the grown corpus into the committed one
python -m fuzz list

A run may be ended at any time, by Ctrl-C or SIGTERM: what it did counts, and the next one goes on.
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from fuzz import building, checking, engine, hours, report
from fuzz.digest import digest
from fuzz.engine import Result
from fuzz.hours import AT_A_TIME, Hours, Place
from fuzz.ledger import Account, Damaged, Ledger
from fuzz.table import HERE, ROOT, TARGETS, Target, find
from ukcc import paths

_SHORTEST, _START = 5, 1.5  # seconds of a run at least; until it has begun


def main(words: "list[str]") -> int:
    """The exit status."""
    given = _parser().parse_args(words)
    if given.command == "list":
        print("\n".join(f"{target.name:<14} {target.reads}" for target in TARGETS))
        return 0
    names = [given.target] if given.command == "input" else given.targets
    try:
        targets = find(names)
    except KeyError as error:
        print(f"fuzz: error: no target {error}; `python -m fuzz list`", file=sys.stderr)
        return 2
    if given.command == "input":
        return _input(targets[0], given.files)
    if given.command == "status":
        return _status(targets, given)
    if given.command == "keep":
        return _keep(targets)
    if given.command == "minimize":
        return max(engine.minimize(t, _argv(t), _state()) for t in targets)
    if given.seed is not None and not given.total:
        print("fuzz: error: --seed goes with --total", file=sys.stderr)
        return 2
    place = Place(_state(), _ledger(), _Programs().argv, seed=given.seed)
    caught = _stopped_by_signals(place.stop)
    try:
        if given.total:
            status = _run_together(place, targets, given.total, given.json)
        else:
            status = _run_hours(place, targets, given.seconds, given.json)
    except (OSError, SyntaxError, Damaged, subprocess.CalledProcessError) as error:
        print(f"fuzz: error: {error}", file=sys.stderr)
        return 1
    return status or (128 + caught[0] if caught else 0)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=(__doc__ or "").strip())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--seconds", type=int, default=3600, help="for each target, in all its runs")
    run.add_argument("--total", type=int, help="seconds for all together")
    run.add_argument("--seed", type=int, help="with --total: the same inputs each time")
    run.add_argument("--json", action="store_true", help="what this run did, at its end")
    run.add_argument("targets", nargs="*")
    status = commands.add_parser("status")
    form = status.add_mutually_exclusive_group()
    form.add_argument("--markdown", action="store_true", help="for docs/testing.md")
    form.add_argument("--json", action="store_true")
    status.add_argument("targets", nargs="*")
    one = commands.add_parser("input")
    one.add_argument("target")
    one.add_argument("files", nargs="+", type=Path)
    commands.add_parser("keep").add_argument("targets", nargs="*")
    commands.add_parser("minimize").add_argument("targets", nargs="*")
    commands.add_parser("list")
    return parser


def _state() -> Path:
    return Path(paths.store()) / "fuzz"


def _ledger() -> Ledger:
    return Ledger(_state() / "ledger", HERE / "hours.json")


def _argv(target: Target) -> "list[str]":
    if not target.is_c:
        return engine.python_argv(target)
    return [str(building.fuzzer(target, ROOT / "build" / "fuzz"))]


class _Programs:
    """What targets are started by; those in C are built again when their code has changed."""

    def __init__(self) -> None:
        self._built: dict[str, tuple[str, list[str]]] = {}

    def argv(self, target: Target) -> "list[str]":
        """Raises CalledProcessError."""
        code = digest(target)
        if self._built.get(target.name, ("", []))[0] != code:
            self._built[target.name] = code, _argv(target)
        return self._built[target.name][1]


def _stopped_by_signals(stop: threading.Event) -> "list[int]":
    """Sets it on the signals that ask a program to end; the list then has the signal."""
    caught: list[int] = []

    def note(number: int, _frame: object) -> None:
        caught.append(number)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, note)
    return caught


def _run_hours(place: Place, targets: "list[Target]", seconds: int, as_json: bool) -> int:
    """In slices until each has that much: a row after each slice, with what the target has then."""
    work = Hours(place, targets, seconds)
    done, whole, _ = work.progress()
    if not as_json:
        print(report.head(), flush=True)
        if done >= whole:
            print(f"each has {report.clock(seconds)} or more: SECONDS=N for longer, or --total N")

    def show(result: Result, now: Account) -> None:
        if not as_json:
            print(report.line(result.target, now, result.problem), flush=True)

    with report.shown(work.progress):
        results = work.run(show)
    return _end(results, as_json)


def _run_together(place: Place, targets: "list[Target]", total: int, as_json: bool) -> int:
    """Each in turn, for its share of the time; a row for each as soon as it is ready."""
    began = time.monotonic()
    for target in targets:
        place.argv(target)
    left = total - (time.monotonic() - began)  # building is part of it
    rounds = -(-len(targets) // AT_A_TIME)
    return _run(place, targets, max(_SHORTEST, int(left / rounds - _START)), as_json)


def _run(place: Place, targets: "list[Target]", seconds: int, as_json: bool) -> int:
    results: list[Result] = []
    if not as_json:
        print(report.head(), flush=True)

    def one(target: Target) -> "Result | None":
        return None if place.stop.is_set() else hours.counted(place, target, seconds)[0]

    with concurrent.futures.ThreadPoolExecutor(AT_A_TIME) as pool:
        for done in concurrent.futures.as_completed([pool.submit(one, t) for t in targets]):
            result = done.result()
            if result:
                results.append(result)
                if not as_json:
                    print(
                        report.line(result.target, hours.work(result), result.problem), flush=True
                    )
    return _end(results, as_json)


def _end(results: "list[Result]", as_json: bool) -> int:
    """1 if one of them found something."""
    if as_json:
        results.sort(key=lambda result: result.target)
        print(json.dumps([dataclasses.asdict(r) for r in results], indent=1, default=str))
    bad = [result for result in results if result.findings or result.problem]
    for result in bad:
        report.tell(result)
    return int(bool(bad))


def _status(targets: "list[Target]", given: argparse.Namespace) -> int:
    """Prints the ledger. 1 if one of its files is damaged, which is then as if it were not."""
    ledger, damaged, rows = _ledger(), 0, []
    for target in targets:
        code = digest(target)
        try:
            rows.append((target, code, ledger.account(target.name, code)))
        except Damaged as error:
            print(f"fuzz: error: {error}: {target.name} starts from zero", file=sys.stderr)
            rows.append((target, code, Account()))
            damaged = 1
    form: Callable[[list[report.Row]], str] = report.text
    if given.markdown:
        form = report.markdown
    elif given.json:
        form = report.as_json
    print(form(rows))
    return damaged


def _keep(targets: "list[Target]") -> int:
    """1 if a file of the ledger is damaged; nothing is written then."""
    try:
        _ledger().keep({target.name: digest(target) for target in targets})
    except Damaged as error:
        print(f"fuzz: error: {error}", file=sys.stderr)
        return 1
    return 0


def _input(target: Target, files: "list[Path]") -> int:
    """Python: by a traceback; C: by the sanitizers' words."""
    if target.is_c:
        words = [str(file) for file in files]
        return subprocess.run([*_argv(target), *words], env=engine.environment()).returncode
    check = checking.load(target.name)
    for file in files:
        checking.run(check, file.read_bytes(), measure=True)
        print(f"{file}: nothing is wrong")
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
