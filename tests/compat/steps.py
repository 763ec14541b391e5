"""Fetches a row's sources and runs its steps, each with a log of its own."""

import contextlib
import dataclasses
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template

from filelock import FileLock

from compat.schema import Row
from ukcc import debsource, paths, proc
from ukcc.errors import UkccError
from ukcc.progress import Progress

# CC and CXX are all that tells a build of uk-gcc; suites expect what every login has.
_ENVIRONMENT = {"CC": "uk-gcc", "CXX": "uk-g++", "SHELL": "/bin/bash"}


@dataclass(frozen=True)
class Place:
    """Where a row is at work.

    directory: the row's own, with its logs; tree: the unpacked first source; version: of that;
    variables: what steps find in their environment, and boots by `$NAME`: TREE, FILES (for files
    of boots), JOBS, and SOURCE_NAME for each further source package.
    """

    directory: Path
    tree: Path
    version: str
    variables: Mapping[str, str]

    def log(self, step: str) -> Path:
        return self.directory / f"{step}.log"

    def having(self, **variables: str) -> "Place":
        """The same, with further variables."""
        return dataclasses.replace(self, variables={**self.variables, **variables})

    def file(self, path: str) -> Path:
        """A file of the tree, or an absolute path by a variable."""
        return self.tree / self.expand(path)

    def expand(self, text: str) -> str:
        """`$TREE` and so on in a word of a boot; `$$` is a dollar."""
        try:
            return Template(text).substitute(self.variables)
        except (KeyError, ValueError) as error:
            raise UkccError(f"{text}: no such variable: {error}") from None


@contextlib.contextmanager
def place(row: Row, progress: Progress) -> Iterator[Place]:
    """Fresh trees of the row's sources, and nobody else at work in them. Raises UkccError."""
    store = Path(paths.store())
    directory, locks = store / "compat" / row.name, store / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    with FileLock(locks / f"compat-{row.name}.lock"):
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        with progress.step(f"{row.name}: fetch"):
            fetched = [debsource.fetch(name, directory) for name in row.sources]
        variables = {
            "TREE": str(fetched[0].tree),
            "FILES": str(directory / "files"),
            "JOBS": str(os.cpu_count() or 1),
            **{variable(further.name): str(further.tree) for further in fetched[1:]},
        }
        yield Place(directory, fetched[0].tree, fetched[0].version, variables)


def variable(source: str) -> str:
    """The name of the variable that holds the tree of a further source package."""
    return "SOURCE_" + re.sub(r"\W", "_", source).upper()


def discard(made: Place) -> None:
    """Removes the trees; the logs stay."""
    for source, tree in made.variables.items():
        if source == "TREE" or source.startswith("SOURCE_"):
            shutil.rmtree(tree, ignore_errors=True)


def run(step: str, lines: Iterable[str], made: Place, limit: int, progress: Progress) -> None:
    """Runs the lines of one step, each by a bash of its own in the tree, until one fails.

    limit: seconds for each. Raises ProgramFailed.
    """
    environment = {**_ENVIRONMENT, **made.variables, "PATH": proc.path_for_builds()}
    with progress.step(f"{made.directory.name}: {step}") as shown:
        for line in lines:
            try:
                proc.run(
                    proc.isolated(["bash", "-c", line], environment, limit),
                    cwd=made.tree,
                    log=made.log(step),
                    on_line=lambda _: shown.advance(),
                )
            except proc.ProgramFailed as error:
                slow = error.returncode == proc.TIMED_OUT
                how = f"took longer than {limit} s" if slow else f"ended with {error.returncode}"
                raise proc.ProgramFailed(
                    f"`{line}` {how}", error.hint, error.returncode, error.tail
                ) from None
