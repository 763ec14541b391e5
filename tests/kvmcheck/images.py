"""Builds the rows' images by the checkout's uk-gcc."""

import concurrent.futures
import contextlib
import io
import sys
from collections.abc import Sequence
from pathlib import Path

from kvmcheck.table import REDIS, ROOT, Row, source
from ukcc import debsource, demo, paths, proc
from ukcc.cc.toolchain import gate_flag
from ukcc.errors import UkccError
from ukcc.progress import Step

_BIN = Path(sys.executable).parent
_HEADERS = ROOT / "tests" / "boot" / "programs"
_CLIENTS = ("redis-server", "redis-cli", "redis-benchmark")


def build(rows: Sequence[Row], place: Path, jobs: int, step: Step) -> None:
    """Each program once, into `place`. Raises UkccError."""
    sysroot = paths.current_sysroot()
    if sysroot is None:
        raise UkccError("there is no sysroot to link against", "run `make setup`")
    place.mkdir(parents=True, exist_ok=True)
    by_program = {row.program: row for row in rows}
    wanted = [_argv(row, gate_flag(sysroot), place) for row in by_program.values()]
    if REDIS in by_program:
        _redis(place, Path(sysroot).name)
    libraries = {name for row in rows for name in row.libraries}
    wanted += [_library(name, place) for name in sorted(libraries)]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for _ in pool.map(_compile, filter(None, wanted)):
            step.advance()


def _argv(row: Row, gate: str, place: Path) -> list[str]:
    if row.program == REDIS:
        return []
    file = source(row.program)
    compiler = "uk-g++" if file.suffix == ".cc" else "uk-gcc"
    words = [str(_BIN / compiler), "-O2", "-g", "-I", str(_HEADERS), *row.flags]
    words += [gate] if row.gate and gate else []
    return [*words, str(file), "-o", str(place / row.program)]


def _library(name: str, place: Path) -> list[str]:
    words = [str(_BIN / "uk-gcc"), "-O2", "-shared", "-fPIC", str(source(name))]
    return [*words, "-o", str(place / f"{name}.so")]


def _compile(argv: list[str]) -> None:
    target = Path(argv[-1])
    proc.run(argv, log=target.with_name(f"{target.name}.log"))


def _redis(place: Path, sysroot: str) -> None:
    """The distribution's Redis, as in `make demo`; built once for each sysroot."""
    work = place.parent / f"redis-{sysroot}"
    if not (work / "done").exists():
        fetched = debsource.fetch("redis", work)
        with contextlib.redirect_stdout(io.StringIO()):  # what the demo tells its reader
            made = demo.build(fetched.tree, work / "build.log")
        for program in (made.server, made.cli, made.benchmark):
            (work / program.name).unlink(missing_ok=True)
            program.rename(work / program.name)
        (work / "done").touch()
    for name in _CLIENTS:
        (place / name).unlink(missing_ok=True)
        (place / name).hardlink_to(work / name)
