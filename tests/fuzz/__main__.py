"""`python -m fuzz`: runs the fuzzers, two at a time, and prints a table; 1 if there is a finding.

python -m fuzz run [--seconds N] [--json] [TARGET…]      each for so long
python -m fuzz run --total N [TARGET…]                   all together for so long
python -m fuzz input TARGET FILE…                        one input, to see a finding again
python -m fuzz minimize [TARGET…]                        the grown corpus into the committed one
python -m fuzz list
"""

import argparse
import concurrent.futures
import dataclasses
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from fuzz import building, checking, engine
from fuzz.engine import Fuzzer, Result
from fuzz.table import ROOT, TARGETS, Target, find
from ukcc import paths

_AT_A_TIME = 2
_SHORTEST, _START = 5, 1.5  # seconds of a run at least; until it has begun
_COLUMNS = "{:<14} {:>11} {:>8} {:>9} {:>7} {:>8}  {}"


def main(words: "list[str]") -> int:
    """The exit status."""
    parser = argparse.ArgumentParser(prog="python -m fuzz", description=(__doc__ or "").strip())
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--seconds", type=int, default=3600, help="for each target")
    run.add_argument("--total", type=int, help="seconds for all together")
    run.add_argument("--json", action="store_true")
    run.add_argument("targets", nargs="*")
    one = commands.add_parser("input")
    one.add_argument("target")
    one.add_argument("files", nargs="+", type=Path)
    commands.add_parser("minimize").add_argument("targets", nargs="*")
    commands.add_parser("list")
    given = parser.parse_args(words)
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
    began = time.monotonic()
    argv = {target.name: _argv(target) for target in targets}
    if given.command == "minimize":
        return max(engine.minimize(t, argv[t.name], _state()) for t in targets)
    seconds = given.seconds
    if given.total:
        left = given.total - (time.monotonic() - began)  # building is part of it
        rounds = -(-len(targets) // _AT_A_TIME)
        seconds = max(_SHORTEST, int(left / rounds - _START))
    fuzzers = [Fuzzer(target, argv[target.name], _state()) for target in targets]
    return _run(fuzzers, seconds, given.json)


def _state() -> Path:
    return Path(paths.store()) / "fuzz"


def _argv(target: Target) -> "list[str]":
    if not target.is_c:
        return engine.python_argv(target)
    return [str(building.fuzzer(target, ROOT / "build" / "fuzz"))]


def _run(fuzzers: "list[Fuzzer]", seconds: int, as_json: bool) -> int:
    """Each in turn, two at a time; a line for each as soon as it is ready."""
    results: list[Result] = []
    if not as_json:
        print(_COLUMNS.format("target", "executions", "coverage", "features", "corpus", "seconds",
                              "findings"), flush=True)  # fmt: skip
    with concurrent.futures.ThreadPoolExecutor(_AT_A_TIME) as pool:
        for done in concurrent.futures.as_completed([pool.submit(f.run, seconds) for f in fuzzers]):
            results.append(done.result())
            if not as_json:
                print(_line(results[-1]), flush=True)
    if as_json:
        results.sort(key=lambda result: result.target)
        print(json.dumps([dataclasses.asdict(r) for r in results], indent=1, default=str))
    bad = [result for result in results if result.findings or result.problem]
    for result in bad:
        _tell(result)
    return int(bool(bad))


def _line(result: Result) -> str:
    said = result.problem or str(len(result.findings))
    return _COLUMNS.format(result.target, f"{result.executions:,}", result.coverage,
                           result.features, result.corpus, result.seconds, said)  # fmt: skip


def _tell(result: Result) -> None:
    """What was found, and the line that shows it again."""
    if result.problem:
        print(f"fuzz: error: {result.target}: {result.problem}", file=sys.stderr)
    for finding in result.findings:
        print(f"fuzz: error: {result.target}: {finding.what}", file=sys.stderr)
        again = f"make fuzz-input TARGET={result.target} INPUT={finding.input}"
        print(f"  again: {again}", file=sys.stderr)


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
