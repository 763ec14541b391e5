"""The same machine for other VMMs: Firecracker's configuration, Cloud Hypervisor's command line.

Both enter the image as QEMU does, by its PVH note, and hand it the settings as an initrd. Neither
has virtio's console ports or a second serial port, so the application's output, and what init has
to say, is on the first one, and nobody gets an exit record.
"""

import json
import shlex
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError
from ukcc.vm.machine import Machine
from ukcc.vm.options import RunOptions

QEMU, FIRECRACKER, CLOUD_HYPERVISOR = "qemu", "firecracker", "cloud-hypervisor"
VMMS = (FIRECRACKER, CLOUD_HYPERVISOR)

_MOST_CPUS = {FIRECRACKER: 32, CLOUD_HYPERVISOR: 64}
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
                f"{what}: who starts it makes its taps, not ukcc",
                f"put a tap into {net.interface}, and use --net tap=IF",
            )
    if options.shares:
        raise MachineError(
            f"{what}: it has no 9p, so no -v {options.shares[0].host}",
            "link the files into the image, or run it by QEMU",
        )
    for disk in options.disks:
        if disk.is_qcow2:
            raise MachineError(
                f"{what}: --disk {disk.file}: ukcc gives it raw disks only",
                "convert it: qemu-img convert -O raw",
            )
    for option, given in (
        ("--gdb", options.gdb_port is not None),
        ("--trace", options.trace is not None),
        ("--machine", options.machine != "auto"),
        ("--detach", options.detach),
    ):
        if given:
            raise MachineError(f"{what}: {option} is for QEMU", f"leave out {option} or --vmm")
    if options.cpus > _MOST_CPUS[vmm]:
        raise MachineError(f"{what}: it takes up to {_MOST_CPUS[vmm]} CPUs, not {options.cpus}")


def vmm_text(vmm: str, machine: Machine, settings: Path) -> str:
    """What --dry-run prints. settings: the archive; sockets of a vsock are made beside it."""
    socket = str(settings.with_suffix(".vsock"))
    if vmm == FIRECRACKER:
        return json.dumps(firecracker_config(machine, str(settings), socket), indent=2)
    return shlex.join(cloud_hypervisor_argv(machine, str(settings), socket))


def firecracker_config(machine: Machine, settings: str, socket: str) -> "dict[str, object]":
    """For `firecracker --no-api --config-file FILE`; keys as in its API (docs/machines.md)."""
    config: dict[str, object] = {
        "boot-source": {
            "kernel_image_path": paths.absolute(machine.image),
            "initrd_path": settings,
            # it has no ACPI power button: a reset by the keyboard's controller ends it
            "boot_args": " ".join([*machine.kernel_arguments, "reboot=k", "pci=off"]),
        },
        "machine-config": {"vcpu_count": machine.cpus, "mem_size_mib": machine.memory_mib},
        "drives": [
            {
                "drive_id": f"disk{index}",
                "path_on_host": paths.absolute(disk.file),
                "is_root_device": False,
                "is_read_only": disk.readonly,
            }
            for index, disk in enumerate(machine.disks)
        ],
        "network-interfaces": [
            {
                "iface_id": f"eth{index}",
                "host_dev_name": network.interface,
                **({"guest_mac": network.mac} if network.mac else {}),
            }
            for index, network in enumerate(machine.networks)
        ],
    }
    if machine.balloon:
        config["balloon"] = {
            "amount_mib": 0,
            "deflate_on_oom": True,
            "free_page_reporting": True,
        }
    if machine.rng:
        config["entropy"] = {}
    if machine.vsock_cid is not None:
        config["vsock"] = {"guest_cid": machine.vsock_cid, "uds_path": socket}
    return config


def cloud_hypervisor_argv(machine: Machine, settings: str, socket: str) -> "list[str]":
    """Its command line, program first."""
    words = [
        *("cloud-hypervisor", "--kernel", paths.absolute(machine.image)),
        *("--initramfs", settings, "--cmdline", " ".join(machine.kernel_arguments)),
        *("--cpus", f"boot={machine.cpus}", "--memory", f"size={machine.memory_mib}M"),
        *("--serial", "tty", "--console", "off", "--rng", "src=/dev/urandom"),
    ]
    if machine.balloon:
        words += ["--balloon", "size=0,deflate_on_oom=on,free_page_reporting=on"]
    nets = [
        f"tap={network.interface}" + (f",mac={network.mac}" if network.mac else "")
        for network in machine.networks
    ]
    drives = [
        # from version 51; an older one guesses, from what the guest has written
        f"path={disk.file},image_type=raw,readonly={'on' if disk.readonly else 'off'}"
        for disk in machine.disks
    ]
    words += ["--net", *nets] if nets else []
    words += ["--disk", *drives] if drives else []
    if machine.vsock_cid is not None:
        words += ["--vsock", f"cid={machine.vsock_cid},socket={socket}"]
    return words


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
