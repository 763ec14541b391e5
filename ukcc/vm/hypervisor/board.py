"""QEMU's machine types: q35, and microvm, which has no PCI and its devices at fixed places.

A microvm is "hardware-reduced": Linux uses no PIT there, and cannot calibrate the time stamp
counter (no HPET, no PM timer, and port 0x61, which gates the PIT's second channel, is not there).
Without both it would wait for ever for its first tick in calibrate_APIC_clock()
(arch/x86/kernel/apic/apic.c). So an emulated one is told how fast the counter is (tsc.py); KVM
tells the kernel itself. acpi=off, for kernels without ACPI, brings back the PIT's interrupt; one
that is not told takes five times as many instructions to `main` then.

qboot starts the kernel itself. SeaBIOS leaves that to an option ROM of QEMU's (pvh.bin), so without
option ROMs it finds nothing to boot, and waits.
"""

from dataclasses import dataclass

from ukcc.vm.machine import MICROVM, Machine

# Without the controllers that nothing hangs on: their set-up was a third of the boot's wall time.
# Measured under TCG with a network: q35 is ahead of pc, and microvm hangs in timer calibration.
# No system management mode: in ring 0 an application's write to port 0xb2 would enter it, and a CPU
# that has no handler there is lost.
Q35_WORDS = "q35,sata=off,smbus=off,usb=off,vmport=off,smm=off"

QBOOT = "qboot.rom"  # the firmware that needs no option ROMs
# Places for virtio devices on a microvm (QEMU's hw/i386/microvm.c): the second I/O APIC comes with
# ACPI.
PLACES, PLACES_WITHOUT_ACPI = 24, 8


@dataclass(frozen=True)
class Board:
    """What differs between the machine types in QEMU's words for the same machine.

    machine: of `-machine`; record: makes the serial port of the chardev `record`; bus: ends the
    names of virtio devices; boots_from_network: the firmware would try to, unless it is told not
    to; more: further words, before all others.
    """

    machine: str
    record: tuple[str, ...]
    bus: str
    boots_from_network: bool
    more: tuple[str, ...] = ()

    def device(self, name: str, *properties: str) -> list[str]:
        """A virtio device: `-device` and its value."""
        return ["-device", ",".join([f"{name}-{self.bus}", *properties])]


Q35_BOARD = Board(
    machine=Q35_WORDS,
    record=("-serial", "chardev:record"),
    bus="pci",
    boots_from_network=True,
)


def board_of(machine: Machine) -> Board:
    """The one that the machine is built on."""
    if machine.kind != MICROVM:
        return Q35_BOARD
    acpi = () if machine.acpi else ("acpi=off",)
    roms = ("x-option-roms=off",) if machine.firmware == QBOOT else ()
    return Board(
        machine=",".join([MICROVM, *acpi, "rtc=on", "isa-serial=on", *roms]),
        # the machine itself makes one serial port of the two
        record=("-device", "isa-serial,chardev=record,iobase=0x2f8,irq=3,index=1"),
        bus="device",
        boots_from_network=False,
        more=("-global", "virtio-mmio.force-legacy=false"),
    )
