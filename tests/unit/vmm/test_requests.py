"""What we ask of Firecracker and Cloud Hypervisor, held against their APIs."""

from typing import Any

import jsonschema
import pytest
import yaml
from support import vmm_schemas
from support.vmm_schemas import REQUESTS

from ukcc.vm.machine import Address, Attached, Hardware, Machine, Network
from ukcc.vm.storage.disks import Disk
from ukcc.vmm import cloud_hypervisor, firecracker
from ukcc.vmm.description import Description
from ukcc.vmm.known import VMMS
from ukcc.vmm.vmm import ApiRequest, Vmm

PLAIN = Description(Machine("/app", 64, "kvm", rng=False), "/i", "/s")
NETS = (
    Network("tap", Address("dhcp"), interface="tap0"),
    Network("tap", Address("dhcp"), interface="tap1", mac="52:00:00:00:00:01", mtu=9000),
)
DISKS = (Disk("/d.img", "/d"), Disk("/e.img", readonly=True))
FULL = Description(
    Machine(
        "/app",
        256,
        "kvm",
        Hardware(2, vsock_cid=7),
        Attached(NETS, disks=DISKS),
        balloon=True,
    ),
    *("/proc/self/fd/3", "/proc/self/fd/4", ("/proc/self/fd/5", "/proc/self/fd/6"), "vsock"),
    attended=True,
)


def all_of(vmm: Vmm, what: Description) -> tuple[ApiRequest, ...]:
    """Every request that is ever made."""
    return (vmm.version, *vmm.boot(what), vmm.pause, vmm.save("."), *vmm.load("snapshot"))


each = pytest.mark.parametrize("vmm", VMMS.values(), ids=VMMS)
each_shape = pytest.mark.parametrize("what", [PLAIN, FULL], ids=["plain", "full"])


@each
@each_shape
def test_requests_are_as_the_api_has_them(vmm: Vmm, what: Description) -> None:
    for request in all_of(vmm, what):
        schema = REQUESTS[vmm.name][request.method, vmm_schemas.place(vmm.name, request.path)]
        if schema is None:
            assert request.body is None, request
        else:
            jsonschema.validate(request.body, schema)


@each
def test_no_request_of_the_table_is_unused(vmm: Vmm) -> None:
    made = {(r.method, vmm_schemas.place(vmm.name, r.path)) for r in all_of(vmm, FULL)}
    assert made == REQUESTS[vmm.name].keys()


def description_of(vmm: str) -> dict[str, Any]:
    path = vmm_schemas.published(vmm)
    if path is None:
        pytest.skip("no copy of its description here: set UKCC_SCHEMAS to a directory with one")
    document = vmm_schemas.strict(yaml.safe_load(path.read_text()))
    assert isinstance(document, dict)
    return document


def check(document: dict[str, Any], vmm: str, request: ApiRequest) -> None:
    schema = vmm_schemas.schema_in(document, request.method, vmm_schemas.place(vmm, request.path))
    if schema is None:
        assert request.body is None, request
        return
    jsonschema.Draft202012Validator({**document, **schema}).validate(request.body)


@each
@each_shape
def test_requests_are_as_published(vmm: Vmm, what: Description) -> None:
    document = description_of(vmm.name)
    for request in all_of(vmm, what):
        check(document, vmm.name, request)


@each
def test_the_published_description_can_refuse(vmm: Vmm) -> None:
    """As it is read here: wrong members, kinds and values are found at any depth."""
    document = description_of(vmm.name)
    requests = [r for r in all_of(vmm, FULL) if r.body]
    for request in requests:
        with pytest.raises(jsonschema.ValidationError):
            check(document, vmm.name, ApiRequest(request.method, request.path, {"wrong": 1}))
    if vmm.name == "firecracker":
        wrong = {"guest_cid": 2, "uds_path": "/s"}
        with pytest.raises(jsonschema.ValidationError):
            check(document, vmm.name, ApiRequest("PUT", "/vsock", wrong))
    else:
        config = cloud_hypervisor.configuration(FULL)
        config["disks"][0]["image_type"] = "raw"
        with pytest.raises(jsonschema.ValidationError):
            check(document, vmm.name, ApiRequest("PUT", "/api/v1/vm.create", config))
    with pytest.raises(KeyError):
        check(document, vmm.name, ApiRequest("PUT", "/nowhere"))


def test_ours_can_refuse() -> None:
    for vmm, table in REQUESTS.items():
        for (method, path), schema in table.items():
            if schema is not None:
                with pytest.raises(jsonschema.ValidationError):
                    jsonschema.validate({"wrong": 1}, schema)
            assert vmm_schemas.place(vmm, path) == path and method in ("GET", "PUT", "PATCH")


def test_firecracker_boots_last_and_without_acpi() -> None:
    requests = firecracker.boot(FULL)
    assert requests[-1].body == {"action_type": "InstanceStart"}
    (source,) = (r.body for r in requests if r.path == "/boot-source")
    assert source is not None
    arguments = source["boot_args"].split()
    assert {"acpi=off", "reboot=k", "rdinit=/.uk/agent", "panic=-1"} <= set(arguments)
    drives = [r.body for r in requests if r.path.startswith("/drives/")]
    # its own default loses what the guest has flushed
    assert [drive["cache_type"] for drive in drives if drive] == ["Writeback"] * 2
    assert [drive["is_read_only"] for drive in drives if drive] == [False, True]
    nets = [r.body for r in requests if r.path.startswith("/network-interfaces/")]
    assert nets == [
        {"iface_id": "eth0", "host_dev_name": "tap0"},
        {
            "iface_id": "eth1",
            "host_dev_name": "tap1",
            "guest_mac": "52:00:00:00:00:01",
            "mtu": 9000,
        },
    ]
    # of older versions, which refuse what they do not know; a machine can do without
    assert [r.path for r in requests if r.without] == ["/balloon"]


def test_cloud_hypervisor_keeps_acpi_by_which_it_ends() -> None:
    config = cloud_hypervisor.configuration(FULL)
    assert "acpi=off" not in config["payload"]["cmdline"]
    assert config["serial"] == {"mode": "Tty"} and config["console"] == {"mode": "Off"}
    assert [disk["image_type"] for disk in config["disks"]] == ["Raw", "Raw"]
    assert config["memory"]["size"] == 256 << 20
    assert config["vsock"] == {"cid": 7, "socket": "vsock"}
    assert "vsock" not in cloud_hypervisor.configuration(PLAIN)


@pytest.mark.parametrize(
    ("vmm", "answer", "said"),
    [
        ("firecracker", {"fault_message": "no"}, "no"),
        ("firecracker", {"fault_message": 1}, ""),
        ("firecracker", ["no"], ""),
        ("cloud-hypervisor", ["Error", "because"], "Error: because"),
        ("cloud-hypervisor", {"a": 1}, ""),
        ("cloud-hypervisor", [1, None, "x"], "x"),
        ("cloud-hypervisor", None, ""),
    ],
)
def test_faults(vmm: str, answer: Any, said: str) -> None:
    assert VMMS[vmm].fault(answer) == said


@each
@pytest.mark.parametrize("answer", [None, [], {}, {"version": 1, "firecracker_version": []}])
def test_a_version_that_is_none(vmm: Vmm, answer: Any) -> None:
    assert vmm.version_in(answer) == ""
