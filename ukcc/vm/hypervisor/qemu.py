"""A machine as the words of QEMU's command line. Written for QEMU 7.2 and later."""

from dataclasses import dataclass

from ukcc.vm.hypervisor.board import Board, board_of
from ukcc.vm.hypervisor.disk_qemu import disk_words
from ukcc.vm.hypervisor.net_qemu import network_words
from ukcc.vm.live.events import ACTIONS
from ukcc.vm.machine import VIRTIOFS, Machine, share_tag

PROGRAM = "qemu-system-x86_64"

# The ports' names are what sysroot/init/ looks for (launch.c, relay.c, trace.c, report.c and
# requests.c).
STDIN_PORT = "ukcc.stdin"
STDOUT_PORT = "ukcc.stdout"
STDERR_PORT = "ukcc.stderr"
TRACE_PORT = "ukcc.trace"
REPORTS_PORT = "ukcc.reports"
REQUESTS_PORT = "ukcc.requests"


# By which the kernel tells of a panic: the ISA device, as microvm has no PCI. ACPI names its port.
PANIC_DEVICE = "pvpanic"


@dataclass(frozen=True)
class Endpoints:
    """Where the machine's channels end on the host.

    initrd: path of the settings archive; record: path that gets the exit record;
    stdin_fd: QEMU's end of the socket that brings standard input, if the machine has a port for it;
    stdout, stderr: paths that get the application's output, if it has ports for that;
    trace: path that gets strace's output, if there is a port for it;
    reports: path that gets the guest's reports of failures; requests_fd: QEMU's end of the socket
    by which we ask for one; monitor_fd: of the one on which QEMU itself is asked (QMP);
    events_fd: of the one on which it tells of a panic and of the machine's end;
    console_fd: QEMU's end of the console's socket; None for QEMU's stdio; started_fd: of a second
    monitor, where it is asked whether the machine runs; virtiofs: where each
    daemon is, in words of a socket chardev.
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
    events_fd: "int | None" = None
    console_fd: "int | None" = None
    started_fd: "int | None" = None
    virtiofs: tuple[str, ...] = ()


def qemu_argv(machine: Machine, endpoints: Endpoints) -> list[str]:
    """The whole command line, program first."""
    board = board_of(machine)
    return [
        *(PROGRAM, *board.more),
        *_base(machine, board),
        *("-kernel", machine.image, "-initrd", endpoints.initrd),
        *("-append", " ".join([*machine.kernel_arguments, *_reset_words(machine)])),
        *("-chardev", _console(endpoints)),
        *("-serial", "chardev:console"),
        *("-chardev", f"file,id=record,path={_quote(endpoints.record)}"),
        *board.record,
        *(board.device("virtio-rng") if machine.rng else ()),
        *(("-device", PANIC_DEVICE) if machine.acpi else ()),
        *_ports(machine, endpoints, board),
        *_monitor(endpoints),
        *network_words(machine.attached.networks, board),
        *_shares(machine, endpoints, board),
        *disk_words(machine.attached.disks, board),
        *_vsock(machine, board),
        *_balloon(machine, board),
        *(("-device", "vmgenid,guid=auto") if machine.vmgenid else ()),
        *_gdb(machine),
    ]


def _reset_words(machine: Machine) -> tuple[str, ...]:
    """How a kernel ends a machine where ACPI does not say it: a triple fault, as microvm has no
    keyboard controller, at which one would wait for ever.
    """
    return () if machine.acpi else ("reboot=t",)


def _console(endpoints: Endpoints) -> str:
    if endpoints.console_fd is not None:
        return f"socket,id=console,fd={endpoints.console_fd}"
    # signal=off: Ctrl-C is a byte for the guest, not a signal for QEMU
    return "stdio,id=console,signal=off"


def accel_words(accel: str, emulated_cpu: str) -> list[str]:
    """The accelerator and the CPU that goes with it."""
    return ["-accel", accel, "-cpu", "host" if accel == "kvm" else emulated_cpu]


def _base(machine: Machine, board: Board) -> list[str]:
    """A machine without anything that was not asked for.

    -display none, not -nographic: the latter makes the firmware write to the serial port.
    """
    return [
        *("-machine", board.machine),
        *(("-bios", machine.firmware) if machine.firmware else ()),
        *accel_words(machine.accel, machine.emulated_cpu),
        *("-m", f"{machine.memory_mib}M", "-smp", str(machine.hardware.cpus)),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
    ]


def port_names(machine: Machine, *, attended: bool) -> list[str]:
    """The names of the machine's ports, whose numbers are 1 and up in this order.

    attended: somebody hears the reports.
    """
    found = (
        (machine.ports.stdin_port, STDIN_PORT),
        (machine.ports.output_ports, STDOUT_PORT),
        (machine.ports.output_ports, STDERR_PORT),
        (machine.ports.trace_port, TRACE_PORT),
        (attended, REPORTS_PORT),
        (attended, REQUESTS_PORT),
    )
    return [name for is_there, name in found if is_there]


def _ports(machine: Machine, endpoints: Endpoints, board: Board) -> list[str]:
    """The application's standard streams, as far as they are not the console; trace; reports."""
    chardevs = []
    if machine.ports.stdin_port and endpoints.stdin_fd is not None:
        chardevs.append((STDIN_PORT, "stdin", f"socket,id=stdin,fd={endpoints.stdin_fd}"))
    if machine.ports.output_ports and endpoints.stdout and endpoints.stderr:
        out, err = _quote(endpoints.stdout), _quote(endpoints.stderr)
        chardevs.append((STDOUT_PORT, "stdout", f"file,id=stdout,path={out}"))
        chardevs.append((STDERR_PORT, "stderr", f"file,id=stderr,path={err}"))
    if machine.ports.trace_port and endpoints.trace:
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
    words = board.device("virtio-serial", f"max_ports={len(chardevs) + 1}")
    for name, identity, chardev in chardevs:
        words += ["-chardev", chardev]
        words += ["-device", f"virtserialport,chardev={identity},name={name}"]
    return words


