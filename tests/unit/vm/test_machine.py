"""Options -> machine -> QEMU's argv, and what init is told."""

import platform
from pathlib import Path

import pytest
from support.machine_samples import make_machine as machine

from ukcc.errors import MachineError
from ukcc.image.facts import ImageMetadata
from ukcc.vm.boot.guest import Guest
from ukcc.vm.boot.init_archive import Terminal, encode_entries, settings_files, settings_lines
from ukcc.vm.hypervisor import firmware
from ukcc.vm.hypervisor.qemu import Endpoints, qemu_argv
from ukcc.vm.hypervisor.tsc import host_tsc_khz
from ukcc.vm.launch import argv0_of, name_entries
from ukcc.vm.machine import Address, Hardware, Network, Share
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import default_memory_mib, default_memory_reason, plan_machine

ENDPOINTS = Endpoints(initrd="/i", record="/r", stdin_fd=9)
STATIC = Address("10.0.2.15/24", "10.0.2.2", ("10.0.2.3",))
USER = Network("user", STATIC, mac="52:54:00:12:34:56")


def values(argv: list[str], option: str) -> list[str]:
    return [argv[i + 1] for i, word in enumerate(argv) if word == option]


def test_argv_of_the_smallest_machine() -> None:
    argv = qemu_argv(machine(), ENDPOINTS)
    assert argv[0] == "qemu-system-x86_64"
    assert values(argv, "-accel") == ["tcg"] and values(argv, "-cpu") == ["max"]
    assert values(argv, "-m") == ["128M"] and values(argv, "-smp") == ["1"]
    assert values(argv, "-kernel") == ["app"] and values(argv, "-initrd") == ["/i"]
    assert values(argv, "-serial") == ["chardev:console", "chardev:record"]
    assert values(argv, "-device") == ["virtio-rng-pci", "pvpanic"]
    assert not values(argv, "-netdev")
    assert {"-nodefaults", "-no-user-config", "-no-reboot"} <= set(argv)
    assert "-nographic" not in argv and "-S" not in argv


def test_argv_under_kvm() -> None:
    assert values(qemu_argv(machine(accel="kvm"), ENDPOINTS), "-cpu") == ["host"]


def test_argv_doubles_commas() -> None:
    shares = (Share("/a,b", "/data"), Share("/c", "/c", readonly=True))
    argv = qemu_argv(machine(shares=shares), Endpoints("/i", "/r,ecord"))
    assert "file,id=record,path=/r,,ecord" in values(argv, "-chardev")
    first, second = values(argv, "-fsdev")
    assert "path=/a,,b," in first and "readonly" not in first
    assert second.endswith(",readonly=on")
    assert "virtio-9p-pci,fsdev=fs1,mount_tag=share1" in values(argv, "-device")


def test_argv_of_a_port_for_standard_input() -> None:
    argv = qemu_argv(machine(stdin_port=True), ENDPOINTS)
    assert "socket,id=stdin,fd=9" in values(argv, "-chardev")
    assert "virtserialport,chardev=stdin,name=ukcc.stdin" in values(argv, "-device")


def test_argv_of_ports_for_output() -> None:
    endpoints = Endpoints("/i", "/r", stdout="/o", stderr="/e,e")
    argv = qemu_argv(machine(output_ports=True), endpoints)
    assert values(argv, "-chardev")[-2:] == ["file,id=stdout,path=/o", "file,id=stderr,path=/e,,e"]
    assert "virtserialport,chardev=stderr,name=ukcc.stderr" in values(argv, "-device")
    assert "output=port" in settings_lines(machine(output_ports=True), Terminal())


def test_argv_with_every_port() -> None:
    wanted = machine(stdin_port=True, output_ports=True, trace_port=True)
    places = Endpoints("/i", "/r", stdin_fd=9, stdout="/o", stderr="/e", trace="/t,")
    argv = qemu_argv(wanted, places)
    assert values(argv, "-chardev")[-1] == "file,id=trace,path=/t,,"
    ports = [word for word in values(argv, "-device") if word.startswith("virtserialport")]
    assert ports[-1] == "virtserialport,chardev=trace,name=ukcc.trace"
    # port 0 is not for us
    assert f"virtio-serial-pci,max_ports={len(ports) + 1}" in values(argv, "-device")


