"""Of which calls which arguments say what a kernel must have, as a table."""

from dataclasses import dataclass

from ukcc.needs.names import Kind

# rdi rsi rdx r10 r8 r9: the registers of a system call's arguments, by x86's numbers
REGISTERS = (7, 6, 2, 10, 8, 9)

FAMILIES = Kind(("bits/socket.h",), "PF_", rename="AF_")
TYPES = Kind(("bits/socket_type.h",), "SOCK_", is_flags=True, mask=0xF)
OPEN = Kind(("asm-generic/fcntl.h",), "O_", is_flags=True, mask=3)
CLONE = Kind(("linux/sched.h",), "CLONE_", is_flags=True)
IOCTLS = Kind(("asm-generic/ioctls.h", "linux/sockios.h", "linux/fs.h"), r"(?:T|S|F|B)")
PRCTL = Kind(("linux/prctl.h",), "PR_")
ARCH_PRCTL = Kind(("asm/prctl.h",), "ARCH_")
FCNTL = Kind(("asm-generic/fcntl.h", "linux/fcntl.h"), "F_")
LEVELS = Kind(("asm-generic/socket.h", "bits/socket.h"), "SOL_")
ADVICE = Kind(("asm-generic/mman-common.h",), "MADV_")
FUTEX = Kind(("linux/futex.h",), "FUTEX_", is_flags=True, mask=0x7F)


@dataclass(frozen=True)
class CallArgument:
    """The argument at `position` (from 0) of `call` adds to the group `group`.

    kind: how its values are named; None: it is the address of a text.
    """

    call: str
    position: int
    group: str
    kind: "Kind | None"


TABLE = (
    CallArgument("socket", 0, "socket_families", FAMILIES),
    CallArgument("socket", 1, "socket_types", TYPES),
    CallArgument("socketpair", 0, "socket_families", FAMILIES),
    CallArgument("socketpair", 1, "socket_types", TYPES),
    CallArgument("setsockopt", 1, "socket_levels", LEVELS),
    CallArgument("getsockopt", 1, "socket_levels", LEVELS),
    CallArgument("open", 1, "open_flags", OPEN),
    CallArgument("openat", 2, "open_flags", OPEN),
    CallArgument("clone", 0, "clone_flags", CLONE),
    CallArgument("unshare", 0, "clone_flags", CLONE),
    CallArgument("ioctl", 1, "ioctls", IOCTLS),
    CallArgument("prctl", 0, "prctls", PRCTL),
    CallArgument("arch_prctl", 0, "arch_prctls", ARCH_PRCTL),
    CallArgument("fcntl", 1, "fcntls", FCNTL),
    CallArgument("madvise", 2, "madvices", ADVICE),
    CallArgument("futex", 1, "futex_operations", FUTEX),
    CallArgument("mount", 2, "file_systems", None),
)

GROUPS = tuple(dict.fromkeys(row.group for row in TABLE))

# These take flags in memory: where one is called, the group may have any.
IN_MEMORY = {"clone3": "clone_flags", "openat2": "open_flags", "fsopen": "file_systems"}
