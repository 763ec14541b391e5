"""The CPU that QEMU emulates under TCG."""

import subprocess

from ukcc.errors import MachineError
from ukcc.vm.hypervisor import findings
from ukcc.vm.hypervisor.qemu import PROGRAM
from ukcc.vm.machine import PLAIN_CPU

# TCG executes `rep movsb` and `rep stosb` byte by byte. Where the CPU does not report them as fast,
# the kernel and glibc use other instructions: memset is 20 times as fast, read() 4 times.
SLOW = ("erms", "fsrm", "fsrs", "fzrm")

_PATIENCE = 30.0  # seconds; it takes a twentieth of one
_FLAGS = "Recognized CPUID flags:"


def emulated_cpu() -> str:
    """QEMU's `-cpu` for it. QEMU refuses flags that it does not know, so it is asked, once for each
    start of the host and each QEMU. Of one that does not answer it is the plain model."""
    try:
        file = findings.file_for("cpu", PROGRAM, PLAIN_CPU, SLOW)
    except MachineError:
        return PLAIN_CPU
    known = findings.read(file)
    if is_emulated_cpu(known):
        return known
    flags = _flags()
    if flags:
        findings.write(file, _without(flags))
    return _without(flags)


def is_emulated_cpu(text: str) -> bool:
    """Whether `emulated_cpu` may have said it, of whatever QEMU."""
    return text == _without(set(text.replace("=off", "").split(",")))


def _without(flags: "set[str]") -> str:
    return ",".join([PLAIN_CPU, *(f"{flag}=off" for flag in SLOW if flag in flags)])


def _flags() -> "set[str]":
    """Those that QEMU knows; empty if it does not say."""
    try:
        done = subprocess.run(
            [PROGRAM, "-cpu", "help"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return set(done.stdout.partition(_FLAGS)[2].split())
