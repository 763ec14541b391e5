"""Runs glibc's tests of some directories, first as processes, then in a guest."""

import shlex
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from conformance import agent_image, glibc_results, glibc_tree, keeper, keeping, results, wrapper
from conformance.glibc_tree import Tree
from conformance.results import Result, Row, Suite
from conformance.schema import Notes, SuiteData
from ukcc.progress import Progress, Step

# Most tests sleep or wait for each other; a guest with two CPUs has room for four.
_GUEST_JOBS = 4

# The tests' own deadlines, mostly 20 s, are for a machine that has time.
_FACTORS = {"process": "5", "unikernel": "15"}

# Seconds for one test that has no deadline of its own, and for all of a directory.
_TEST_LIMIT = 1800
_RUN_LIMIT = 3 * 3600

_EVALUATED = "scripts/evaluate-test.sh"  # in make's output once a test


def run(data: SuiteData, notes: Notes, progress: Progress, jobs: int) -> Suite:
    """The suite's results. Raises UkccError."""
    tree = glibc_tree.ensure(progress, jobs)
    rows: list[Row] = []
    for directory in data.directories:
        glibc_tree.build_tests(tree, directory, progress, jobs)
        rows += _directory(data.name, tree, directory, notes, progress, jobs)
    return Suite(data.name, tree.version, tuple(rows))


def _directory(
    suite: str, tree: Tree, directory: str, notes: Notes, progress: Progress, jobs: int
) -> list[Row]:
    names = tree.tests(directory)
    excluded = {name: why for name in names if (why := notes.exclusion(directory, name))}
    wanted = [name for name in names if name not in excluded]
    life = _Life(tree, directory, excluded, progress)
    process = life.run("process", wanted, jobs)
    place = results.directory() / "guests" / suite
    image = agent_image.build(place / "agent", tree.log("agent"))
    setting = keeper.Setting(image, (tree.root,), place)
    with keeper.keep(setting, place / "socket") as kept:
        guest = (
            {"test-wrapper": shlex.join(wrapper.BY_PATH)},
            {keeping.SOCKET: str(place / "socket")},
        )
        unikernel = life.run("unikernel", wanted, _GUEST_JOBS, *guest)
        again = [name for name in wanted if _doubtful(process[name], unikernel[name])]
        kept.stop()  # another chance in a fresh one
        alone = life.run("unikernel", again, 1, *guest) if again else {}
    rows = [
        row(directory, name, process[name], unikernel[name], alone.get(name)) for name in wanted
    ]
    rows += [Row(directory, name, "excluded", "excluded", why) for name, why in excluded.items()]
    return sorted(rows, key=lambda row: row.name)


def _doubtful(process: Result, unikernel: Result) -> bool:
    """Whether the test has another chance, alone: others may have killed the guest."""
    return process.verdict == "pass" != unikernel.verdict


def row(
    directory: str, name: str, process: Result, unikernel: Result, alone: "Result | None" = None
) -> Row:
    """The row of a test, and of its second chance."""
    beside = f"{unikernel.verdict}: {unikernel.words}"
    return results.row_of(directory, name, process, unikernel, alone, beside)


def _counter(step: Step) -> Callable[[str], None]:
    def count(line: str) -> None:
        if _EVALUATED in line:
            step.advance()

    return count


class _Life:
    """Runs of one directory's tests."""

    def __init__(
        self, tree: Tree, directory: str, excluded: Iterable[str], progress: Progress
    ) -> None:
        self.tree = tree
        self.directory = directory
        self.progress = progress
        # An old file that does not exist is one that make does not make.
        self.excluded = [f"--old-file={self._file(name)}.out" for name in excluded]

    def run(
        self,
        life: str,
        names: Iterable[str],
        jobs: int,
        variables: Mapping[str, str] = {},  # never changed
        environment: Mapping[str, str] = {},
    ) -> dict[str, Result]:
        """The results of the tests of these names, as `process` or `unikernel`."""
        chosen = list(names)
        for name in chosen:
            glibc_results.forget(self.tree.build, self.directory, name)
        words = [f"{key}={value}" for key, value in variables.items()]
        command = self.tree.make(self.directory, jobs, *words, *self.excluded, *self._goals(chosen))
        env = {
            "TIMEOUTFACTOR": _FACTORS[life],
            keeping.LIMIT: str(_TEST_LIMIT),
            **environment,
        }
        log = f"{self.directory}.{life}"
        title = f"glibc's tests of {self.directory}: run as {life}"
        with self.progress.step(title, len(chosen)) as step:
            glibc_tree.make(self.tree, command, log, _counter(step), _RUN_LIMIT, **env)
        self._keep_outputs(life, chosen)
        return {n: glibc_results.read(self.tree.build, self.directory, n) for n in chosen}

    def _goals(self, names: list[str]) -> list[str]:
        return [f"{self._file(name)}.out" for name in names]

    def _file(self, name: str) -> Path:
        return self.tree.build / self.directory / name

    def _keep_outputs(self, life: str, names: Iterable[str]) -> None:
        """The next life's run replaces the tests' outputs; copies are for who wants to know."""
        place = self.tree.root / "outputs" / life / self.directory
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            output = Path(f"{self._file(name)}.out")
            if output.exists():
                (place / output.name).write_bytes(output.read_bytes())
