"""`ukcc run` from its options to its exit status."""

import contextlib
import errno
import os
import signal
import socket
import stat
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError
from ukcc.failures.reports import Report
from ukcc.failures.show import FailurePrinter
from ukcc.image import cpio
from ukcc.image.facts import ImageMetadata, kernel_has_virtiofs
from ukcc.lifecycle import supervise
from ukcc.lifecycle.entry import MachineInfo
from ukcc.terminal import shown
from ukcc.vm.boot import guest, trace
from ukcc.vm.boot.contents import BootInputs, read_contents, read_image, user_ids
from ukcc.vm.boot.init_archive import Terminal, settings_files
from ukcc.vm.hypervisor import confine, firmware
from ukcc.vm.hypervisor.accel import choose
from ukcc.vm.hypervisor.disk_qemu import descriptors, with_names
from ukcc.vm.hypervisor.emulated_cpu import emulated_cpu
from ukcc.vm.hypervisor.qemu import qemu_argv
from ukcc.vm.hypervisor.tsc import host_tsc_khz
from ukcc.vm.hypervisor.vmm import check_vsock
from ukcc.vm.live import panics, process
from ukcc.vm.live.exit_record import parse_record
from ukcc.vm.live.process import Outcome, Running, in_thread
from ukcc.vm.live.wiring import Wiring
from ukcc.vm.machine import PLAIN_CPU, VIRTIOFS, GuestPorts, Machine
from ukcc.vm.net import backlog, host_ports, taps
from ukcc.vm.offers import has
from ukcc.vm.options import LOOPBACK, RunOptions
from ukcc.vm.plan import plan_machine
from ukcc.vm.storage import virtiofs
from ukcc.vm.storage.diskfile import ROOT, in_use, open_disks, why_not_mounted
from ukcc.vm.storage.disks import Disk
from ukcc.vm.storage.share_filter import filtered_argv
from ukcc.vm.storage.share_rules import qemu_rules
from ukcc.vm.storage.volumes import check_shares

TIMED_OUT = 124  # as timeout(1)
_NO_SUCH_MACHINE = "unsupported machine type"  # QEMU's words, before a line on how to list others
PANICKED = 123  # not 125: another try may mend the machine, but not a kernel's bug


def run(options: RunOptions) -> int:
    """Boots the image by QEMU. The exit status is the application's, or 123 to 125, or 128 + n."""
    image, facts, options = read_image(options)
    contents = read_contents(options, image, facts, trace.prepare(options.trace))
    terminal = Terminal() if options.detach else host_terminal()
    options = replace(options, share_by=share_way(options, image, facts))
    # the cheap mistakes are found before the probe, which takes its time
    plan_machine(options, contents.facts, "tcg")
    check_host(options)
    supervise.check(options.name)
    owner = user_ids(options, contents) if options.disks else ROOT
    with open_disks(options.disks, owner) as disks:
        ports = _ports(options, terminal)
        machine = plan_machine(
            options, contents.facts, choose(options.accel), ports=ports, disks=disks
        )
        return _boot(with_host(machine, image), options, contents, terminal)


def _boot(machine: Machine, options: RunOptions, contents: BootInputs, terminal: Terminal) -> int:
    """With what the machine gets of the host open."""
    image, facts = contents.image, contents.facts
    if options.hardware.gdb_port is not None:
        from ukcc.vm.debug import gdb_line  # loads what reads ELF

        say(gdb_line(options.image, image, options.hardware.gdb_port, facts))
    printer = FailurePrinter(
        image, machine.memory_mib, tuple((s.host, s.guest) for s in options.shares)
    )

    def start(hooks: supervise.Hooks) -> int:
        outcome = _run_qemu(machine, options, contents, terminal, printer, hooks)
        outcome = panics.judge(outcome, image)
        panics.show(outcome, printer)
        return exit_status(outcome, options, machine.attached.disks)

    return supervise.run(facts_to_list(options, machine), options.name is not None, start)


