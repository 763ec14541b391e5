"""QEMU's microvm: no PCI, devices at fixed places. From the words of a q35 machine.

Such a machine is "hardware-reduced": Linux uses no PIT there, and cannot calibrate the time stamp
counter (no HPET, no PM timer, and port 0x61, which gates the PIT's second channel, is not there).
Without both it would wait for ever for its first tick in calibrate_APIC_clock()
(arch/x86/kernel/apic/apic.c). So an emulated one is told how fast the counter is (tsc.py); KVM
tells the kernel itself. acpi=off, for kernels without ACPI, brings back the PIT's interrupt; one
that is not told takes five times as many instructions to `main` then.

qboot starts the kernel itself. SeaBIOS leaves that to an option ROM of QEMU's (pvh.bin), so without
option ROMs it finds nothing to boot, and waits.
"""

import re
from collections.abc import Sequence

QBOOT = "qboot.rom"  # the firmware that needs no option ROMs
_MACHINE = "rtc=on,isa-serial=on"
_NO_ROMS = ",x-option-roms=off"
# Places for virtio devices (QEMU's hw/i386/microvm.c): the second I/O APIC comes with ACPI.
PLACES, PLACES_WITHOUT_ACPI = 24, 8
_PCI = re.compile(r"^((?:virtio|vhost)-[a-z0-9-]+?)-pci\b")
_WHOLE = "q35,"  # of the -machine words, the one that says which
_ROM = ",romfile="
# the machine itself makes one serial port of the two
_RECORD = ("-device", "isa-serial,chardev=record,iobase=0x2f8,irq=3,index=1")


def for_microvm(words: Sequence[str], *, acpi: bool = True, roms: bool = True) -> list[str]:
    """The same machine's words: devices at places of their own, not on a bus.

    roms: its firmware starts the kernel by an option ROM.
    """
    machine = f"microvm,{_MACHINE}" if acpi else f"microvm,acpi=off,{_MACHINE}"
    machine += "" if roms else _NO_ROMS
    rest = iter(words)
    made = [next(rest), "-global", "virtio-mmio.force-legacy=false"]
    for word in rest:
        if word == "-serial":
            chardev = next(rest)
            made += _RECORD if chardev == "chardev:record" else (word, chardev)
        elif word == "-machine":
            value = next(rest)
            made += (word, machine if value.startswith(_WHOLE) else value)
        elif word == "-device":
            made += (word, _PCI.sub(r"\1-device", next(rest)).replace(_ROM, ""))
        else:
            made.append(word)
    return made
