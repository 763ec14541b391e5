"""The lock of the Python packages, scripts/python/*.lock: `make lock`.

A user's pip takes what fits the ranges in pyproject.toml; `make setup` and CI take the files that
the lock names, by pip's own `--require-hashes`. Versions that still fit stay; `make lock
ARGS=--update` takes the newest that fit. The lock has a hash for each Python in PYTHONS, on x86-64.

`python tests/python_lock.py --lowest` prints the lowest versions that the ranges allow, for
`make test-lowest`.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli
from packaging.markers import default_environment
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ukcc.errors import UkccError

ROOT = Path(__file__).parents[1]
DIRECTORY = ROOT / "scripts" / "python"
# Debian 12 has 3.11, Debian 13 has 3.13.
PYTHONS = ("3.11", "3.12", "3.13", "3.14")
_ENTRY = re.compile(r"(?P<name>\S+)==(?P<version>\S+)(?P<hashes>(?: --hash=sha256:[0-9a-f]{64})+)")
# hatchling asks for it when it is about to make an editable installation
_EDITABLE = "editables"


@dataclass(frozen=True)
class Lock:
    """One file. extras: of pyproject.toml, besides the dependencies of all; build: whether it has
    what builds a wheel; pythons: those that its packages have wheels for."""

    name: str
    extras: tuple[str, ...]
    build: bool = False
    pythons: tuple[str, ...] = PYTHONS

    @property
    def file(self) -> Path:
        return DIRECTORY / f"{self.name}.lock"


RUN = Lock("run", ("sbom",))
DEV = Lock("dev", ("dev", "pictures"), build=True)
FUZZ = Lock("fuzz", ("fuzz",), pythons=("3.11", "3.12", "3.13"))
# What an earlier file has is not in a later one.
LOCKS = (RUN, DEV, FUZZ)
_HEADS = {
    RUN: "# What ukcc runs with, and `ukcc sbom`. Made by `make lock`; why each: pyproject.toml.\n",
    DEV: "# What the tests need besides. Made by `make lock`; why each: pyproject.toml.\n"
    "-r run.lock\n",
    FUZZ: "# What `make fuzz` needs besides. Made by `make lock`; why each: pyproject.toml.\n",
}


@dataclass(frozen=True)
class Pin:
    """A version of a package, and the SHA-256 of the files that may be taken for it, in hex."""

    version: str
    hashes: frozenset[str]


def project() -> dict[str, Any]:
    """pyproject.toml."""
    return tomli.loads((ROOT / "pyproject.toml").read_text())


def wanted(lock: Lock) -> list[Requirement]:
    """What pyproject.toml asks for by itself: ranges, not what they need in turn."""
    table = project()
    extras = table["project"]["optional-dependencies"]
    words = [*table["project"]["dependencies"]] if lock is RUN else []
    words += [word for extra in lock.extras for word in extras[extra]]
    if lock.build:
        words += [*table["build-system"]["requires"], _EDITABLE]
    return [Requirement(word) for word in words]


def read(file: Path) -> dict[str, Pin]:
    """Package, by its canonical name -> its pin. Raises UkccError for a line that has no hash."""
    pins = {}
    for line in file.read_text().replace("\\\n", "").splitlines():
        line = " ".join(line.split())
        if not line or line.startswith(("#", "-r ")):
            continue
        match = _ENTRY.fullmatch(line)
        if not match:
            raise UkccError(f"{file}: not a version with hashes: {line!r}", "make lock")
        hashes = frozenset(re.findall(r"sha256:([0-9a-f]+)", match["hashes"]))
        pins[canonicalize_name(match["name"])] = Pin(match["version"], hashes)
    return pins


def text(lock: Lock, pins: Mapping[str, Pin]) -> str:
    """The file of these pins, as `read` takes it."""
    entries = (
        " \\\n    ".join([f"{name}=={pin.version}", *(f"--hash=sha256:{h}" for h in hashes)])
        for name, pin in sorted(pins.items())
        for hashes in [sorted(pin.hashes)]
    )
    return _HEADS[lock] + "".join(f"{entry}\n" for entry in entries)


def closure(
    requirements: Iterable[Requirement], needs: Mapping[str, Iterable[Requirement]], python: str
) -> Iterator[Requirement]:
    """All that is needed on that Python, each as it is asked for; markers are evaluated.

    needs: package, by its canonical name -> its own requirements.
    """
    environment = {**default_environment(), "python_version": python}
    environment["python_full_version"] = f"{python}.0"
    seen = set()
    waiting = [(requirement, "") for requirement in requirements]
    while waiting:
        requirement, extra = waiting.pop()
        marker = requirement.marker
        if marker and not marker.evaluate({**environment, "extra": extra}):
            continue
        yield requirement
        name = canonicalize_name(requirement.name)
        for inner in {"", *requirement.extras}:
            if (name, inner) not in seen:
                seen.add((name, inner))
                waiting += [(need, inner) for need in needs.get(name, ())]


def lowest(requirements: Iterable[Requirement]) -> list[str]:
    """`name==version`, the lowest of each range. Raises UkccError for a range without one."""
    pins = []
    for requirement in requirements:
        found = [s.version for s in requirement.specifier if s.operator in (">=", "==")]
        if len(found) != 1:
            raise UkccError(f"pyproject.toml: {requirement} has no lowest version")
        pins.append(f"{requirement.name}=={found[0]}")
    return pins


def _report(words: Iterable[str]) -> list[dict[str, Any]]:
    """What pip would install for these words: its report's entries."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "report.json"
        argv = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        argv += ["--dry-run", "--ignore-installed", "--only-binary=:all:", "--target", directory]
        done = subprocess.run([*argv, "--report", str(file), *words], stdin=subprocess.DEVNULL)
        if done.returncode != 0:
            raise UkccError("pip found no set of packages; its own lines say more")
        entries: list[dict[str, Any]] = json.loads(file.read_text())["install"]
        return entries


