"""A kernel stack that overflows ends the machine with a word, and does not hang it.

A debugger brings it about: in the middle of a system call it puts the stack pointer at the lowest
end of the thread's stack, so that the next exception frame does not fit.
"""

import re
import subprocess
from pathlib import Path

from support.boots import Build
from support.kernel_gdb import SAVED_SP, Debugged, debug

from ukcc.image.facts import read_facts

SOURCE = "#include <unistd.h>\nint main(void) { return getppid() > 0 ? 3 : 4; }\n"

# VMAP_STACK: a stack is as large as it is aligned (THREAD_SIZE of asm/page_64_types.h).
STACK_SIZE = 4 << 12


def test_the_debugger_alone_changes_nothing(build_image: Build) -> None:
    image = build_image(SOURCE, name="getppid")
    commands = ["hbreak __x64_sys_getppid", "continue", "delete", "detach"]
    assert debug(image, *commands).status == 3


LOWEST = f"(((unsigned long)$rsp & ~{STACK_SIZE - 1}) + 16)"


def function_of_oops(console: str, image: Path) -> str:
    """The function that the oops has its instruction pointer in."""
    found = re.search(r"RIP: 0010:(0x[0-9a-f]+)", console)
    assert found, "no oops"
    vmlinux = str(read_facts(str(image)).vmlinux)
    words = ["gdb", "-nx", "-batch", vmlinux, "-ex", f"info symbol {found[1]}"]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout.split()[0]


# To the double fault's handler; how far it is below the top of the stack that is there for it:
# cpu_tss_rw.x86_tss.ist[0], 36 bytes into the per-CPU structure (asm/processor.h).
TO_THE_HANDLER = (
    "hbreak exc_double_fault",
    "continue",
    "delete",
    'printf "below its top: %ld\\n", *(long *)($gs_base + (long)&cpu_tss_rw + 36) - (long)$rsp',
    "detach",
)


def check_panic(done: Debugged) -> None:
    assert done.status == 123
    assert "stack guard page was hit" in done.stdout
    assert "the kernel panicked" in done.stderr
    below = re.search(r"below its top: (-?\d+)", done.gdb)
    assert below and 0 < int(below[1]) < 1024


def test_overflow(build_image: Build) -> None:
    """Which function the oops names is asserted below only: docs/kernel.md, "Known limits"."""
    image = build_image(SOURCE, name="getppid")
    to_the_call = ("hbreak __x64_sys_getppid", "continue", "delete")
    done = debug(image, *to_the_call, f"set $rsp = {LOWEST}", *TO_THE_HANDLER)
    check_panic(done)


def test_overflow_by_an_interrupt(build_image: Build) -> None:
    """The frame of an interrupt no longer fits: the oops names the function that it came to."""
    source = "int main(void) { for (;;) ; }\n"
    image = build_image(source, name="loop")
    done = debug(
        image,
        f"hbreak asm_sysvec_apic_timer_interrupt if {SAVED_SP} < 0",
        "continue",
        "delete",
        "info symbol *(long *)$rsp",
        f"set {SAVED_SP} = {LOWEST.replace('$rsp', SAVED_SP)}",
        *TO_THE_HANDLER,
    )
    check_panic(done)
    assert f"{function_of_oops(done.stdout, image)} " in done.gdb
