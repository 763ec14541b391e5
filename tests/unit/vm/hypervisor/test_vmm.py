"""The same machine for other VMMs, and for QEMU's microvm."""

import itertools
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from support.machine_samples import make_machine
from support.vmm_schemas import FIRECRACKER

from ukcc.errors import MachineError
from ukcc.vm.hypervisor.qemu import Endpoints, qemu_argv
from ukcc.vm.hypervisor.vmm import check_cid, check_vmm, check_vsock
from ukcc.vm.machine import VIRTIOFS, Address, Forward, Hardware, Machine, Network, Share
from ukcc.vm.net.options import NetOption
from ukcc.vm.options import RunOptions, TraceOption
from ukcc.vm.storage.disks import Disk
from ukcc.vmm.pasted import cloud_hypervisor_argv, firecracker_configuration

TAP = Network("tap", Address("dhcp"), interface="tap0")
MACHINE = make_machine(
    image="/app",
    memory_mib=256,
    cpus=2,
    accel="kvm",
    networks=(TAP,),
    vsock_cid=7,
    disks=(Disk("/d.img", "/d"),),
)
NONE = (NetOption("none"),)
SETTINGS = Path("/tmp/settings.cpio")


@pytest.mark.parametrize("machine", [MACHINE, make_machine(memory_mib=64, accel="kvm")])
def test_firecracker_takes_it(machine: Machine) -> None:
    config = firecracker_configuration(machine, SETTINGS)
    jsonschema.Draft202012Validator.check_schema(FIRECRACKER)
    jsonschema.validate(config, FIRECRACKER)
    assert Path(config["boot-source"]["kernel_image_path"]).is_absolute()
    assert config["boot-source"]["initrd_path"] == str(SETTINGS)
    arguments = config["boot-source"]["boot_args"].split()
    # its ACPI has no power off, so init would halt for ever where it finds ACPI
    assert {"console=ttyS0", "acpi=off", "reboot=k"} <= set(arguments)
    assert not [word for word in arguments if word.startswith("rdinit=")]  # nobody reads a record
    assert config["machine-config"]["mem_size_mib"] == machine.memory_mib
    assert len(config["network-interfaces"]) == len(machine.attached.networks)


def test_the_schema_can_refuse() -> None:
    config = firecracker_configuration(MACHINE, SETTINGS)
    for part, wrong in (("vsock", {"guest_cid": 2, "uds_path": "/s"}), ("nets", []), ("drives", 1)):
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({**config, part: wrong}, FIRECRACKER)


def test_cloud_hypervisor() -> None:
    words = cloud_hypervisor_argv(MACHINE, SETTINGS)
    assert words[:3] == ["cloud-hypervisor", "--kernel", "/app"]
    pairs = dict(itertools.pairwise(words))
    assert pairs["--initramfs"] == str(SETTINGS) and pairs["--serial"] == "tty"
    assert pairs["--cpus"] == "boot=2" and pairs["--memory"] == "size=256M"
    assert pairs["--net"] == "tap=tap0"
    assert pairs["--disk"] == "path=/d.img,image_type=raw,readonly=off"
    assert pairs["--vsock"] == "cid=7,socket=/tmp/settings.vsock"


