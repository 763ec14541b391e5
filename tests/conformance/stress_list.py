"""What is to be stressed: `tests/conformance/stress-ng.toml`, and stress-ng's own classes."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from ukcc import proc
from ukcc.errors import UkccError

PLAN = Path(__file__).with_name("stress-ng.toml")
_LISTS = ("classes", "options", "unikernel_options", "unprivileged", "warnings")
_NUMBERS = ("available_mib", "slab_mib", "machine_mib")
_TABLES = ("exclude", "process")
# `class 'vm' stressors: bad-altstack bigheap …`, one line
_CLASS = re.compile(r"class '\S+' stressors:((?: [a-z0-9-]+)+)")
_VERSION = re.compile(r"stress-ng, version ([\d.]+)")


@dataclass(frozen=True)
class Plan:
    """The data file.

    classes: of stress-ng; a stressor belongs to the first that has it. options: for every
    stressor, in both lives; unikernel_options: in the guest. unprivileged: stressors that the guest
    runs as nobody, since they will not run as root. warnings: regular expressions; a line of the
    kernel's log that matches one is a failure. available_mib, slab_mib: how much less memory may be
    available, and how much more slab in use, after a stressor than before it; machine_mib: the same
    of both, after all stressors of one machine. exclude: stressor -> why it is not run; process:
    stressor -> why it is not run as a Linux process.
    """

    classes: tuple[str, ...]
    options: tuple[str, ...]
    unikernel_options: tuple[str, ...]
    unprivileged: tuple[str, ...]
    warnings: tuple[str, ...]
    available_mib: int
    slab_mib: int
    machine_mib: int
    exclude: Mapping[str, str]
    process: Mapping[str, str]


@dataclass(frozen=True)
class Stressor:
    """One of stress-ng's stressors. excluded: why it is not run, or empty."""

    group: str
    name: str
    excluded: str = ""


def load(path: Path = PLAN) -> Plan:
    """Reads the data file. Raises UkccError that names what is wrong."""
    try:
        table = tomli.loads(path.read_text())
    except (OSError, tomli.TOMLDecodeError) as error:
        raise UkccError(f"{path}: {error}") from None
    return parse(table, str(path))


def parse(table: Mapping[str, Any], where: str) -> Plan:
    """The table as a plan. Raises UkccError for a key too many or too few, or of a wrong kind."""
    wrong = sorted({*_LISTS, *_NUMBERS, *_TABLES} ^ table.keys())
    if wrong:
        raise UkccError(f"{where}: missing, or not known: {', '.join(wrong)}")
    lists = {key: table[key] for key in _LISTS}
    tables = {key: table[key] for key in _TABLES}
    for key, value in lists.items():
        if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
            raise UkccError(f"{where}: {key}: it takes a list of strings")
    for key, value in tables.items():
        if not isinstance(value, dict) or not all(v and isinstance(v, str) for v in value.values()):
            raise UkccError(f"{where}: {key}: it takes a table, stressor = reason")
    numbers = {key: table[key] for key in _NUMBERS}
    for key, value in numbers.items():
        if type(value) is not int:
            raise UkccError(f"{where}: {key}: it takes a number of MiB")
    return Plan(
        classes=tuple(lists["classes"]),
        options=tuple(lists["options"]),
        unikernel_options=tuple(lists["unikernel_options"]),
        unprivileged=tuple(lists["unprivileged"]),
        warnings=tuple(lists["warnings"]),
        available_mib=numbers["available_mib"],
        slab_mib=numbers["slab_mib"],
        machine_mib=numbers["machine_mib"],
        exclude=tables["exclude"],
        process=tables["process"],
    )


def version(program: str) -> str:
    """`0.15.06`. Raises UkccError."""
    text = proc.output([program, "--version"])
    found = _VERSION.search(text)
    if not found:
        raise UkccError(f"{program} --version says {text.strip()!r}")
    return found[1]


def parse_class(text: str, name: str) -> tuple[str, ...]:
    """The stressors in what `stress-ng --class NAME?` says. Raises UkccError for none."""
    found = _CLASS.search(text)
    if not found:
        raise UkccError(f"stress-ng has no class {name}", f"it says {text.strip()!r}")
    return tuple(found[1].split())


def stressors(program: str, plan: Plan) -> tuple[Stressor, ...]:
    """All of the plan's classes, each once. Raises UkccError, also for a stale name in the plan."""
    by_class = {
        name: parse_class(proc.output([program, "--class", f"{name}?"]), name)
        for name in plan.classes
    }
    return ordered(by_class, plan)


def ordered(by_class: Mapping[str, Iterable[str]], plan: Plan) -> tuple[Stressor, ...]:
    """Each stressor in its first class. Raises UkccError for a name that is not there."""
    groups: dict[str, str] = {}
    for group, names in by_class.items():
        for name in names:
            groups.setdefault(name, group)
    named = plan.exclude.keys() | plan.process.keys() | set(plan.unprivileged)
    stale = sorted(named - groups.keys())
    if stale:
        raise UkccError(f"named in the plan, but in none of its classes: {', '.join(stale)}")
    return tuple(
        Stressor(group, name, plan.exclude.get(name, "")) for name, group in groups.items()
    )
