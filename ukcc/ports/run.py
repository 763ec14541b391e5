"""Builds and tests several ports: each after those that it depends on, some at a time."""

import contextlib
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from pathlib import Path

from ukcc import proc
from ukcc.errors import UkccError
from ukcc.ports import boots, build, results, trial
from ukcc.ports.place import PortBuild, place
from ukcc.ports.recipe import Recipe
from ukcc.progress import Progress
from ukcc.sysroot.build import cpus

_LOOK = 0.2  # seconds


def build_all(
    wanted: Sequence[Recipe],
    known: Mapping[str, Recipe],
    progress: Progress,
    parallel: int,
) -> dict[str, UkccError]:
    """Builds them, and what they depend on. Name -> why it failed, of those that did.

    What depends on one that failed is not built, and fails too. parallel: ports at a time.
    Raises UkccError before anything is built, for packages that are missing or a circle.
    """
    places = {p.recipe.name: p for p in every(wanted, known)}
    not_built = [p for p in places.values() if not p.complete]
    build.check_packages([word for p in not_built for word in p.recipe.build.packages])
    jobs = max(1, cpus() // parallel)

    def one(name: str) -> None:
        build.build(places[name], progress, jobs)

    return _in_order({n: p.recipe.depends for n, p in places.items()}, one, parallel)


def every(wanted: Iterable[Recipe], known: Mapping[str, Recipe]) -> list[PortBuild]:
    """Their places and those of what they depend on, each once, dependencies first."""
    found: dict[str, PortBuild] = {}
    for recipe in wanted:
        made = place(recipe, known)
        for near in (*made.dependencies, made):
            found.setdefault(near.recipe.name, near)
    return list(found.values())


def test(made: PortBuild, progress: Progress, *, long: bool) -> results.Result:
    """Runs the port's tests, and with `long` its own suite; the result is kept.

    Raises UkccError for an image that does not boot at all, and for a suite that says nothing.
    """
    counts = _count_boots(made, progress) if made.recipe.image else {}
    verdicts = trial.run_tests(made, progress)
    suite = made.recipe.suite
    compared = trial.run_suite(made, suite, progress) if long and suite else None
    result = results.gather(made, verdicts, compared, counts)
    results.keep(result)
    return result


def _count_boots(made: PortBuild, progress: Progress) -> dict[str, int]:
    """Image -> instructions of a boot, of those that are there."""
    there = [name for name in made.recipe.image if made.image(name).is_file()]
    with (
        progress.step(f"{made.recipe.name}: instructions of a boot"),
        tempfile.TemporaryDirectory(prefix="ukcc-") as work,
    ):
        return {n: boots.count(made.image(n), Path(work)) for n in there}


def _done(running: Mapping[Future[None], str]) -> set[Future[None]]:
    """Those that are; waits a little for the first. A signal that comes just before a thread begins
    to wait is not seen before it ends: so not for long.
    """
    return wait(running, _LOOK, return_when=FIRST_COMPLETED).done if running else set()


@contextlib.contextmanager
def _ended_with_us(running: Mapping[Future[None], str]) -> Iterator[None]:
    """The pool waits for its threads: what they run must not go on when we are told to end."""
    try:
        yield
    except BaseException:
        for future in running:
            future.cancel()
        # again, since a program that is just being started may miss it
        while not all(future.done() for future in running):
            proc.end_all()
            wait(running, _LOOK)
        raise


def _in_order(
    graph: Mapping[str, Iterable[str]],
    job: Callable[[str], None],
    parallel: int,
) -> dict[str, UkccError]:
    """Does each when those before it are done. graph: name -> those before it."""
    order = TopologicalSorter(graph)
    order.prepare()
    failed: dict[str, UkccError] = {}
    running: dict[Future[None], str] = {}

    def done(name: str, error: "UkccError | None") -> None:
        if error:
            failed[name] = error
        order.done(name)

    with ThreadPoolExecutor(parallel) as pool, _ended_with_us(running):
        while order.is_active():
            for name in order.get_ready():
                culprit = next((before for before in graph[name] if before in failed), "")
                if culprit:
                    done(name, UkccError(f"{name}: it depends on {culprit}, which failed"))
                else:
                    running[pool.submit(job, name)] = name
            for future in _done(running):
                name, error = running.pop(future), future.exception()
                if error is not None and not isinstance(error, UkccError):
                    raise error
                done(name, error)
    return failed