def _monitor(endpoints: Endpoints) -> list[str]:
    words = []
    ends = (
        ("monitor", endpoints.monitor_fd),
        ("events", endpoints.events_fd),
        ("started", endpoints.started_fd),
    )
    for name, fd in ends:
        if fd is not None:
            words += ["-chardev", f"socket,id={name},fd={fd}"]
            words += ["-mon", f"chardev={name},mode=control"]
    # who hears of it looks at the machine, and ends it
    return words if endpoints.events_fd is None else [*words, "-action", ACTIONS]


def _shares(machine: Machine, endpoints: Endpoints, board: Board) -> list[str]:
    """9p. security_model=none works unprivileged: files belong to who runs QEMU.

    virtiofs: the daemon is at the other end of a socket, and reads and writes the guest's memory.
    """
    words = []
    sockets = iter(endpoints.virtiofs)
    for index, share in enumerate(machine.attached.shares):
        name = f"fs{index}"
        if share.by == VIRTIOFS:
            words += ["-chardev", f"socket,id={name},{next(sockets)}"]
            tag = f"tag={share_tag(index)}"
            words += board.device("vhost-user-fs", f"chardev={name}", tag, "queue-size=1024")
            continue
        readonly = ",readonly=on" if share.readonly else ""
        words += [
            "-fsdev",
            f"local,id={name},path={_quote(share.host)},security_model=none,"
            f"multidevs=remap{readonly}",
            *board.device("virtio-9p", f"fsdev={name}", f"mount_tag={share_tag(index)}"),
        ]
    if endpoints.virtiofs:
        memory = f"memory-backend-memfd,id=ram,share=on,size={machine.memory_mib}M"
        words += ["-object", memory, "-machine", "memory-backend=ram"]
    return words


def _vsock(machine: Machine, board: Board) -> list[str]:
    cid = machine.hardware.vsock_cid
    return [] if cid is None else board.device("vhost-vsock", f"guest-cid={cid}")


def _balloon(machine: Machine, board: Board) -> list[str]:
    return board.device("virtio-balloon", "free-page-reporting=on") if machine.balloon else []


def _gdb(machine: Machine) -> list[str]:
    if machine.hardware.gdb_port is None:
        return []
    return ["-gdb", f"tcp:127.0.0.1:{machine.hardware.gdb_port}", "-S"]


def _quote(value: str) -> str:
    """In QEMU's option lists a comma that belongs to a value is doubled."""
    return value.replace(",", ",,")
