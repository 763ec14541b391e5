"""A machine as the words of QEMU's command line. Written for QEMU 7.2 and later."""

import ipaddress
from dataclasses import dataclass

from ukcc.vm.machine import Machine, Network, share_tag
from ukcc.vm.microvm import for_microvm

PROGRAM = "qemu-system-x86_64"

# Without the controllers that nothing hangs on: their set-up was a third of the boot's wall time.
# Measured under TCG with a network: q35 is ahead of pc, and microvm hangs in timer calibration.
# No system management mode: in ring 0 an application's write to port 0xb2 would enter it, and a CPU
# that has no handler there is lost.
MACHINE = "q35,sata=off,smbus=off,usb=off,vmport=off,smm=off"

# The ports' names are what sysroot/init/ looks for (launch.c, relay.c, trace.c, report.c).
STDIN_PORT = "ukcc.stdin"
STDOUT_PORT = "ukcc.stdout"
STDERR_PORT = "ukcc.stderr"
TRACE_PORT = "ukcc.trace"
REPORTS_PORT = "ukcc.reports"
REQUESTS_PORT = "ukcc.requests"

PANIC_SECONDS = 5


@dataclass(frozen=True)
class Endpoints:
    """Where the machine's channels end on the host.

    initrd: path of the settings archive; record: path that gets the exit record;
    stdin_fd: QEMU's end of the socket that brings standard input, if the machine has a port for it;
    stdout, stderr: paths that get the application's output, if it has ports for that;
    trace: path that gets strace's output, if there is a port for it;
    reports: path that gets the guest's reports of failures; requests_fd: QEMU's end of the socket
    by which we ask for one; monitor_fd: of the one on which QEMU itself is asked (QMP);
    console_log: path that gets a copy of the console.
    """

    initrd: str
    record: str
    stdin_fd: "int | None" = None
    stdout: str = ""
    stderr: str = ""
    trace: str = ""
    reports: str = ""
    requests_fd: "int | None" = None
    monitor_fd: "int | None" = None
    console_log: str = ""


def qemu_argv(machine: Machine, endpoints: Endpoints) -> list[str]:
    """The whole command line, program first. The console is on QEMU's stdio."""
    words = _pc_argv(machine, endpoints)
    return for_microvm(words) if machine.kind == "microvm" else words


def _pc_argv(machine: Machine, endpoints: Endpoints) -> list[str]:
    return [
        PROGRAM,
        *_base(machine),
        *("-kernel", machine.image, "-initrd", endpoints.initrd),
        *("-append", " ".join([*machine.kernel_arguments, *_patience(endpoints)])),
        # signal=off: Ctrl-C is a byte for the guest, not a signal for QEMU
        *("-chardev", f"stdio,id=console,signal=off{_log(endpoints)}"),
        *("-serial", "chardev:console"),
        *("-chardev", f"file,id=record,path={_quote(endpoints.record)}"),
        *("-serial", "chardev:record"),
        *("-device", "virtio-rng-pci"),
        *_ports(machine, endpoints),
        *_monitor(endpoints),
        *_network(machine.network),
        *_shares(machine),
        *_vsock(machine),
        *_balloon(machine),
        *_gdb(machine),
    ]


def _patience(endpoints: Endpoints) -> list[str]:
    """A panic waits some seconds where somebody may ask the monitor what the CPUs were at."""
    return [] if endpoints.monitor_fd is None else [f"panic={PANIC_SECONDS}"]


def _log(endpoints: Endpoints) -> str:
    log = endpoints.console_log
    return f",logfile={_quote(log)},logappend=on" if log else ""


def accel_words(accel: str) -> list[str]:
    """The accelerator and the CPU that goes with it."""
    return ["-accel", accel, "-cpu", "host" if accel == "kvm" else "max"]


def _base(machine: Machine) -> list[str]:
    """A machine without anything that was not asked for.

    -display none, not -nographic: the latter makes the firmware write to the serial port.
    """
    return [
        *("-machine", MACHINE),
        *accel_words(machine.accel),
        *("-m", f"{machine.memory_mib}M", "-smp", str(machine.cpus)),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
    ]


