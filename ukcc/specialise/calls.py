"""System calls by name: the kernel's table, and the lines of a .config that choose from it.

The names are those of arch/x86/entry/syscalls/syscall_64.tbl, which are also those of __NR_… in
<asm/unistd_64.h>. The options are those of the series dead-code (docs/kernel.md).
"""

import re
from collections.abc import Iterable
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.sysroot import fragments

TABLE = Path("arch/x86/entry/syscalls/syscall_64.tbl")

_LINE = re.compile(r"\d+\s+(?:common|64)\s+(\w+)(?:\s+(\w+))?", re.ASCII)

_ONLY, _LIST, _STRICT = (
    "CONFIG_USED_SYSCALLS_ONLY",
    "CONFIG_USED_SYSCALLS",
    "CONFIG_USED_SYSCALLS_STRICT",
)


def entries(table: str) -> dict[str, str]:
    """The calls in the text of a call table, each with the function of the kernel (`umount2`:
    `sys_umount`); empty for one that was never made. 64-bit calls, without those of x32 alone."""
    found = (_LINE.match(line) for line in table.splitlines())
    return {match[1]: match[2] or "" for match in found if match}


def check(calls: Iterable[str], source_tree: Path) -> tuple[str, ...]:
    """The calls, each once and sorted. Raises UkccError for one that this kernel never had."""
    wanted = set(calls)
    unknown = sorted(wanted - entries((source_tree / TABLE).read_text()).keys())
    if unknown:
        raise UkccError(
            f"the kernel has no system call named {', '.join(unknown)}",
            f"{source_tree / TABLE} has the names",
        )
    return tuple(sorted(wanted))


def with_calls(config: str, calls: "Iterable[str] | None", *, strict: bool) -> str:
    """A complete .config, changed to have these calls only; None: all that it can have.

    strict: a process that makes another call is killed, and the console says which call.
    """
    kept = [  # kbuild asks nothing then: all options that it knows have a value
        line
        for line in config.splitlines()
        if not fragments.parse(line).keys() & {_ONLY, _LIST, _STRICT}
    ]
    if calls is None:
        kept.append(f"# {_ONLY} is not set")
    else:
        kept += [
            f"{_ONLY}=y",
            f'{_LIST}="{" ".join(calls)}"',
            f"{_STRICT}=y" if strict else f"# {_STRICT} is not set",
        ]
    return "\n".join(kept) + "\n"


def check_config(
    config: str, calls: "Iterable[str] | None", *, strict: bool, class_name: str
) -> None:
    """Raises UkccError if Kconfig did not take what with_calls() asked for."""
    asked = fragments.parse(with_calls("", calls, strict=strict))
    found = fragments.parse(config)
    if any(found.get(option, fragments.OFF) != value for option, value in asked.items()):
        raise UkccError(
            f"kernels of the class {class_name} cannot have a list of system calls",
            "its configuration needs CONFIG_EXPERT=y",
        )
