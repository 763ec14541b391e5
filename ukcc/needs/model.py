"""What a program needs of a kernel: the answer's shape, which is also that of the JSON."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ukcc.needs.learned import NOTHING, Learned


@dataclass(frozen=True)
class CodePlace:
    """A place in a file of the image.

    object: the file's path in the image; function: empty if nothing names it; addr: virtual.
    origin: how it is known: `code` (proved by the code), `rule NAME` (ukcc/needs/rules.toml), or
    `kernel` (the kernel itself causes it, wherever).
    """

    object: str
    function: str
    addr: int
    origin: str = "code"


@dataclass(frozen=True)
class Unknown:
    """A system call whose number cannot be told, and why."""

    object: str
    function: str
    addr: int
    why: str


@dataclass(frozen=True)
class Values:
    """What an argument can be: `names`, with the `numbers` they stand for.

    any: it can be anything else, too, as one of the places in `unknown` says. Of flags, `names`
    has each flag, and `numbers` each sum.
    """

    names: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    any: bool = False
    unknown: tuple[Unknown, ...] = ()


@dataclass(frozen=True)
class CodeMember:
    """A file with code: its path in the image, how many sites count, how many are left out because
    nothing leads to them, how many of those that count are not told, and how many calls they make.
    """

    object: str
    sites: int
    left_out: int
    unknown: int
    calls: int


@dataclass(frozen=True)
class Needs:
    """All that is known of what an image needs.

    keeps_everything: a site is in `unknown`, so that a kernel must have every call. calls: names,
    sorted; by: each with the places that make it. absent: numbers that the kernel's table does not
    have, which any kernel answers with ENOSYS. arguments: by group (ukcc/needs/arguments.py);
    own_arguments: the same without init's; program_arguments: without those of the sysroot's
    libc.so.6 as well. asked: names of libc.so.6 that other files may ask for. paths: in /proc, /sys
    and /dev that are in a file, with the files. settings: what the image carries of a uk.toml.
    sysroot: whose table and headers gave the names. learned: what a traced run used, which is in
    none of the others.
    """

    path: str
    program: str
    sysroot: str
    keeps_everything: bool
    calls: tuple[str, ...]
    by: Mapping[str, tuple[CodePlace, ...]]
    unknown: tuple[Unknown, ...]
    absent: Mapping[str, tuple[CodePlace, ...]]
    arguments: Mapping[str, Values]
    own_arguments: Mapping[str, Values]
    program_arguments: Mapping[str, Values]
    asked: tuple[str, ...]
    paths: Mapping[str, tuple[str, ...]]
    settings: Mapping[str, Any]
    members: tuple[CodeMember, ...]
    learned: Learned = NOTHING

    def as_json(self) -> str:
        """The whole as one JSON object; the groups of arguments are keys of it."""
        table = asdict(self)
        table.update(table.pop("arguments"))
        return json.dumps(table, indent=2, sort_keys=True)
