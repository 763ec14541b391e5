"""What `ukcc run --dry-run` prints for another VMM than QEMU.

Nobody reads an exit record there, so the guest has no agent.
"""

import json
import shlex
from pathlib import Path

from ukcc import paths
from ukcc.vm.hypervisor.vmm import FIRECRACKER
from ukcc.vm.machine import Machine
from ukcc.vmm import firecracker
from ukcc.vmm.description import Description


def vmm_text(vmm: str, machine: Machine, settings: Path) -> str:
    """A configuration or a command line. settings: the archive; a vsock's sockets are beside it."""
    if vmm == FIRECRACKER:
        return json.dumps(firecracker.configuration(described(machine, settings)), indent=2)
    return shlex.join(cloud_hypervisor_words(described(machine, settings)))


def described(machine: Machine, settings: Path) -> Description:
    """With the files' own paths."""
    socket = str(settings.with_suffix(".vsock"))
    return Description(
        machine,
        paths.absolute(machine.image),
        str(settings),
        tuple(paths.absolute(disk.file) for disk in machine.disks),
        "" if machine.vsock_cid is None else socket,
    )


def cloud_hypervisor_words(what: Description) -> "list[str]":
    """Its command line, program first."""
    machine = what.machine
    words = [
        *("cloud-hypervisor", "--kernel", what.image),
        *("--initramfs", what.settings, "--cmdline", " ".join(what.kernel_arguments)),
        *("--cpus", f"boot={machine.cpus}", "--memory", f"size={machine.memory_mib}M"),
        *("--serial", "tty", "--console", "off", "--rng", "src=/dev/urandom"),
    ]
    if machine.balloon:
        words += ["--balloon", "size=0,deflate_on_oom=on,free_page_reporting=on"]
    nets = [
        f"tap={network.interface}"
        + (f",mac={network.mac}" if network.mac else "")
        + (f",mtu={network.mtu}" if network.mtu else "")
        for network in machine.networks
    ]
    drives = [
        # from version 51; an older one guesses, from what the guest has written
        f"path={path},image_type=raw,readonly={'on' if disk.readonly else 'off'}"
        + (",direct=on" if disk.cache == "none" else "")
        for path, disk in zip(what.disks, machine.disks, strict=True)
    ]
    words += ["--net", *nets] if nets else []
    words += ["--disk", *drives] if drives else []
    if what.vsock:
        words += ["--vsock", f"cid={what.cid},socket={what.vsock}"]
    return words
