"""Which room may import which: the table is the structure of `ukcc/`, and has no cycle."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ukcc.cli.commands import SUBCOMMANDS

PACKAGE = Path(__file__).parents[2] / "ukcc"

# Single modules that everybody may use. They import each other only.
LEAVES = frozenset(
    (
        "bug",
        "debian_packages",
        "descriptors",
        "disk_errors",
        "errors",
        "free_port",
        "hashing",
        "licences",
        "line_ends",
        "paths",
        "private_dir",
        "proc",
        "progress",
        "progress_bars",
        "qmp",
        "runtime_dir",
        "streams",
        "tables",
        "terminal",
        "unwinding",
        "whole_file",
    )
)

# Besides the leaves. A row names rows above it only, so nothing goes round.
ROOMS = {
    "light": "",
    "image": "light",
    "settings": "image light",
    "debsource": "",
    "sysroot": "debsource image",
    "cc": "image light settings sysroot",
    "needs": "image",
    "specialise": "image needs settings sysroot",
    "failures": "image",
    "lifecycle": "",
    "vm": "failures image lifecycle settings sysroot",
    "snapshots": "failures image lifecycle vm",
    "vmm": "failures image lifecycle settings snapshots vm",
    "counting": "image vm",
    "pictures": "counting failures image specialise vm",
    "sbom": "debsource image sysroot",
    "doctor": "cc failures image sysroot vm",
    "demo": "debsource vm",
    "cli": "cc demo doctor image lifecycle light needs pictures sbom settings snapshots specialise"
    " sysroot vm vmm",
    "ports": "cli counting debsource image settings specialise sysroot vm",
}


def room_of(module: str) -> str:
    """`ukcc.vm.net.taps` -> `vm`; empty for the package itself, which has the version."""
    return module.partition(".")[2].partition(".")[0]


def imported(path: Path) -> Iterator[str]:
    """The modules of ours that a file imports, early or late."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("ukcc."))
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "ukcc":
                yield from (f"ukcc.{alias.name}" for alias in node.names)
            elif node.module.startswith("ukcc."):
                yield node.module


def arrows() -> dict[str, set[str]]:
    """Room -> the rooms that its files import."""
    found: dict[str, set[str]] = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        targets = {room_of(module) for module in imported(path)}
        found.setdefault(parts[0], set()).update(targets - {parts[0], "__version__"})
    return found


FOUND = arrows()


def test_every_room_is_in_the_table() -> None:
    assert set(FOUND) - {"__init__"} == set(ROOMS) | LEAVES


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_what_the_table_allows(room: str) -> None:
    assert FOUND[room] - LEAVES == set(ROOMS[room].split())


def test_a_leaf_imports_leaves() -> None:
    assert {leaf: found for leaf in LEAVES if (found := FOUND[leaf] - LEAVES)} == {}


def test_nothing_goes_round() -> None:
    above: set[str] = set()
    for room, allowed in ROOMS.items():
        assert set(allowed.split()) <= above, room
        above.add(room)


def test_each_command_is_where_the_table_of_commands_says() -> None:
    for name, subcommand in SUBCOMMANDS.items():
        command = subcommand.load()
        assert command.help, name
        assert len(subcommand.summary) <= 66, "one line of 80 columns"
