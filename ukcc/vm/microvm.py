"""QEMU's microvm: no PCI, no ACPI, devices at fixed places. From the words of a q35 machine.

acpi=off, because of time. With ACPI such a machine is "hardware-reduced", and Linux then uses no
PIT; it cannot calibrate the time stamp counter either (no HPET, no PM timer, and port 0x61, which
gates the PIT's second channel, is not there), and without both it waits for ever for the first tick
in calibrate_APIC_clock() (arch/x86/kernel/apic/apic.c). Without ACPI it takes the PIT's interrupt.
"""

import re
from collections.abc import Sequence

# auto-kernel-cmdline tells the kernel where the devices are; qboot, the firmware, has the CPUs.
MACHINE = "microvm,acpi=off,pit=on,pic=on,rtc=on,isa-serial=on,x-option-roms=off"
MOST_DEVICES = 8  # places for virtio in QEMU's hw/i386/microvm.c without ACPI
_PCI = re.compile(r"^(virtio-[a-z0-9]+)-pci\b")
_ROM = ",romfile="
# the machine itself makes one serial port of the two
_RECORD = ("-device", "isa-serial,chardev=record,iobase=0x2f8,irq=3,index=1")


def for_microvm(words: Sequence[str]) -> list[str]:
    """The same machine's words: devices at places of their own, not on a bus."""
    rest = iter(words)
    made = [next(rest), "-global", "virtio-mmio.force-legacy=false"]
    for word in rest:
        if word == "-serial":
            chardev = next(rest)
            made += _RECORD if chardev == "chardev:record" else (word, chardev)
        elif word == "-machine":
            made += (word, MACHINE)
            next(rest)
        elif word == "-device":
            made += (word, _PCI.sub(r"\1-device", next(rest)).replace(_ROM, ""))
        else:
            made.append(word)
    return made


def devices(words: Sequence[str]) -> int:
    """How many places for virtio they take."""
    return sum(bool(re.match(r"virtio-[a-z0-9]+-device\b", word)) for word in words)
