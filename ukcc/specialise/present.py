"""Which system calls a linked kernel really has, and so whether it has all that were asked for.

A call whose option is off is a weak function that answers ENOSYS (COND_SYSCALL, kernel/sys_ni.c);
one that was removed from the table is not there at all.
"""

from collections.abc import Collection, Mapping
from pathlib import Path

from ukcc import proc

_PREFIX = "__x64_"
_STRONG = "T"


def functions(vmlinux: Path) -> frozenset[str]:
    """The functions of system calls that a kernel has the code of. Raises ToolFailed."""
    lines = proc.output(["nm", str(vmlinux)]).splitlines()
    words = (line.split() for line in lines)
    return frozenset(
        name.removeprefix(_PREFIX)
        for *_, kind, name in words
        if kind == _STRONG and name.startswith(_PREFIX)
    )


def lacking(
    wanted: Collection[str], table: Mapping[str, str], has: Collection[str]
) -> tuple[str, ...]:
    """The wanted calls of which the code is not there, sorted. table: as `calls.entries` gives it,
    has: as `functions`."""
    return tuple(sorted(call for call in wanted if table.get(call) and table[call] not in has))