def _run_qemu(
    machine: Machine,
    options: RunOptions,
    contents: BootInputs,
    terminal: Terminal,
    on_report: Callable[[Report], None],
    hooks: supervise.Hooks,
) -> Outcome:
    """Starts QEMU, with taps and daemons beside it, and waits for its end."""
    with (
        taps.connect_taps(machine, options.image) as connected,
        trace.open_output(options.trace) as trace_to,
        virtiofs.serve_shares(options.shares, options.share_by) as serving,
        contextlib.ExitStack() as stack,
    ):
        attached = replace(connected.attached, shares=serving.shares)
        connected = replace(connected, attached=attached)
        confinement = stack.enter_context(confine.confine_qemu(connected, options.qemu_user))
        for note in serving.notes:
            say(note)
        wiring = Wiring(
            lambda endpoints: filtered_argv(qemu_rules(connected), qemu_argv(connected, endpoints)),
            settings_archive(
                connected,
                terminal,
                options,
                contents.facts.program,
                [*contents.additions, *guest.seed()],
                attended=True,
            ),
            connected.ports,
            interactive=terminal.interactive,
            trace_to=trace_to,
            on_report=on_report,
            virtiofs=serving.fds,
            passed_fds=(*taps.descriptors(connected), *descriptors(attached.disks)),
            started_fd=hooks.started_fd,
            confinement=confinement,
        )
        with process.start(wiring) as running:
            serving.watch(running.terminate)
            lengthen_queues(running, options)
            if hooks.on_running:
                hooks.on_running(running)
            outcome = process.wait(running, options.timeout)
    if serving.problem:
        raise MachineError(serving.problem, "--share-by 9p does without")
    return outcome


def _ports(options: RunOptions, terminal: Terminal) -> GuestPorts:
    """Those that our standard streams, and `--trace`, need."""
    return GuestPorts(
        stdin_port=not options.detach and not terminal.interactive and not stdin_is_empty(),
        output_ports=options.detach or not os.isatty(process.STDOUT),
        trace_port=options.trace is not None,
    )


def facts_to_list(options: RunOptions, machine: Machine) -> MachineInfo:
    """What `ukcc ps` shows of a run."""
    return MachineInfo(
        name=supervise.name_for(options.name, options.image),
        image=paths.absolute(options.image),
        arguments=tuple(os.fsdecode(word) for word in options.arguments),
        since=time.time(),
        ports=tuple(str(forward) for forward in options.forwards),
        accel=machine.accel,
        memory_mib=machine.memory_mib,
        cpus=machine.hardware.cpus,
        detached=options.detach,
    )


def with_host(machine: Machine, image: str) -> Machine:
    """With the whole image, this QEMU's firmware and CPU, and the host's counter.

    KVM tells its guests how fast that goes.
    """
    is_emulated = machine.accel == "tcg"
    return replace(
        machine,
        image=image,
        emulated_cpu=emulated_cpu() if is_emulated else PLAIN_CPU,
        tsc_khz=host_tsc_khz() if is_emulated else None,
        firmware=firmware.for_machine(machine),
    )


def lengthen_queues(running: Running, options: RunOptions) -> None:
    """Longer ones for the TCP ports that QEMU forwards, in a thread of their own."""
    endpoints = [(f.address, f.host_port) for f in options.forwards if f.protocol == "tcp"]
    if endpoints:
        in_thread(lambda running: backlog.lengthen(running.pid, endpoints), running)


def share_way(options: RunOptions, image: str, facts: ImageMetadata) -> str:
    """How the whole image's kernel can have the shares."""
    if not options.shares:
        return options.share_by
    has_it = kernel_has_virtiofs(image) if facts.offers is None else has(facts, VIRTIOFS)
    way = virtiofs.way_for(options.share_by, has_it)
    if way != options.share_by:
        for note in virtiofs.note_losses(options.shares, "the image's kernel has no virtio-fs"):
            say(note)
    return way


def settings_archive(
    machine: Machine,
    terminal: Terminal,
    options: RunOptions,
    program: str = "",
    more: Iterable[cpio.Entry] = (),
    *,
    attended: bool = False,
) -> bytes:
    """The second archive, in bytes. program: its path in the image, where that is known.

    attended: the machine runs now, and its init may ask us.
    """
    files = settings_files(
        machine,
        terminal,
        options.arguments,
        options.environment,
        guest.settings_lines(options.guest),
        attended=attended,
        argv0=argv0_of(options),
    )
    entries = [cpio.regular(path, data) for path, data in files.items()]
    entries += name_entries(Path(options.image).name, program)
    entries += more
    known = guest.directories(machine.image) if options.guest.files else {}
    return cpio.archive(cpio.with_parents(entries, known))


def argv0_of(options: RunOptions) -> bytes:
    """The application's argv[0]; empty for its path in the machine.

    As on Linux, who names a file by a path is told a path: the one that leads there in the machine,
    where ours would lead nowhere. A bare name stays one, and PATH leads to it.
    """
    if options.guest.argv0:
        return os.fsencode(options.guest.argv0)
    return b"" if "/" in options.image else os.fsencode(options.image)


def name_entries(name: str, program: str) -> list[cpio.Entry]:
    """What makes the program's name in the machine that of the file that is run.

    An image may have been copied since it was linked, and argv[0] follows the file on Linux.
    """
    place, _, linked = program.rpartition("/")
    if not linked or name == linked:
        return []
    path = f"{place}/{name}"
    link = cpio.Entry(path.lstrip("/"), stat.S_IFLNK | 0o777, os.fsencode(linked))
    return [link, cpio.regular(".uk/program", os.fsencode(path) + b"\0")]


