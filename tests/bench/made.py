"""Images of the six programs, and `ukcc specialise` of them with a clock beside it.

In a store that is the user's but for the linked kernels, so that each is linked here; classes are
the user's, too, and one that is not there yet is built for good, unless new ones are asked for.
"""

import json
import os
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.host import compiler, run
from bench.programs import Program
from ukcc import paths, proc
from ukcc.errors import UkccError
from ukcc.ports.recipe import load_named, recipes_directory
from ukcc.ports.run import build_all, every
from ukcc.progress import for_stderr
from ukcc.specialise.kernel import RECORD
from ukcc.specialise.make import class_directory, made_directory, patched_source
from ukcc.sysroot.inputs import gather
from ukcc.sysroot.store import Store, default_store, discard

_KERNELS, _MADE, _CLASSES = "kernels", "made", "classes"


@dataclass(frozen=True)
class Specialised:
    """An image with its kernel. new_class: seconds, None where the class was there already."""

    image: Path
    kernel: Path  # directory
    goal: str
    new_class: "float | None"
    known_class: float


def image_of(program: Program, work: Path) -> Path:
    """Its image with the general kernel; a port is built if it is not. Raises UkccError."""
    if program.source:
        source, image = work / f"{program.name}.c", work / program.name
        source.write_text(program.source)
        run([compiler(), "-O2", "-static", str(source), "-o", str(image)])
        return image
    known = load_named(recipes_directory(None), [program.recipe])
    wanted = known[program.recipe]
    failed = build_all([wanted], known, for_stderr(quiet=False), 1)
    for error in failed.values():
        raise error
    found = {place.recipe.name: place for place in every([wanted], known)}
    return found[program.recipe].image(program.image)


class Workshop:
    """A store for `ukcc specialise`, in a directory of its own. new: classes are built in it."""

    def __init__(self, work: Path, *, new: bool) -> None:
        self._home = work / "home"
        self._home.mkdir()
        store = default_store()
        # in the user's store, as classes that are built there remember where their source is
        patched_source(gather(store), store, for_stderr(quiet=False))
        (store.root / _KERNELS / _CLASSES).mkdir(exist_ok=True)
        kernels = self._home / _KERNELS
        kernels.mkdir()
        own = {_MADE, _CLASSES} if new else {_MADE}
        link_others(store.root, self._home, {_KERNELS})
        link_others(store.root / _KERNELS, kernels, own)
        (kernels / _CLASSES).mkdir(exist_ok=True)

    def needs(self, image: Path, program: Program) -> "int | None":
        """How many calls the program and all beside it in the image make; None for all."""
        calls = self._ask(image, program, "--dry-run")["calls"]
        return None if calls is None else len(calls)

    def specialise(self, image: Path, program: Program, goal: str, output: Path) -> Specialised:
        """goal: empty for the command's own choice. Raises UkccError."""
        before = self._classes()
        words = ["-o", str(output), *([f"--{goal}"] if goal else [])]
        report, seconds = self._timed(image, program, words)
        new = None
        if report["class"] not in before:
            discard(self._made(report))
            new = seconds
            report, seconds = self._timed(image, program, words)
        return Specialised(output, self._made(report), report["goal"], new, seconds)

    def _classes(self) -> set[str]:
        found = class_directory(Store(self._home)).glob(f"*/{RECORD}")
        return {record.parent.name for record in found}

    def _made(self, report: Mapping[str, Any]) -> Path:
        return made_directory(Store(self._home), str(report["kernel"]))

    def _timed(
        self, image: Path, program: Program, words: "list[str]"
    ) -> tuple[dict[str, Any], float]:
        started = time.monotonic()
        report = self._ask(image, program, *words)
        return report, time.monotonic() - started

    def _ask(self, image: Path, program: Program, *words: str) -> dict[str, Any]:
        config = ["--config", program.config_file] if program.config else []
        done = subprocess.run(
            [*proc.UKCC, "specialise", "--json", *config, *words, str(image)],
            env={**os.environ, "UKCC_HOME": str(self._home)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if done.returncode:
            said = done.stderr.strip().splitlines() or ["nothing said"]
            raise UkccError(f"ukcc specialise of {program.name}: {said[-1]}")
        report = json.loads(done.stdout)
        assert isinstance(report, dict)
        return report


def general_kernel(image_sysroot: str) -> Path:
    """The directory of a sysroot's kernel."""
    return Path(paths.sysroot_in_store(image_sysroot)) / "kernel"


def link_others(source: Path, target: Path, own: set[str]) -> None:
    """Makes a link in `target` to each entry of `source`, but for its own."""
    for entry in source.iterdir():
        if entry.name not in own:
            (target / entry.name).symlink_to(entry)
