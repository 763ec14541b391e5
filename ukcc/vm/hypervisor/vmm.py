"""The VMMs by name, and what of a run the others cannot do (ukcc/vmm/ has how they do the rest)."""

from pathlib import Path

from ukcc.errors import MachineError
from ukcc.vm.machine import AUTO
from ukcc.vm.options import RunOptions

QEMU, FIRECRACKER, CLOUD_HYPERVISOR = "qemu", "firecracker", "cloud-hypervisor"
VMMS = (FIRECRACKER, CLOUD_HYPERVISOR)

# What a snapshot has that QEMU has not saved (ukcc/vmm/manifest.py).
VMM_MANIFEST = "vmm.json"

_MOST_CPUS = {FIRECRACKER: 32, CLOUD_HYPERVISOR: 64}
# `cache=` of a disk: Firecracker can heed the guest's flushes or not, Cloud Hypervisor heeds them.
_CACHES = {
    FIRECRACKER: ("writeback", "unsafe"),
    CLOUD_HYPERVISOR: ("writeback", "none"),
}
_LEAST_CID = 3  # vsock(7): below are the host and the machine itself


def check_vmm(vmm: str, options: RunOptions) -> None:
    """Raises MachineError for what QEMU can do and this one cannot."""
    what = f"--vmm {vmm}"
    if options.forwards:
        raise MachineError(
            f"{what}: it has no user mode network, so no -p {options.forwards[0]}",
            "use --net tap=IF; the guest has an address of its own there",
        )
    for net in options.nets:
        if net.kind == "user":
            raise MachineError(
                f"{what}: it has no user mode network", "use --net tap=IF or --net none"
            )
        if net.kind == "bridge":
            raise MachineError(
                f"{what}: it takes taps by name, and those of --net bridge have none that lasts",
                f"put a tap into {net.interface}, and use --net tap=IF",
            )
    if options.shares:
        raise MachineError(
            f"{what}: it shares no directories, so no -v {options.shares[0].host}",
            "use --disk, or --file for what is only read; or --vmm qemu",
        )
    for disk in options.disks:
        if disk.cache not in _CACHES[vmm]:
            raise MachineError(
                f"{what}: --disk {disk.file}: no cache={disk.cache}",
                f"it has {' and '.join(_CACHES[vmm])}",
            )
        if disk.is_qcow2:
            raise MachineError(
                f"{what}: --disk {disk.file}: ukcc gives it raw disks only",
                "convert it: qemu-img convert -O raw",
            )
    for option, given in (
        ("--gdb", options.hardware.gdb_port is not None),
        ("--trace", options.trace is not None),
        ("--machine", options.machine_type != "auto"),
        ("--accel tcg", options.accel == "tcg"),
        ("--share-by", options.share_by != AUTO),
    ):
        if given:
            raise MachineError(f"{what}: {option} is for QEMU", f"leave out {option}, or --vmm")
    if options.hardware.cpus > _MOST_CPUS[vmm]:
        raise MachineError(
            f"{what}: it takes up to {_MOST_CPUS[vmm]} CPUs, not {options.hardware.cpus}"
        )


def check_vsock(cid: "int | None", device: str = "/dev/vhost-vsock") -> None:
    """Raises MachineError where QEMU could not make a vsock of that number."""
    if cid is None:
        return
    check_cid(cid)
    try:
        with Path(device).open("r+b"):
            pass
    except OSError as error:
        raise MachineError(
            f"--vsock {cid}: {device}: {error.strerror}",
            "load the module vhost_vsock, and have the right to open it",
        ) from None


def check_cid(cid: int) -> None:
    """Raises MachineError for a number that no guest can have."""
    if not _LEAST_CID <= cid < (1 << 32) - 1:
        raise MachineError(f"--vsock {cid}: a guest's number is {_LEAST_CID} to {(1 << 32) - 2}")