def test_argv_of_the_channels_for_failures() -> None:
    endpoints = Endpoints(
        "/i", "/r", reports="/x,y", requests_fd=5, monitor_fd=6, events_fd=8, started_fd=7
    )
    argv = qemu_argv(machine(), endpoints)
    chardevs = values(argv, "-chardev")
    assert {"file,id=reports,path=/x,,y", "socket,id=requests,fd=5"} <= set(chardevs)
    assert "stdio,id=console,signal=off" in chardevs
    assert "virtserialport,chardev=reports,name=ukcc.reports" in values(argv, "-device")
    assert "virtserialport,chardev=requests,name=ukcc.requests" in values(argv, "-device")
    monitors = [f"chardev={name},mode=control" for name in ("monitor", "events", "started")]
    assert values(argv, "-mon") == monitors and "socket,id=started,fd=7" in chardevs


def test_who_hears_of_a_panic_finds_the_machine_as_it_was() -> None:
    argv = qemu_argv(machine(), Endpoints("/i", "/r", events_fd=8))
    assert "pvpanic" in values(argv, "-device")
    assert values(argv, "-action") == ["panic=none,shutdown=pause"] and "-no-reboot" in argv
    # with nobody there, it ends by itself
    alone = qemu_argv(machine(), ENDPOINTS)
    assert "pvpanic" in values(alone, "-device") and "-action" not in alone
    assert values(argv, "-append")[0].split().count("panic=-1") == 1
    microvm = qemu_argv(machine(kind="microvm"), ENDPOINTS)
    assert "pvpanic" in values(microvm, "-device")


def test_argv_of_a_console_that_is_ours() -> None:
    argv = qemu_argv(machine(), Endpoints("/i", "/r", console_fd=8))
    assert values(argv, "-chardev")[0] == "socket,id=console,fd=8"


def test_argv_for_gdb_is_on_loopback() -> None:
    argv = qemu_argv(machine(gdb_port=1234), ENDPOINTS)
    assert values(argv, "-gdb") == ["tcp:127.0.0.1:1234"] and "-S" in argv


def test_a_busy_host_is_no_broken_timer() -> None:
    """Seen on a host at a load of 20: `IO-APIC + timer doesn't work!`, and no boot."""
    assert "no_timer_check" in machine().kernel_arguments


def test_the_kernel_is_told_how_fast_the_counter_goes() -> None:
    """Seen on a busy host: it found 85 MHz instead of 2100, and its clock ran 24 times too fast."""
    assert "tsc_early_khz=2099998" in machine(tsc_khz=2_099_998).kernel_arguments
    assert not [word for word in machine().kernel_arguments if word.startswith("tsc")]


def test_an_emulated_kernel_is_told_how_fast_its_timer_goes() -> None:
    """It would look for 100 ms: most of the instructions of a boot."""
    assert "lapic_khz=1000000" in machine(accel="tcg").kernel_arguments
    assert not [word for word in machine(accel="kvm").kernel_arguments if "lapic" in word]


def test_an_emulator_sees_the_pages_that_virtiofs_fills() -> None:
    """tests/boot/test_share_programs.py shows what happens where it does not."""
    by = {way: (Share("/host", "/data", by=way),) for way in ("9p", "virtiofs")}
    word = "init_on_alloc=1"
    assert word in machine(accel="tcg", shares=by["virtiofs"]).kernel_arguments
    assert word not in machine(accel="tcg", shares=by["9p"]).kernel_arguments
    assert word not in machine(accel="kvm", shares=by["virtiofs"]).kernel_arguments


@pytest.mark.parametrize(("files", "found"), [((), ""), (("bios.bin", "qboot.rom"), "qboot.rom")])
def test_the_firmware_that_does_least_is_taken_if_this_qemu_has_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, files: "tuple[str, ...]", found: str
) -> None:
    place = tmp_path / "share"
    place.mkdir()
    for name in files:
        (place / name).touch()
    looks = []

    def output(argv: "list[str]") -> str:
        looks.append(argv)
        return f"{tmp_path}/nowhere\n{place}\n"

    monkeypatch.setattr(firmware.findings, "file_for", lambda *words: tmp_path / "finding")
    monkeypatch.setattr(firmware.proc, "output", output)
    assert [firmware.quickest() for _ in range(2)] == [found] * 2
    assert len(looks) == 1
    argv = qemu_argv(machine(firmware=found), ENDPOINTS)
    assert values(argv, "-bios") == ([found] if found else [])


@pytest.mark.skipif(platform.machine() != "x86_64", reason="it reads the counter of an x86-64")
def test_the_counter_of_the_host() -> None:
    first, second = host_tsc_khz(), host_tsc_khz()
    assert first is not None and second is not None
    assert first > 100_000 and abs(first - second) < first / 500


def test_plan_defaults() -> None:
    planned = plan_machine(RunOptions("app"), ImageMetadata(memory_min_mib=20), "tcg")
    assert planned == machine(networks=(USER,), balloon=True)


