"""A run of an image whose kernel was made for it: what is refused, and what is left out."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ukcc import paths
from ukcc.errors import MachineError
from ukcc.image.facts import ImageMetadata, facts_of
from ukcc.settings.document import InitStep
from ukcc.vm.boot.guest import Guest
from ukcc.vm.hypervisor import firmware
from ukcc.vm.hypervisor.qemu import Endpoints, port_names, qemu_argv
from ukcc.vm.launch import share_way
from ukcc.vm.machine import (
    AUTO,
    NINE_P,
    VIRTIOFS,
    Forward,
    GuestPorts,
    Hardware,
    Machine,
    Network,
    Resolver,
    Share,
)
from ukcc.vm.net.options import NetOption, parse_networks
from ukcc.vm.offers import USES, check_snapshot, fit_options, has
from ukcc.vm.options import RunOptions, TraceOption
from ukcc.vm.plan import plan_machine
from ukcc.vm.storage.disks import Disk
from ukcc.vmm.pasted import cloud_hypervisor_argv, firecracker_configuration

GENERAL = ImageMetadata()
NOTHING = ImageMetadata(offers=frozenset())
EVERYTHING = frozenset(name for use in USES for name in use.features)
SHARES = (Share("/h", "/g"),)

# What is asked for, the feature that it takes, and the line without that.
ASKED: dict[str, tuple[dict[str, Any], str, str]] = {
    "CPUs": (
        {"hardware": Hardware(cpus=4)},
        "smp",
        "--smp 4: the kernel of app was made without a second CPU",
    ),
    "a port": (
        {"forwards": (Forward("127.0.0.1", 80, 8080),)},
        "net",
        "-p 127.0.0.1:80:8080: the kernel of app was made without the network",
    ),
    "user mode": (
        {"nets": parse_networks(["user"], [])},
        "net",
        "--net user: the kernel of app was made without the network",
    ),
    "a tap": (
        {"nets": parse_networks(["tap=tap0,mtu=1400"], [])},
        "net",
        "--net tap=tap0,mtu=1400: the kernel of app was made without the network",
    ),
    "an address": (
        {"nets": parse_networks([], ["10.0.2.20/24"])},
        "net",
        "--ip 10.0.2.20/24: the kernel of app was made without the network",
    ),
    "an address of IPv6": (
        {"nets": parse_networks([], ["slaac"])},
        "inet6",
        "--ip slaac: the kernel of app was made without IPv6",
    ),
    "a name server": (
        {"hardware": Hardware(resolver=Resolver(("1.1.1.1",)))},
        "net",
        "--dns 1.1.1.1: the kernel of app was made without the network",
    ),
    "a domain": (
        {"hardware": Hardware(resolver=Resolver(searches=("example.com",)))},
        "net",
        "--dns-search example.com: the kernel of app was made without the network",
    ),
    "a host": (
        {"hardware": Hardware(resolver=Resolver(hosts=("10.0.0.1 db",)))},
        "net",
        "--add-host db:10.0.0.1: the kernel of app was made without the network",
    ),
    "a disk": (
        {"disks": (Disk("/d.img", "/d"),)},
        "disk",
        "--disk /d.img: the kernel of app was made without disks",
    ),
    "virtio-fs": (
        {"shares": SHARES, "share_by": VIRTIOFS},
        "virtiofs",
        "--share-by virtiofs: the kernel of app was made without virtio-fs",
    ),
    "9p": (
        {"shares": SHARES, "share_by": NINE_P},
        "9p",
        "--share-by 9p: the kernel of app was made without 9p",
    ),
    "a socket": (
        {"hardware": Hardware(vsock_cid=3)},
        "vsock",
        "--vsock 3: the kernel of app was made without virtio sockets",
    ),
    "a trace": (
        {"trace": TraceOption("network")},
        "trace",
        "--trace: the kernel of app was made without the calls that strace makes",
    ),
    "a user": (
        {"guest": Guest(user="www:www")},
        "users",
        "--user www:www: the kernel of app was made without users",
    ),
    "a step's user": (
        {"guest": Guest(steps=(InitStep(("/bin/x",), user="www"),))},
        "users",
        "a step as user www: the kernel of app was made without users",
    ),
    "a q35": (
        {"machine_type": "q35"},
        "pci",
        "--machine q35: the kernel of app was made without PCI and ACPI",
    ),
    "Cloud Hypervisor": (
        {"vmm": "cloud-hypervisor"},
        "pci",
        "--vmm cloud-hypervisor: the kernel of app was made without PCI and ACPI",
    ),
}


@pytest.mark.parametrize("what", ASKED)
def test_what_was_asked_for_and_is_not_there_is_one_line(what: str) -> None:
    changes, feature, line = ASKED[what]
    options = RunOptions("app", **changes)
    required = ("inet6", "net") if feature == "inet6" else (feature,)
    words, names = " --require ".join(required), ", ".join(f'"{name}"' for name in required)
    for offers in ({"net"} - {feature}, EVERYTHING - {feature}):
        with pytest.raises(MachineError) as caught:
            fit_options(options, ImageMetadata(offers=frozenset(offers)))
        assert caught.value.message == line and caught.value.status == 125
        assert caught.value.hint == (
            "link it with the general kernel, which has every call: UKCC_KERNEL=general"
            if feature == "trace"
            else f"`ukcc specialise --require {words} app` makes one with it; or link it again,"
            f" with kernel.require = [{names}] in uk.toml"
        )
    assert fit_options(options, ImageMetadata(offers=frozenset({feature, "net"}))) == options
    assert fit_options(options, GENERAL) == options


def test_the_mend_has_all_that_the_run_asks_for() -> None:
    """Or the next kernel would lack what this one has."""
    options = RunOptions(
        "app", hardware=Hardware(cpus=2), disks=(Disk("/d.img", "/d"),), shares=SHARES
    )
    with pytest.raises(MachineError) as caught:
        fit_options(options, ImageMetadata(offers=frozenset({"smp", "9p"})))
    assert caught.value.message == "--disk /d.img: the kernel of app was made without disks"
    assert caught.value.hint == (
        "`ukcc specialise --require disk --require smp --require 9p app` makes one with it; or link"
        ' it again, with kernel.require = ["disk", "smp", "9p"] in uk.toml'
    )


def test_every_row_of_the_table_is_tried() -> None:
    tried = {feature for _, feature, _ in ASKED.values()}
    assert tried == EVERYTHING


def test_shares_go_the_way_that_there_is() -> None:
    options = RunOptions("app", shares=SHARES)
    assert options.share_by == AUTO
    with pytest.raises(MachineError) as caught:
        fit_options(options, NOTHING)
    assert caught.value.message == "-v /h: the kernel of app was made without shared directories"
    assert caught.value.hint and "--require virtiofs app" in caught.value.hint
    for offered, wanted, way in (
        ({"9p"}, AUTO, NINE_P),
        ({"virtiofs"}, VIRTIOFS, VIRTIOFS),
        ({"9p", "virtiofs"}, AUTO, AUTO),
    ):
        facts = ImageMetadata(offers=frozenset(offered))
        found = fit_options(options, facts)
        assert found.share_by == wanted
        # no such image: what it offers is enough
        assert share_way(found, "/nowhere", facts) == way


@pytest.mark.parametrize("nets", [(), ("none",)])
def test_a_network_that_nobody_has_asked_for_is_not_there(nets: tuple[str, ...]) -> None:
    options = RunOptions("app", nets=parse_networks(nets, []))
    assert fit_options(options, NOTHING).nets == (NetOption("none"),)
    assert fit_options(options, GENERAL) == options
    assert fit_options(RunOptions("app"), NOTHING).nets == (NetOption("none"),)
    assert fit_options(RunOptions("app"), ImageMetadata(offers=frozenset({"net"}))).nets == (
        NetOption("user"),
    )


def test_root_is_a_user_of_every_kernel() -> None:
    for user in ("root", "0"):
        options = RunOptions("app", guest=Guest(user=user), nets=(NetOption("none"),))
        assert fit_options(options, NOTHING) == options


def test_a_snapshot_is_of_a_q35() -> None:
    options = RunOptions("app")
    with pytest.raises(MachineError) as caught:
        check_snapshot(options, ImageMetadata(offers=EVERYTHING - {"pci"}))
    assert caught.value.message == ("a snapshot: the kernel of app was made without PCI and ACPI")
    check_snapshot(options, ImageMetadata(offers=frozenset({"pci"})))
    check_snapshot(options, GENERAL)


def planned(offers: "set[str] | None", **changes: Any) -> Machine:
    facts = ImageMetadata(offers=None if offers is None else frozenset(offers))
    options = fit_options(RunOptions("app", **changes), facts)
    return plan_machine(options, facts, "tcg")


def values(argv: list[str], option: str) -> list[str]:
    return [argv[i + 1] for i, word in enumerate(argv) if word == option]


def test_the_machine_has_what_the_kernel_can_drive() -> None:
    least = planned(set())
    assert (least.kind, least.acpi, least.rng, least.balloon) == ("microvm", False, False, False)
    assert least.attached.networks == ()
    most = planned(None)
    assert (most.kind, most.acpi, most.rng, most.balloon) == ("q35", True, True, True)
    assert planned({*EVERYTHING, "rng", "balloon"}) == most
    assert planned({"pci"}, machine_type="microvm").kind == "microvm"
    assert planned({"rng"}).rng and planned({"balloon"}).balloon


def test_argv_of_a_microvm_without_acpi() -> None:
    places = Endpoints("/i", "/r", stdin_fd=9, stdout="/o", stderr="/e", reports="/x")
    machine = replace(planned(set()), ports=GuestPorts(stdin_port=True, output_ports=True))
    argv = qemu_argv(machine, places)
    assert values(argv, "-machine") == ["microvm,acpi=off,rtc=on,isa-serial=on"]
    assert values(argv, "-append")[0].split()[-1] == "reboot=t"
    kinds = [device.partition(",")[0] for device in values(argv, "-device")]
    assert kinds == ["isa-serial", "virtio-serial-device", *["virtserialport"] * 4]
    # it is not told of them by us
    assert "virtio_mmio" not in values(argv, "-append")[0]
    with_acpi = qemu_argv(planned({"pci"}, machine_type="microvm"), places)
    assert values(with_acpi, "-machine") == ["microvm,rtc=on,isa-serial=on"]
    assert "pvpanic" in values(with_acpi, "-device")
    assert "reboot=t" not in values(with_acpi, "-append")[0]


def test_a_microvm_without_acpi_has_eight_places() -> None:
    offers = EVERYTHING - {"pci"}
    shares = tuple(Share(f"/h{i}", f"/g{i}") for i in range(8))
    assert len(planned({*offers, "rng"}, shares=shares[:5]).attached.shares) == 5
    for more, count in ((["rng"], 6), (["rng", "balloon"], 5)):
        with pytest.raises(MachineError) as caught:
            planned({*offers, *more}, shares=shares[:count])
        assert "9 virtio devices, and a microvm has 8 places" in caught.value.message
        assert caught.value.hint
    many = parse_networks([f"tap=t{i}" for i in range(8)], [])
    disks = tuple(Disk(f"/d{i}") for i in range(14))
    with pytest.raises(MachineError, match=r"a microvm has 24 places$"):
        planned(None, machine_type="microvm", nets=many, disks=disks)
    # a q35 has a bus
    assert len(planned(None, nets=many, disks=disks).attached.networks) == 8
    assert len(planned(offers, shares=(), nets=many, vmm="firecracker").attached.networks) == 8


def test_other_vmms_get_no_devices_that_the_kernel_cannot_drive() -> None:
    machine = planned(set(), vmm="firecracker")
    settings = Path("/s.cpio")
    text = json.dumps(firecracker_configuration(machine, settings))
    assert "balloon" not in text and "entropy" not in text and "reboot=k" in text
    assert "reboot=t" not in text
    assert "--balloon" in cloud_hypervisor_argv(planned(None), settings)
    assert "--balloon" not in cloud_hypervisor_argv(planned({"pci"}), settings)


@pytest.mark.parametrize("streams", [False, True])
@pytest.mark.parametrize("trace", [False, True])
@pytest.mark.parametrize("attended", [False, True])
def test_ports_are_numbered_as_init_is_told(*, streams: bool, trace: bool, attended: bool) -> None:
    """Without sysfs it knows them by their order."""
    machine = Machine("app", 128, "tcg", ports=GuestPorts(streams, streams, trace))
    places = Endpoints("/i", "/r", stdin_fd=9, stdout="/o", stderr="/e", trace="/t")
    if attended:
        places = replace(places, reports="/x", requests_fd=5)
    devices = values(qemu_argv(machine, places), "-device")
    made = [m[1] for word in devices if (m := re.fullmatch(r"virtserialport,.*name=(.+)", word))]
    assert made == port_names(machine, attended=attended)


def test_the_firmware_is_chosen_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(firmware, "quickest", lambda: "qboot.rom")
    machine = planned(None)
    assert firmware.for_machine(machine) == "qboot.rom"
    assert firmware.for_machine(replace(machine, vmgenid=True)) == firmware.DEFAULT
    assert firmware.for_machine(planned(set())) == "qboot.rom"
    assert "vmgenid,guid=auto" in values(
        qemu_argv(replace(machine, vmgenid=True), Endpoints("/i", "/r")), "-device"
    )


@pytest.mark.parametrize("features", [set(), {"pci"}])
def test_a_microvm_is_told_its_firmware_and_what_that_needs(
    monkeypatch: pytest.MonkeyPatch, features: set[str]
) -> None:
    """Debian 13's bios-microvm.bin is SeaBIOS, which starts a kernel by an option ROM only."""
    machine = planned(features, machine_type="microvm")
    cases = (("qboot.rom", "qboot.rom", False), ("", "bios-microvm.bin", True))
    for found, named, has_roms in cases:
        monkeypatch.setattr(firmware, "quickest", lambda found=found: found)
        told = replace(machine, firmware=firmware.for_machine(machine))
        argv = qemu_argv(told, Endpoints("/i", "/r"))
        assert values(argv, "-bios") == [named]
        assert ("x-option-roms=off" in values(argv, "-machine")[0]) is not has_roms


