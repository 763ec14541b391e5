"""What the VMMs' APIs take, for the parts that we write: facts, in words of our own.

Of Firecracker after src/firecracker/swagger/firecracker.yaml, of Cloud Hypervisor after
vmm/src/api/openapi/cloud-hypervisor.yaml (both August 2026). Objects are closed: Firecracker
refuses members that it does not know, and a wrong name would be passed over by the other one.
The descriptions themselves are not ours to keep; `published()` reads them where there are any.
"""

import os
import re
from pathlib import Path
from typing import Any

TEXT, COUNT, FLAG = {"type": "string"}, {"type": "integer", "minimum": 0}, {"type": "boolean"}
POSITIVE = {"type": "integer", "minimum": 1}
CID = {"type": "integer", "minimum": 3}


def closed(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    """An object with these members and no others."""
    return {
        "type": "object",
        "properties": {**required, **optional},
        "required": list(required),
        "additionalProperties": False,
    }


def words(*allowed: str) -> dict[str, Any]:
    return {"enum": list(allowed)}


BOOT = closed({"kernel_image_path": TEXT}, initrd_path=TEXT, boot_args=TEXT)
MACHINE = closed(
    {"vcpu_count": {"type": "integer", "minimum": 1, "maximum": 32}, "mem_size_mib": POSITIVE},
    smt=FLAG,
    track_dirty_pages=FLAG,
)
DRIVE = closed(
    {"drive_id": TEXT, "is_root_device": FLAG},
    path_on_host=TEXT,
    is_read_only=FLAG,
    cache_type=words("Unsafe", "Writeback"),
)
NETWORK = closed(
    {"iface_id": TEXT, "host_dev_name": TEXT},
    guest_mac=TEXT,
    mtu={"type": "integer", "minimum": 68, "maximum": 65535},
)
BALLOON = closed(
    {"amount_mib": COUNT, "deflate_on_oom": FLAG},
    stats_polling_interval_s=COUNT,
    free_page_hinting=FLAG,
    free_page_reporting=FLAG,
)
VSOCK = closed({"guest_cid": CID, "uds_path": TEXT})

# The configuration as one file.
FIRECRACKER = closed(
    {
        "boot-source": BOOT,
        "machine-config": MACHINE,
        "drives": {"type": "array", "items": DRIVE},
    },
    **{
        "network-interfaces": {"type": "array", "items": NETWORK},
        "balloon": BALLOON,
        "entropy": closed({}),
        "vsock": VSOCK,
    },
)

_BACKEND = closed({"backend_type": words("File", "Uffd"), "backend_path": TEXT})
_LOAD = closed({"snapshot_path": TEXT}, mem_backend=_BACKEND, resume_vm=FLAG)
_SAVE = closed({"mem_file_path": TEXT, "snapshot_path": TEXT}, snapshot_type=words("Full", "Diff"))
_ACTIONS = closed({"action_type": words("FlushMetrics", "InstanceStart", "SendCtrlAltDel")})

_CONFIG = closed(
    {"payload": closed({}, kernel=TEXT, cmdline=TEXT, initramfs=TEXT, firmware=TEXT)},
    cpus=closed({"boot_vcpus": POSITIVE, "max_vcpus": POSITIVE}),
    memory=closed({"size": POSITIVE}),
    serial=closed({"mode": words("Off", "Pty", "Tty", "File", "Socket", "Null")}),
    console=closed({"mode": words("Off", "Pty", "Tty", "File", "Socket", "Null")}),
    rng=closed({"src": TEXT}),
    balloon=closed({"size": COUNT}, deflate_on_oom=FLAG, free_page_reporting=FLAG),
    disks={
        "type": "array",
        "items": closed(
            {},
            path=TEXT,
            readonly=FLAG,
            direct=FLAG,
            image_type=words("FixedVhd", "Qcow2", "Raw", "Vhdx", "Unknown"),
        ),
    },
    net={"type": "array", "items": closed({}, tap=TEXT, mac=TEXT, mtu={"type": "integer"})},
    vsock=closed({"cid": CID, "socket": TEXT}),
)

# method, path (`{}` for a name) -> its body; None for a request without one.
REQUESTS: dict[str, dict[tuple[str, str], Any]] = {
    "firecracker": {
        ("GET", "/version"): None,
        ("PUT", "/boot-source"): BOOT,
        ("PUT", "/machine-config"): MACHINE,
        ("PUT", "/drives/{}"): DRIVE,
        ("PUT", "/network-interfaces/{}"): NETWORK,
        ("PUT", "/balloon"): BALLOON,
        ("PUT", "/entropy"): closed({}),
        ("PUT", "/vsock"): VSOCK,
        ("PUT", "/actions"): _ACTIONS,
        ("PATCH", "/vm"): closed({"state": words("Paused", "Resumed")}),
        ("PUT", "/snapshot/create"): _SAVE,
        ("PUT", "/snapshot/load"): _LOAD,
    },
    "cloud-hypervisor": {
        ("GET", "/vmm.ping"): None,
        ("PUT", "/vm.create"): _CONFIG,
        ("PUT", "/vm.boot"): None,
        ("PUT", "/vm.pause"): None,
        ("PUT", "/vm.resume"): None,
        ("PUT", "/vm.snapshot"): closed({}, destination_url=TEXT),
        ("PUT", "/vm.restore"): closed({"source_url": TEXT}),
    },
}

_BASE = "/api/v1"  # of Cloud Hypervisor's paths


def place(vmm: str, path: str) -> str:
    """A request's path as REQUESTS and the descriptions have it."""
    path = path.removeprefix(_BASE) if vmm == "cloud-hypervisor" else path
    return re.sub(r"^/(drives|network-interfaces)/[a-z0-9]+$", r"/\1/{}", path)


def published(vmm: str) -> "Path | None":
    """The VMM's own description, where there is a copy beside the tree or $UKCC_SCHEMAS says so."""
    beside = Path(__file__).resolve().parents[3] / "shared" / "schemas"
    path = Path(os.environ.get("UKCC_SCHEMAS") or beside) / f"{vmm}.yaml"
    return path if path.is_file() else None


def schema_in(document: dict[str, Any], method: str, path: str) -> Any:
    """The body's schema in such a description (Swagger 2.0 or OpenAPI 3.0); None without a body.

    Raises KeyError for a request that it does not have.
    """
    known = {re.sub(r"\{[^}]*\}", "{}", key): value for key, value in document["paths"].items()}
    operation = known[path][method.lower()]
    if "requestBody" in operation:
        return operation["requestBody"]["content"]["application/json"]["schema"]
    bodies = [one["schema"] for one in operation.get("parameters", []) if one["in"] == "body"]
    return bodies[0] if bodies else None


def strict(node: Any) -> Any:
    """The same description, whose objects take no members but those that they name."""
    if isinstance(node, list):
        return [strict(item) for item in node]
    if not isinstance(node, dict):
        return node
    copy = {key: strict(value) for key, value in node.items()}
    if isinstance(copy.get("properties"), dict) and copy.get("type") == "object":
        copy.setdefault("additionalProperties", False)
    return copy
