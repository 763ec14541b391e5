"""Which firmware a machine starts with.

A q35's own choice is SeaBIOS, which looks for devices to boot from: 5.6 million instructions before
the kernel's first. It also keeps some memory at the end. qboot, which QEMU has for microvm, only
hands over the tables and the kernel: 0.07 million. Linux then gives PCI devices their addresses.

It hangs in a machine with vmgenid: it does not know the command by which QEMU's tables are told
where the guest has put the generation's number (WRITE_POINTER, hw/acpi/bios-linker-loader.c).

A microvm's own choice is a file, bios-microvm.bin, that is qboot in Debian 12 and SeaBIOS in Debian
13; and without ACPI it is qboot, though a distribution may lack that. So it is always named.
"""

from pathlib import Path

from ukcc import proc
from ukcc.errors import MachineError
from ukcc.vm.hypervisor import findings
from ukcc.vm.hypervisor.board import QBOOT
from ukcc.vm.hypervisor.qemu import PROGRAM
from ukcc.vm.machine import MICROVM, Machine

MICROVM_BIOS = "bios-microvm.bin"  # SeaBIOS, if there is no qboot
DEFAULT = ""  # QEMU's own
_NONE = "none"


def for_machine(machine: Machine) -> str:
    """What it starts with: a file of QEMU's, or DEFAULT."""
    if machine.kind == MICROVM:
        return quickest() or MICROVM_BIOS
    return DEFAULT if machine.vmgenid else quickest()


def quickest() -> str:
    """QBOOT where this QEMU has it, else DEFAULT; that there is no QEMU is for others to say."""
    try:
        cache = findings.file_for("firmware", PROGRAM)
    except MachineError:
        return DEFAULT
    known = findings.read(cache)
    if not known:
        known = QBOOT if _has(QBOOT) else _NONE
        findings.write(cache, known)
    return QBOOT if known == QBOOT else DEFAULT


def _has(name: str) -> bool:
    """Whether the file is in one of the directories where QEMU looks for firmware."""
    try:
        places = proc.output([PROGRAM, "-L", "help"]).splitlines()
    except proc.ProgramFailed:
        return False
    return any((Path(place) / name).is_file() for place in places if place)