@pytest.mark.parametrize("vmm", ["firecracker", "cloud-hypervisor"])
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "no user mode network"),
        ({"forwards": (Forward("127.0.0.1", 80, 80),)}, "no -p 127.0.0.1:80:80"),
        ({"nets": NONE, "shares": (Share("/h", "/g"),)}, "no -v /h"),
        ({"nets": (NetOption("bridge", "br0"),)}, "takes taps by name"),
        ({"nets": NONE, "disks": (Disk("/d", format="qcow2"),)}, "raw disks only"),
        ({"nets": NONE, "disks": (Disk("/d.qcow2"),)}, "raw disks only"),
        ({"nets": NONE, "hardware": Hardware(gdb_port=1)}, "--gdb is for QEMU"),
        ({"nets": NONE, "machine_type": "q35"}, "--machine is for QEMU"),
        ({"nets": NONE, "accel": "tcg"}, "--accel tcg is for QEMU"),
        ({"nets": NONE, "share_by": "virtiofs"}, "--share-by is for QEMU"),
        ({"nets": NONE, "trace": TraceOption()}, "--trace is for QEMU"),
        ({"nets": NONE, "disks": (Disk("/d", cache="directsync"),)}, "no cache=directsync"),
        ({"nets": NONE, "hardware": Hardware(65)}, "CPUs, not 65"),
    ],
)
def test_what_they_cannot_do(vmm: str, options: dict[str, Any], said: str) -> None:
    with pytest.raises(MachineError, match=said) as raised:
        check_vmm(vmm, RunOptions("app", **options))
    assert raised.value.hint or "CPUs" in said


def test_what_only_one_of_them_cannot_do() -> None:
    for vmm, cache in (("firecracker", "none"), ("cloud-hypervisor", "unsafe")):
        with pytest.raises(MachineError, match=f"no cache={cache}"):
            check_vmm(vmm, RunOptions("app", nets=NONE, disks=(Disk("/d", cache=cache),)))
    check_vmm("firecracker", RunOptions("app", nets=NONE, disks=(Disk("/d", cache="unsafe"),)))
    check_vmm("cloud-hypervisor", RunOptions("app", nets=NONE, disks=(Disk("/d", cache="none"),)))
    with pytest.raises(MachineError, match="up to 32 CPUs, not 33"):
        check_vmm("firecracker", RunOptions("app", nets=NONE, hardware=Hardware(33)))
    check_vmm("cloud-hypervisor", RunOptions("app", nets=NONE, hardware=Hardware(33), detach=True))


def test_vsock(tmp_path: Path) -> None:
    for cid in (-1, 2, 1 << 32):
        with pytest.raises(MachineError, match="a guest's number"):
            check_cid(cid)
    with pytest.raises(MachineError, match="No such file"):
        check_vsock(3, str(tmp_path / "vhost-vsock"))
    check_vsock(None, str(tmp_path / "vhost-vsock"))
    argv = qemu_argv(MACHINE, Endpoints(initrd="/i", record="/r"))
    assert "vhost-vsock-pci,guest-cid=7" in argv


def test_microvm_has_the_same_devices_at_other_places() -> None:
    user = Network("user", Address("dhcp"))
    endpoints = Endpoints(initrd="/i", record="/r", stdin_fd=9)
    machine = make_machine(
        networks=(user,), stdin_port=True, vsock_cid=3, tsc_khz=2100000, kind="microvm"
    )
    argv = qemu_argv(machine, endpoints)
    assert not [word for word in argv if "-pci" in word or "q35" in word]
    devices = [argv[i + 1] for i, word in enumerate(argv) if word == "-device"]
    kinds = [device.partition(",")[0] for device in devices]
    assert kinds[0] == "isa-serial" and "chardev=record" in devices[0]
    assert {"virtio-rng-device", "virtio-net-device", "vhost-vsock-device"} <= set(kinds)
    assert argv.count("-serial") == 1
    assert "tsc_early_khz=2100000" in argv[argv.index("-append") + 1]


def test_microvm_with_a_share_by_virtiofs() -> None:
    share = Share("/h", "/data", by=VIRTIOFS)
    machine = make_machine(shares=(share,), kind="microvm")
    argv = qemu_argv(machine, Endpoints(initrd="/i", record="/r", virtiofs=("fd=8",)))
    assert not [word for word in argv if "-pci" in word or "q35" in word]
    devices = [argv[i + 1] for i, word in enumerate(argv) if word == "-device"]
    assert "vhost-user-fs-device,chardev=fs0,tag=share0,queue-size=1024" in devices
    # the daemon has the guest's memory only then
    machines = [argv[i + 1] for i, word in enumerate(argv) if word == "-machine"]
    assert "memory-backend=ram" in machines
