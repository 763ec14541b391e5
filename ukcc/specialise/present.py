"""Which system calls a linked kernel really has, and so whether it has all that were asked for.

A call whose option is off is a weak function that answers ENOSYS (COND_SYSCALL, kernel/sys_ni.c);
one that was removed from the table is not there at all.
"""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from ukcc import proc

_LINE = re.compile(r"\d+\s+(?:common|64)\s+(\w+)\s+(\w+)", re.ASCII)
_PREFIX = "__x64_"
_STRONG = "T"


def entries(table: str) -> dict[str, str]:
    """Call -> the function of the kernel, from the text of syscall_64.tbl (`umount2`:
    `sys_umount`). Calls without a function were never made for x86-64."""
    found = (_LINE.match(line) for line in table.splitlines())
    return {match[1]: match[2] for match in found if match}


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
    """The wanted calls of which the code is not there, sorted. has: as `functions` gives it."""
    return tuple(sorted(call for call in wanted if call in table and table[call] not in has))
