"""Cloud Hypervisor: its command line and the requests of its API.

After its description of the API (vmm/src/api/openapi/cloud-hypervisor.yaml of its repository,
August 2026) and its documentation. `image_type` came with version 51.
"""

from typing import Any

from ukcc.vmm.description import Description
from ukcc.vmm.vmm import API_SOCKET, ApiRequest, Vmm

_BASE = "/api/v1/"
_MIB = 1 << 20

MEMORY = "memory-ranges"


def command(events: int) -> list[str]:
    """events: a descriptor, for what happens: it boots a guest again that has reset itself."""
    return [
        *("cloud-hypervisor", "--api-socket", f"path={API_SOCKET}"),
        *("--event-monitor", f"fd={events}"),
    ]


def boot(what: Description) -> tuple[ApiRequest, ...]:
    """All in one, then the start."""
    return (_put("vm.create", configuration(what)), _put("vm.boot"))


def configuration(what: Description) -> "dict[str, Any]":
    """VmConfig. The serial port is on its standard streams, where it waits for a slow reader; it
    reads its input from a terminal only.
    """
    machine = what.machine
    config: dict[str, Any] = {
        "cpus": {"boot_vcpus": machine.hardware.cpus, "max_vcpus": machine.hardware.cpus},
        "memory": {"size": machine.memory_mib * _MIB},
        "payload": {
            "kernel": what.image,
            "initramfs": what.settings,
            "cmdline": " ".join(what.kernel_arguments),
        },
        "serial": {"mode": "Tty"},
        "console": {"mode": "Off"},
        "rng": {"src": "/dev/urandom"},
    }
    if machine.balloon:
        config["balloon"] = {"size": 0, "deflate_on_oom": True, "free_page_reporting": True}
    disks = [_disk(what, index) for index in range(len(machine.attached.disks))]
    nets = [_net(what, index) for index in range(len(machine.attached.networks))]
    config |= {"disks": disks} if disks else {}
    config |= {"net": nets} if nets else {}
    if what.vsock:
        config["vsock"] = {"cid": what.cid, "socket": what.vsock}
    return config


def _disk(what: Description, index: int) -> "dict[str, Any]":
    disk = what.machine.attached.disks[index]
    return {
        "path": what.disks[index],
        "readonly": disk.readonly,
        "direct": disk.cache == "none",
        # it would guess, from what the guest has written
        "image_type": "Raw",
    }


def _net(what: Description, index: int) -> "dict[str, Any]":
    network = what.machine.attached.networks[index]
    return {
        "tap": network.interface,
        **({"mac": network.mac} if network.mac else {}),
        **({"mtu": network.mtu} if network.mtu else {}),
    }


def save(directory: str) -> ApiRequest:
    """Into a directory that is there; the machine has been paused."""
    return _put("vm.snapshot", {"destination_url": f"file://{directory}"})


def load(directory: str) -> tuple[ApiRequest, ...]:
    """Into a process that has no machine yet; a second request, since `resume` is newer."""
    return (_put("vm.restore", {"source_url": f"file://{directory}"}), _put("vm.resume"))


def fault(answer: Any) -> str:
    """The texts of a chain of errors, the outermost first."""
    if not isinstance(answer, list):
        return ""
    return ": ".join(text for text in answer if isinstance(text, str))


def _put(name: str, body: "dict[str, Any] | None" = None) -> ApiRequest:
    return ApiRequest("PUT", _BASE + name, body)


VMM = Vmm(
    name="cloud-hypervisor",
    program="cloud-hypervisor",
    home="https://github.com/cloud-hypervisor/cloud-hypervisor",
    command=command,
    boot=boot,
    pause=_put("vm.pause"),
    save=save,
    load=load,
    version=ApiRequest("GET", _BASE + "vmm.ping"),
    version_key="version",
    fault=fault,
    parts=("config.json", MEMORY, "state.json"),
    memory=MEMORY,
    resets="rebooting",
)