def test_what_an_image_says_of_its_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(paths, "store", lambda: tmp_path)
    general = facts_of({"sysroot": "0" * 16, "kernel": {"release": "6.12"}})
    assert general.offers is None and general.made == "" and has(general, "smp")
    made = "0123456789abcdef"
    facts = facts_of(
        {"sysroot": "0" * 16, "kernel": {"release": "6.12", "offers": "disk net", "made": made}}
    )
    assert facts.offers == {"disk", "net"} and has(facts, "net") and not has(facts, "smp")
    assert facts_of({"kernel": {"offers": ""}}).offers == frozenset()
    assert facts.vmlinux is None and facts.kernel_config == ""
    place = tmp_path / "kernels" / "made" / made
    place.mkdir(parents=True)
    (place / "vmlinux").touch()
    (place / "config").write_text("CONFIG_UK=y\n")
    assert facts.vmlinux == place / "vmlinux" and facts.kernel_config == "CONFIG_UK=y\n"
    assert facts.origin == f"kernel {made}" and general.origin == f"sysroot {'0' * 16}"
    assert general.vmlinux is None


def test_a_network_is_planned_for_a_kernel_that_has_it() -> None:
    (network,) = planned({"net"}).attached.networks
    assert isinstance(network, Network) and network.kind == "user"
