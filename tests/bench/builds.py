"""Whole builds and a configure run, by the bare compiler and by uk-gcc, side by side in one run.

Two measures of each: the processors' time (user and system, of all children), which other load
on the machine disturbs little, and wall time. Rounds alternate, and the smallest counts.
"""

import os
import resource
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench import Figure
from bench.host import bare_compiler, compiler
from ukcc import debsource, paths, proc
from ukcc.errors import UkccError

_BUILD_ROUNDS = 2
_CONFIGURE_ROUNDS = 3


@dataclass(frozen=True)
class Project:
    """A source package. `{cc}` in `configure` and `make` is the compiler; `programs` are removed
    for the measurement of the links alone, which `make` then makes again."""

    title: str
    package: str
    configure: tuple[str, ...]
    make: tuple[str, ...]
    programs: tuple[str, ...]
    needs: str = ""  # a program that the build itself runs


@dataclass(frozen=True)
class Cost:
    """Seconds."""

    cpu: float
    wall: float


_PROJECTS = (
    Project(
        "Redis",
        "redis",
        (),
        ("make", "MALLOC=libc", "CC={cc}"),
        ("src/redis-server", "src/redis-cli", "src/redis-benchmark"),
    ),
    Project(
        "SQLite",
        "sqlite3",
        ("sh", "./configure", "--disable-shared", "CC={cc}"),
        ("make", "sqlite3"),
        ("sqlite3",),
        needs="tclsh",
    ),
)
_XZ = Project("xz", "xz-utils", ("sh", "./configure", "-q", "CC={cc}"), (), ())


def build_figures(work: Path) -> list[Figure]:
    """Redis and SQLite with `gcc -static` and with `uk-gcc`: ratios, whole and without links."""
    figures = []
    for project in _PROJECTS:
        if project.needs:
            proc.find(project.needs)
        source = _source(project)
        wholes: dict[str, list[Cost]] = {}
        links: dict[str, list[Cost]] = {}
        for _ in range(_BUILD_ROUNDS):
            for cc in (f"{bare_compiler()} -static", compiler()):
                whole, link = _build(project, cc, source, work)
                wholes.setdefault(cc, []).append(whole)
                links.setdefault(cc, []).append(link)
        bare, ours = (_smallest(costs) for costs in wholes.values())
        bare_link, our_link = (_smallest(costs) for costs in links.values())
        name = f"build of {project.title}"
        figures += [
            Figure(f"{name}, gcc -static", bare.cpu, "s of CPU"),
            Figure(f"{name}, its links", bare_link.cpu, "s of CPU"),
            Figure(f"{name}, uk-gcc", ours.cpu, "s of CPU"),
            Figure(f"{name}, its links", our_link.cpu, "s of CPU"),
            Figure(
                f"{name}, compile part, uk-gcc to gcc",
                (ours.cpu - our_link.cpu) / (bare.cpu - bare_link.cpu),
                "ratio",
                "at most 1.05",
            ),
            Figure(f"{name}, whole, CPU", ours.cpu / bare.cpu, "ratio", "at most 1.15"),
            Figure(f"{name}, whole, wall", ours.wall / bare.wall, "ratio", "at most 1.15"),
        ]
    return figures


def configure_figures(work: Path) -> list[Figure]:
    """xz's configure, which compiles and links some 150 small programs."""
    source = _source(_XZ)
    costs: dict[str, list[Cost]] = {}
    for _ in range(_CONFIGURE_ROUNDS):
        for cc in (bare_compiler(), compiler()):
            tree = _fresh_tree(source, work)
            costs.setdefault(cc, []).append(_measure(_XZ.configure, cc, tree))
            shutil.rmtree(tree)
    bare, ours = (_smallest(found) for found in costs.values())
    return [
        Figure("configure of xz, gcc", bare.cpu, "s of CPU"),
        Figure("configure of xz, uk-gcc", ours.cpu, "s of CPU"),
        Figure("configure of xz, CPU", ours.cpu / bare.cpu, "ratio", "at most 1.3"),
        Figure("configure of xz, wall", ours.wall / bare.wall, "ratio", "at most 1.3"),
    ]


def _build(project: Project, cc: str, source: Path, work: Path) -> tuple[Cost, Cost]:
    """The whole build from a fresh tree, then its links alone."""
    tree = _fresh_tree(source, work)
    if project.configure:
        _run(project.configure, cc, tree)
    words = (project.make[0], f"-j{os.cpu_count() or 1}", *project.make[1:])
    whole = _measure(words, cc, tree)
    for program in project.programs:
        (tree / program).unlink()
    link = _measure(words, cc, tree)
    for program in project.programs:
        if not (tree / program).exists():
            raise UkccError(f"{project.title}: {program} was not built", "see the log beside it")
    shutil.rmtree(tree)
    return whole, link


def _source(project: Project) -> Path:
    """The unpacked source package, which is only copied from."""
    return debsource.fetch(project.package, Path(paths.store()) / "bench").tree


def _fresh_tree(source: Path, work: Path) -> Path:
    tree = work / source.name
    shutil.rmtree(tree, ignore_errors=True)
    shutil.copytree(source, tree, symlinks=True)
    return tree


def _run(words: Sequence[str], cc: str, tree: Path) -> None:
    argv = [word.replace("{cc}", cc) for word in words]
    proc.run(
        proc.isolated(argv, {"PATH": proc.path_for_builds()}),
        cwd=tree,
        log=tree.parent / f"{tree.name}.log",
    )


def _measure(words: Sequence[str], cc: str, tree: Path) -> Cost:
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    _run(words, cc, tree)
    after, ended = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return Cost(cpu, ended - started)


def _smallest(costs: Sequence[Cost]) -> Cost:
    return Cost(min(cost.cpu for cost in costs), min(cost.wall for cost in costs))
