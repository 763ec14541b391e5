"""Firecracker: its command line and the requests of its API.

After its description of the API (src/firecracker/swagger/firecracker.yaml of its repository, August
2026) and its documentation. What came when: PVH 1.12, free_page_reporting 1.14, mtu 1.16.
"""

from typing import Any

from ukcc.vmm.description import Description
from ukcc.vmm.vmm import API_SOCKET, LOG, ApiRequest, Vmm

MEMORY, STATE = "memory", "state"

# It ends by a reset of the keyboard's controller and no other way: its ACPI knows no power off, so
# a kernel that has found ACPI would halt for ever. Without ACPI it finds the CPUs by the MP table
# and the devices on its command line, where Firecracker puts them in either case.
_KERNEL_ARGUMENTS = ("acpi=off", "reboot=k", "pci=off")


def command(_: int) -> list[str]:
    """Its own words go to a file: on standard output they would be among the guest's."""
    return ["firecracker", "--api-sock", API_SOCKET, "--log-path", LOG, "--level", "Warning"]


def boot(what: Description) -> tuple[ApiRequest, ...]:
    """Everything before InstanceStart may come in any order."""
    machine = what.machine
    requests = [
        ApiRequest(
            "PUT",
            "/machine-config",
            {"vcpu_count": machine.hardware.cpus, "mem_size_mib": machine.memory_mib},
        ),
        ApiRequest(
            "PUT",
            "/boot-source",
            {
                "kernel_image_path": what.image,
                "initrd_path": what.settings,
                "boot_args": " ".join([*what.kernel_arguments, *_KERNEL_ARGUMENTS]),
            },
        ),
        *(_drive(what, index) for index in range(len(machine.attached.disks))),
        *(_network(what, index) for index in range(len(machine.attached.networks))),
    ]
    if machine.balloon:
        body = {"amount_mib": 0, "deflate_on_oom": True, "free_page_reporting": True}
        without = "memory that the guest has freed stays with it"
        requests.append(ApiRequest("PUT", "/balloon", body, without))
    if machine.rng:
        requests.append(ApiRequest("PUT", "/entropy", {}))
    if what.vsock:
        place = {"guest_cid": what.cid, "uds_path": what.vsock}
        requests.append(ApiRequest("PUT", "/vsock", place))
    return (*requests, ApiRequest("PUT", "/actions", {"action_type": "InstanceStart"}))


def _drive(what: Description, index: int) -> ApiRequest:
    disk, name = what.machine.attached.disks[index], f"disk{index}"
    body = {
        "drive_id": name,
        "path_on_host": what.disks[index],
        "is_root_device": False,
        "is_read_only": disk.readonly,
        # its default is a disk that ignores the guest's flushes
        "cache_type": "Unsafe" if disk.cache == "unsafe" else "Writeback",
    }
    return ApiRequest("PUT", f"/drives/{name}", body)


def _network(what: Description, index: int) -> ApiRequest:
    network, name = what.machine.attached.networks[index], f"eth{index}"
    body: dict[str, Any] = {"iface_id": name, "host_dev_name": network.interface}
    if network.mac:
        body["guest_mac"] = network.mac
    if network.mtu:
        body["mtu"] = network.mtu
    return ApiRequest("PUT", f"/network-interfaces/{name}", body)


def save(directory: str) -> ApiRequest:
    """The machine has been paused."""
    body = {
        "snapshot_type": "Full",
        "snapshot_path": f"{directory}/{STATE}",
        "mem_file_path": f"{directory}/{MEMORY}",
    }
    return ApiRequest("PUT", "/snapshot/create", body)


def load(directory: str) -> tuple[ApiRequest, ...]:
    """Into a process that has been told nothing yet; it maps the memory and does not change it."""
    body = {
        "snapshot_path": f"{directory}/{STATE}",
        "mem_backend": {"backend_type": "File", "backend_path": f"{directory}/{MEMORY}"},
        "resume_vm": True,
    }
    return (ApiRequest("PUT", "/snapshot/load", body),)


def fault(answer: Any) -> str:
    """`fault_message` of an Error."""
    found = answer.get("fault_message") if isinstance(answer, dict) else None
    return found if isinstance(found, str) else ""


def configuration(what: Description) -> "dict[str, Any]":
    """The same requests as one file, for `firecracker --no-api --config-file FILE`."""
    config: dict[str, Any] = {"boot-source": {}, "machine-config": {}}
    config |= {"drives": [], "network-interfaces": []}
    for request in boot(what):
        kind, _, name = request.path.lstrip("/").partition("/")
        if name:
            config[kind].append(request.body)
        elif kind != "actions":
            config[kind] = request.body
    return config


VMM = Vmm(
    name="firecracker",
    program="firecracker",
    home="https://github.com/firecracker-microvm/firecracker",
    command=command,
    boot=boot,
    pause=ApiRequest("PATCH", "/vm", {"state": "Paused"}),
    save=save,
    load=load,
    version=ApiRequest("GET", "/version"),
    version_key="firecracker_version",
    fault=fault,
    parts=(MEMORY, STATE),
    memory=MEMORY,
)
