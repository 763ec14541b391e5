"""What starts another VMM than QEMU by hand, as `ukcc run --dry-run` prints it.

Nobody reads an exit record there, so the guest has no agent.
"""

from pathlib import Path
from typing import Any

from ukcc import paths
from ukcc.vm.machine import Machine
from ukcc.vmm import firecracker
from ukcc.vmm.description import Description


def firecracker_configuration(machine: Machine, settings: Path) -> "dict[str, Any]":
    """For `firecracker --no-api --config-file`. settings: the archive; sockets are beside it."""
    return firecracker.configuration(_describe(machine, settings))


def _describe(machine: Machine, settings: Path) -> Description:
    """With the files' own paths."""
    socket = str(settings.with_suffix(".vsock"))
    return Description(
        machine,
        paths.absolute(machine.image),
        str(settings),
        tuple(paths.absolute(disk.file) for disk in machine.attached.disks),
        "" if machine.hardware.vsock_cid is None else socket,
    )


def cloud_hypervisor_argv(machine: Machine, settings: Path) -> "list[str]":
    """The command line, program first. settings: as above."""
    what = _describe(machine, settings)
    words = [
        *("cloud-hypervisor", "--kernel", what.image),
        *("--initramfs", what.settings, "--cmdline", " ".join(what.kernel_arguments)),
        *("--cpus", f"boot={machine.hardware.cpus}", "--memory", f"size={machine.memory_mib}M"),
        *("--serial", "tty", "--console", "off", "--rng", "src=/dev/urandom"),
    ]
    if machine.balloon:
        words += ["--balloon", "size=0,deflate_on_oom=on,free_page_reporting=on"]
    nets = [
        f"tap={network.interface}"
        + (f",mac={network.mac}" if network.mac else "")
        + (f",mtu={network.mtu}" if network.mtu else "")
        for network in machine.attached.networks
    ]
    drives = [
        # from version 51; an older one guesses, from what the guest has written
        f"path={path},image_type=raw,readonly={'on' if disk.readonly else 'off'}"
        + (",direct=on" if disk.cache == "none" else "")
        for path, disk in zip(what.disks, machine.attached.disks, strict=True)
    ]
    words += ["--net", *nets] if nets else []
    words += ["--disk", *drives] if drives else []
    if what.vsock:
        words += ["--vsock", f"cid={what.cid},socket={what.vsock}"]
    return words
