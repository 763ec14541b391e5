"""`ukcc run --vmm firecracker|cloud-hypervisor`, from its options to its exit status."""

import contextlib
import os
import signal
from collections.abc import Iterable
from dataclasses import replace

from ukcc.errors import MachineError
from ukcc.failures.show import FailurePrinter
from ukcc.lifecycle import supervise
from ukcc.vm.boot import guest
from ukcc.vm.boot.contents import BootInputs, read_contents, read_image, user_ids
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor.accel import cannot_open
from ukcc.vm.hypervisor.vmm import FIRECRACKER, check_vmm
from ukcc.vm.launch import (
    exit_status,
    facts_to_list,
    host_terminal,
    say,
    settings_archive,
    stdin_is_empty,
)
from ukcc.vm.live import panics
from ukcc.vm.live.exit_record import parse_record
from ukcc.vm.live.process import Outcome
from ukcc.vm.machine import Machine
from ukcc.vm.net import taps
from ukcc.vm.offers import has
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import plan_machine
from ukcc.vm.storage.diskfile import ROOT, open_disks
from ukcc.vmm import agent, files
from ukcc.vmm.api import Api, Refused
from ukcc.vmm.confine import places_of, user_for
from ukcc.vmm.description import VSOCK
from ukcc.vmm.directory import make_own_directory
from ukcc.vmm.disk_lock import lock_disks
from ukcc.vmm.known import vmm_of
from ukcc.vmm.process import VmmWiring, execute, find
from ukcc.vmm.vmm import ApiRequest, Vmm

_READY = b"r"  # to who has started it in the background


def run(options: RunOptions) -> int:
    """Boots the image; the exit status is as `ukcc.vm.launch.run` has it."""
    vmm = vmm_of(options.vmm)
    check_vmm(options.vmm, options)
    find(vmm)
    image, facts, options = read_image(options)
    terminal = Terminal() if options.detach else host_terminal()
    if terminal.interactive:
        _check_terminal(options)
        options = replace(options, guest=agent.for_terminal(options.guest))
    elif not options.detach and not stdin_is_empty():
        say(f"--vmm {vmm.name} has no port for standard input: the application's is empty")
    contents = read_contents(options, image, facts)
    plan_machine(options, contents.facts, "kvm")
    supervise.check(options.name)
    owner = user_ids(options, contents) if options.disks else ROOT
    with open_disks(options.disks, owner) as disks:
        if options.vmm == FIRECRACKER:
            lock_disks(disks)
        machine = plan_machine(options, contents.facts, "kvm", disks=disks)
        return _boot(vmm, replace(machine, image=contents.image), options, contents, terminal)


def _check_terminal(options: RunOptions) -> None:
    if options.guest.user:
        raise MachineError(
            f"--vmm {options.vmm}: at a terminal there is no --user {options.guest.user}",
            "run it without one (</dev/null), or by --vmm qemu",
        )


def _boot(
    vmm: Vmm, machine: Machine, options: RunOptions, contents: BootInputs, terminal: Terminal
) -> int:
    """With what the machine gets of the host open."""

    def start(hooks: supervise.Hooks) -> int:
        connected = with_taps(machine, options.image)
        archive = settings_archive(
            connected,
            terminal,
            options,
            contents.facts.program,
            [*contents.additions, *guest.seed(), *agent.entries()],
        )
        listens = has(contents.facts, "vsock")
        outcome = _execute(vmm, options, connected, archive, terminal, listens, hooks)
        return status_of(vmm, outcome, options, connected)

    return supervise.run(
        facts_to_list(options, machine), options.name is not None, start, supervise.hears_a_byte
    )


def _execute(
    vmm: Vmm,
    options: RunOptions,
    machine: Machine,
    archive: bytes,
    terminal: Terminal,
    listens: bool,
    hooks: supervise.Hooks,
) -> Outcome:
    user = user_for(vmm.program, options.qemu_user, machine, places_of(machine))
    if user.note:
        say(user.note)
    with contextlib.ExitStack() as stack:
        directory = stack.enter_context(make_own_directory(user))
        what, fds = files.describe(stack, machine, archive, user, listens=listens)
        if machine.hardware.vsock_cid is not None:
            say(f"virtio sockets: {directory / VSOCK}")
        wiring = VmmWiring(
            vmm,
            directory,
            user,
            fds,
            terminal=terminal.interactive,
            agent=listens,
            timeout=options.timeout,
        )

        def begin(api: Api) -> None:
            send(api, vmm, vmm.boot(what))
            tell_ready(hooks)

        return execute(wiring, begin, hooks.on_running)


def with_taps(machine: Machine, image: str) -> Machine:
    """With Ethernet addresses and MTU; its taps were open, so the VMM can have them, too."""
    with taps.connect_taps(machine, image) as connected:
        attached = connected.attached
        closed = tuple(replace(one, fd=None, vhost=False) for one in attached.networks)
        return replace(connected, attached=replace(attached, networks=closed))


def send(api: Api, vmm: Vmm, requests: Iterable[ApiRequest]) -> None:
    """One after the other. Raises MachineError, but for what the machine can do without."""
    for request in requests:
        try:
            api.send(request)
        except Refused as error:
            if request.without:
                say(f"{error.message}; {request.without}")
                continue
            reason = cannot_open()
            hint = f"{reason}: {vmm.name} needs KVM; --vmm qemu does without" if reason else ""
            raise MachineError(error.message, hint) from None


def tell_ready(hooks: supervise.Hooks) -> None:
    """Who started it in the background hears that it runs."""
    if hooks.started_fd is not None:
        with contextlib.suppress(OSError):
            os.write(hooks.started_fd, _READY)
        os.close(hooks.started_fd)


def status_of(vmm: Vmm, outcome: Outcome, options: RunOptions, machine: Machine) -> int:
    """What the outcome means; raises MachineError when the application's status is not known."""
    outcome = panics.judge(outcome, machine.image)
    panics.show(outcome, FailurePrinter(machine.image, machine.memory_mib))
    told = parse_record(outcome.record).status is not None
    ours = outcome.timed_out or outcome.stopped_by or outcome.unwritten or outcome.panicked
    if told or ours:
        return exit_status(outcome, options, machine.attached.disks)
    # its notes are said, and what is wrong then, by the VMM's name
    with contextlib.suppress(MachineError):
        exit_status(outcome, options, machine.attached.disks)
    raise MachineError(f"{options.image}: {_what_happened(vmm, outcome)}")


def _what_happened(vmm: Vmm, outcome: Outcome) -> str:
    said = outcome.stderr.strip().splitlines()
    if outcome.reset:
        why = "it was reset, by a triple fault or reboot(2)"
        return f"the machine ended without saying how the application did: {why}"
    if outcome.returncode < 0:
        return f"{vmm.program} was killed by {signal.Signals(-outcome.returncode).name}"
    if outcome.returncode > 0:
        why = said[-1] if said else f"it ended with status {outcome.returncode}"
        return f"{vmm.program} failed: {why}"
    return "the machine ended without saying how the application did"