def _ports(machine: Machine, endpoints: Endpoints) -> list[str]:
    """The application's standard streams, as far as they are not the console; trace; reports."""
    chardevs = []
    if machine.stdin_port and endpoints.stdin_fd is not None:
        chardevs.append((STDIN_PORT, "stdin", f"socket,id=stdin,fd={endpoints.stdin_fd}"))
    if machine.output_ports and endpoints.stdout and endpoints.stderr:
        out, err = _quote(endpoints.stdout), _quote(endpoints.stderr)
        chardevs.append((STDOUT_PORT, "stdout", f"file,id=stdout,path={out}"))
        chardevs.append((STDERR_PORT, "stderr", f"file,id=stderr,path={err}"))
    if machine.trace_port and endpoints.trace:
        chardevs.append((TRACE_PORT, "trace", f"file,id=trace,path={_quote(endpoints.trace)}"))
    if endpoints.reports:
        reports = f"file,id=reports,path={_quote(endpoints.reports)}"
        chardevs.append((REPORTS_PORT, "reports", reports))
    if endpoints.requests_fd is not None:
        requests = f"socket,id=requests,fd={endpoints.requests_fd}"
        chardevs.append((REQUESTS_PORT, "requests", requests))
    if not chardevs:
        return []
    # one more than there are ports: number 0 is kept for a console
    words = ["-device", f"virtio-serial-pci,max_ports={len(chardevs) + 1}"]
    for name, identity, chardev in chardevs:
        words += ["-chardev", chardev]
        words += ["-device", f"virtserialport,chardev={identity},name={name}"]
    return words


def _monitor(endpoints: Endpoints) -> list[str]:
    if endpoints.monitor_fd is None:
        return []
    chardev = f"socket,id=monitor,fd={endpoints.monitor_fd}"
    return ["-chardev", chardev, "-mon", "chardev=monitor,mode=control"]


def _network(network: "Network | None") -> list[str]:
    if network is None:
        return []
    if network.kind == "tap":
        netdev = f"tap,id=net0,ifname={network.interface},script=no,downscript=no"
    else:
        netdev = ",".join(["user", "id=net0", *_user_network(network)])
    # romfile=: the firmware shall not try to boot from the network
    return ["-netdev", netdev, "-device", "virtio-net-pci,netdev=net0,romfile="]


def _user_network(network: Network) -> list[str]:
    """User mode follows the address that the guest is given."""
    words = []
    guest = ""
    if not network.address.is_dhcp:
        interface = ipaddress.IPv4Interface(network.address.cidr)
        guest = str(interface.ip)
        words.append(f"net={interface.network}")
        if network.address.gateway:
            words.append(f"host={network.address.gateway}")
        nameserver = network.address.nameserver
        if nameserver and ipaddress.IPv4Address(nameserver) in interface.network:
            words.append(f"dns={nameserver}")
    for forward in network.forwards:
        host = f"{forward.protocol}:{forward.address}:{forward.host_port}"
        words.append(f"hostfwd={host}-{guest}:{forward.guest_port}")
    return words


def _shares(machine: Machine) -> list[str]:
    """9p. security_model=none works unprivileged: files belong to who runs QEMU."""
    words = []
    for index, share in enumerate(machine.shares):
        name = f"fs{index}"
        readonly = ",readonly=on" if share.readonly else ""
        words += [
            "-fsdev",
            f"local,id={name},path={_quote(share.host)},security_model=none,"
            f"multidevs=remap{readonly}",
            "-device",
            f"virtio-9p-pci,fsdev={name},mount_tag={share_tag(index)}",
        ]
    return words


def _vsock(machine: Machine) -> list[str]:
    cid = machine.vsock_cid
    return [] if cid is None else ["-device", f"vhost-vsock-pci,guest-cid={cid}"]


def _balloon(machine: Machine) -> list[str]:
    return ["-device", "virtio-balloon-pci,free-page-reporting=on"] if machine.balloon else []


def _gdb(machine: Machine) -> list[str]:
    if machine.gdb_port is None:
        return []
    return ["-gdb", f"tcp:127.0.0.1:{machine.gdb_port}", "-S"]


def _quote(value: str) -> str:
    """In QEMU's option lists a comma that belongs to a value is doubled."""
    return value.replace(",", ",,")
