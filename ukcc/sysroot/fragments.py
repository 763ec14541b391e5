"""Kernel configuration fragments: what they ask for, and whether the final .config has it.

Kconfig drops, without a word, an option whose dependencies are missing. A kernel that lacks
something it was asked for is found out here, not by the first program that needs it.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import UkccError

_SET = re.compile(r"(CONFIG_\w+)=(.*)")
_UNSET = re.compile(r"# (CONFIG_\w+) is not set")

OFF = "n"


@dataclass(frozen=True)
class OptionWish:
    """`option` should have `value` (as in a .config; `n`: off), says the file `asked_by`."""

    option: str
    value: str
    asked_by: str


def parse(text: str) -> dict[str, str]:
    """A .config's or a fragment's options and values. `n` and `is not set` are the same."""
    values: dict[str, str] = {}
    for line in text.splitlines():
        if match := _SET.fullmatch(line.strip()):
            values[match[1]] = match[2]
        elif match := _UNSET.fullmatch(line.strip()):
            values[match[1]] = OFF
    return values


def wishes(fragments: Iterable[Path]) -> list[OptionWish]:
    """What the fragments ask for together; of two that disagree the later one counts."""
    asked: dict[str, OptionWish] = {}
    for path in fragments:
        for option, value in parse(path.read_text()).items():
            asked[option] = OptionWish(option, value, path.name)
    return list(asked.values())


def unmet(asked: Iterable[OptionWish], config: Mapping[str, str]) -> list[OptionWish]:
    """The wishes that the final configuration does not fulfil. What it does not name is off."""
    return [wish for wish in asked if config.get(wish.option, OFF) != wish.value]


def check(fragments: Iterable[Path], config_file: Path) -> None:
    """Raises UkccError, naming each option asked for that the final .config does not have."""
    config = parse(config_file.read_text())
    missing = unmet(wishes(fragments), config)
    if missing:
        lines = ", ".join(
            f"{w.option}={w.value} ({w.asked_by}; it is {config.get(w.option, OFF)})"
            for w in missing
        )
        raise UkccError(
            f"the kernel's configuration lacks what was asked for: {lines}",
            f"look at what these options depend on; the configuration is {config_file}",
        )