def test_memory() -> None:
    assert default_memory_mib(ImageMetadata()) == 128
    assert default_memory_mib(ImageMetadata(memory_min_mib=100)) == 200
    facts = ImageMetadata(memory_min_mib=40)
    assert plan_machine(RunOptions("app", memory_mib=40), facts, "tcg").memory_mib == 40
    with pytest.raises(MachineError) as caught:
        plan_machine(RunOptions("app", memory_mib=39), facts, "tcg")
    assert "40 MiB" in caught.value.message and caught.value.status == 125
    # What the image says is a stranger's word.
    with pytest.raises(MachineError) as caught:
        plan_machine(RunOptions("app"), ImageMetadata(memory_min_mib=8_000_000), "tcg")
    assert "8000000 MiB" in caught.value.message and "-m" in caught.value.hint


@pytest.mark.parametrize(
    "options",
    [
        RunOptions("app", hardware=Hardware(cpus=0)),
        RunOptions("app", hardware=Hardware(cpus=65)),
        RunOptions("app", memory_mib=0),
    ],
)
def test_plan_refuses(options: RunOptions) -> None:
    with pytest.raises(MachineError):
        plan_machine(options, ImageMetadata(), "tcg")


def test_entries_may_be_empty_and_any_bytes() -> None:
    assert encode_entries([]) == b""
    assert encode_entries([b"", b"a b", b"\xff\n"]) == b"\0a b\0\xff\n\0"


def test_settings_of_a_pipe() -> None:
    shares = (Share("/h", "/data", readonly=True), Share("/h", "/a:b"))
    lines = settings_lines(
        machine(networks=(Network("user", STATIC),), shares=shares, stdin_port=True), Terminal()
    )
    assert lines == (
        "tty=raw",
        "stdin=port",
        "address=10.0.2.15/24",
        "gateway=10.0.2.2",
        "nameserver=10.0.2.3",
        "mount=share0:/data:ro",
        "mount=share1:/a:b:rw",
    )


def test_settings_of_a_terminal() -> None:
    lines = settings_lines(machine(), Terminal(True, (24, 80), "xterm"))
    assert lines == ("tty=cooked", "rows=24", "columns=80", "term=xterm")


def test_settings_files() -> None:
    files = settings_files(machine(), Terminal(), [b"", b"\xff"], [(b"A", b"b=c")])
    assert files[".uk/args"] == b"\0\xff\0"
    assert files[".uk/env"] == b"A=b=c\0"
    assert files[".uk/settings"] == b"tty=raw\nstdin=null\n"
    assert files[".uk/ports"] == b""


def test_what_init_may_ask() -> None:
    """Nothing of whoever pastes a command line: nobody is there to answer."""
    assert settings_files(machine(), Terminal(), [], [])[".uk/answers"] == b""
    files = settings_files(machine(), Terminal(), [], [], attended=True)
    assert files[".uk/answers"] == b"clock\0"
    files = settings_files(machine(), Terminal(True), [], [], attended=True)
    assert files[".uk/answers"] == b"clock\0stopped\0"


@pytest.mark.parametrize(
    ("image", "given", "told"),
    [
        ("app", "", b"app"),
        ("./app", "", b""),
        ("/usr/bin/app", "", b""),
        ("app", "-sh", b"-sh"),
        ("/usr/bin/app", "\udcff", b"\xff"),
    ],
)
def test_argv0(image: str, given: str, told: bytes) -> None:
    options = RunOptions(image, guest=Guest(argv0=given))
    assert argv0_of(options) == told
    files = settings_files(machine(), Terminal(), [], [], argv0=told)
    assert files.get(".uk/argv0", b"\0") == told + b"\0"


def test_the_program_has_the_name_of_its_file() -> None:
    assert name_entries("busybox", "/app/busybox") == []
    assert name_entries("busybox", "") == []
    link, program = name_entries("ash", "/app/busybox")
    assert (link.path, link.mode, link.data) == ("app/ash", 0o120777, b"busybox")
    assert (program.path, program.data) == (".uk/program", b"/app/ash\0")


@pytest.mark.parametrize(
    ("least", "default", "reason"),
    [
        (0, 128, "does not say"),
        (28, 128, "the default, more than twice the 28"),
        (100, 200, "twice the 100"),
    ],
)
def test_default_memory_has_a_reason(least: int, default: int, reason: str) -> None:
    facts = ImageMetadata(memory_min_mib=least)
    assert default_memory_mib(facts) == default
    assert reason in default_memory_reason(facts)