def host_terminal() -> Terminal:
    """A person is there when both ends of our console are terminals."""
    if not (os.isatty(process.STDIN) and os.isatty(process.STDOUT)):
        return Terminal()
    size = os.get_terminal_size(process.STDOUT)
    return Terminal(True, (size.lines, size.columns), os.environ.get("TERM", ""))


def check_host(options: RunOptions) -> None:
    """Finds before the start what QEMU would find in the middle of it."""
    check_shares(options.shares)
    virtiofs.plan_shares(options.shares, options.share_by)
    check_vsock(options.hardware.vsock_cid)
    for forward in options.forwards:
        kind = socket.SOCK_DGRAM if forward.protocol == "udp" else socket.SOCK_STREAM
        check_port(forward.address, forward.host_port, kind, f"-p {forward}")
    if options.hardware.gdb_port is not None:
        check_port(
            LOOPBACK,
            options.hardware.gdb_port,
            socket.SOCK_STREAM,
            f"--gdb {options.hardware.gdb_port}",
        )


def check_port(address: str, port: int, kind: int, option: str) -> None:
    """Raises MachineError when QEMU could not bind to this port of the host."""
    with socket.socket(socket.AF_INET, kind) as trial:
        # as QEMU does it, or a connection in TIME_WAIT would look like a server
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((address, port))
            if kind == socket.SOCK_STREAM:
                trial.listen(1)
        except OSError as error:
            who = host_ports.port_owner(port, kind) if error.errno == errno.EADDRINUSE else ""
            raise MachineError(
                f"{option}: port {port} of {address}: {error.strerror}"
                + (f" by {who}" if who else ""),
                "choose another port of the host",
            ) from None


def exit_status(outcome: Outcome, options: RunOptions, disks: Sequence[Disk] = ()) -> int:
    """What the outcome means; raises MachineError when the application's status is not known.

    disks: as the machine had them.
    """
    record = parse_record(outcome.record)
    for note in record.notes:
        say(note + why_not_mounted(note, disks))
    if outcome.unwritten:
        raise MachineError(f"{options.image}: its output cannot be written: {outcome.unwritten}")
    if outcome.stopped_by:
        return 128 + outcome.stopped_by
    if outcome.timed_out:
        raise MachineError(
            f"{options.image}: still running after {options.timeout:g} s",
            "--timeout gives it longer",
            TIMED_OUT,
        )
    if record.status is not None:
        if options.trace and not outcome.traced and not record.notes:
            # init says why it traces nothing; one that knows nothing of it says nothing
            say("nothing was traced: the image's init is older than --trace; link the image again")
        return record.status
    if outcome.failed:
        raise MachineError(f"{options.image}: {_failure(outcome.stderr)}", "use --accel tcg")
    if outcome.panicked:
        why = panics.reason(outcome.console)
        raise MachineError(f"{options.image}: the kernel panicked{why}", status=PANICKED)
    raise MachineError(f"{options.image}: {_what_happened(outcome, disks)}")


def _failure(stderr: str) -> str:
    """One line on an accelerator that could not go on, of the many that QEMU writes."""
    lines = stderr.splitlines()
    found = next((line for line in lines if line.startswith("KVM")), "KVM reported an error")
    return f"the machine was stopped: {found.rstrip('.')}"


def _what_happened(outcome: Outcome, disks: Sequence[Disk]) -> str:
    """One line on a machine that ended without telling the application's status."""
    stderr = with_names(outcome.stderr, disks)
    said = stderr.strip().splitlines()
    if outcome.returncode > 0 and (file := in_use(stderr)):
        return f"--disk {file}: another machine has it; end that one first, or copy the file"
    if outcome.returncode > 0 and _NO_SUCH_MACHINE in stderr:
        return (
            "this QEMU was built without the machine; --machine chooses q35 or microvm, and"
            " `ukcc run --dry-run` shows which it is"
        )
    if outcome.returncode > 0 and said:
        return f"QEMU failed: {said[-1]}"
    if outcome.returncode < 0:
        return f"QEMU was killed by {signal.Signals(-outcome.returncode).name}"
    if outcome.reset:
        why = "it was reset, by a triple fault or reboot(2)"
        return f"the machine ended without saying how the application did: {why}"
    return "the machine ended without saying how the application did"


def stdin_is_empty() -> bool:
    """Whether standard input is closed or /dev/null: then no port is worth its while."""
    try:
        status = os.fstat(process.STDIN)
    except OSError:
        return True
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == Path(os.devnull).stat().st_rdev


def say(line: str) -> None:
    print(f"ukcc run: {shown(line)}", file=sys.stderr, flush=True)