def _resolve(update: bool) -> dict[str, dict[str, Any]]:
    """Package -> its entry of pip's report, for all locks together on this Python."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        if not update:
            for lock in LOCKS:
                pins = read(lock.file) if lock.file.exists() else {}
                constraints.writelines(f"{name}=={pin.version}\n" for name, pin in pins.items())
        constraints.flush()
        requirements = [str(requirement) for lock in LOCKS for requirement in wanted(lock)]
        entries = _report(["--constraint", constraints.name, *requirements])
    return {canonicalize_name(entry["metadata"]["name"]): entry for entry in entries}


def _hashes(versions: Mapping[str, str], lock: Lock) -> dict[str, frozenset[str]]:
    """Package -> hashes of the files that pip takes for each Python of the lock."""
    words = [f"{name}=={version}" for name, version in versions.items()]
    found: dict[str, set[str]] = {}
    for python in lock.pythons:
        for entry in _report(["--no-deps", "--python-version", python, *words]):
            name = canonicalize_name(entry["metadata"]["name"])
            found.setdefault(name, set()).add(
                entry["download_info"]["archive_info"]["hashes"]["sha256"]
            )
    return {name: frozenset(hashes) for name, hashes in found.items()}


def make(*, update: bool = False) -> None:
    """Writes all files. Raises UkccError, also where a Python needs a package that this has not."""
    entries = _resolve(update)
    needs = {
        name: [Requirement(word) for word in entry["metadata"].get("requires_dist") or ()]
        for name, entry in entries.items()
    }
    done: set[str] = set()
    texts = {}
    for lock in LOCKS:
        asked = [r for python in lock.pythons for r in closure(wanted(lock), needs, python)]
        names = {canonicalize_name(requirement.name) for requirement in asked} - done
        if missing := sorted(names - set(entries)):
            raise UkccError(f"one of Python {', '.join(lock.pythons)} needs {missing} as well")
        done |= names
        versions = {name: entries[name]["metadata"]["version"] for name in sorted(names)}
        hashes = _hashes(versions, lock)
        pins = {name: Pin(version, hashes[name]) for name, version in versions.items()}
        texts[lock] = text(lock, pins)
    DIRECTORY.mkdir(exist_ok=True)
    for lock, content in texts.items():
        lock.file.write_text(content)


if __name__ == "__main__":
    try:
        match sys.argv[1:]:
            case ["--lowest"]:
                extras = project()["project"]["optional-dependencies"]
                users = [*wanted(RUN), *map(Requirement, extras["pictures"])]
                print("\n".join(lowest(users)))
            case [] | ["--update"]:
                make(update="--update" in sys.argv)
            case _:
                raise UkccError("it takes nothing, --update or --lowest", "make lock")
    except UkccError as error:
        sys.exit(error.line(Path(__file__).name))
