"""`ukcc run --from SNAP`: continues a saved machine in a process of its own."""

import contextlib
import os
import socket
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError, UkccError
from ukcc.failures.reports import RESUMED, Report
from ukcc.lifecycle import supervise
from ukcc.snapshots.check import check
from ukcc.snapshots.manifest import MEMORY, STATE, Manifest, read_manifest
from ukcc.snapshots.pipes import StateFeed
from ukcc.snapshots.qemu_args import continued_argv, forward_rules
from ukcc.snapshots.restore_qmp import Restorer
from ukcc.vm.hypervisor import accel, confine, probe_guest
from ukcc.vm.launch import check_host, exit_status, facts_to_list, lengthen_queues
from ukcc.vm.live import panics, process
from ukcc.vm.live.process import in_thread
from ukcc.vm.live.wiring import Wiring
from ukcc.vm.machine import GuestPorts
from ukcc.vm.options import RunOptions

# QEMU wants a kernel where the saved machine had one, and never looks at it.
_NO_ARCHIVE = b"\0"


def resume(options: RunOptions) -> int:
    """The exit status, as of a run. options: those that can change (`changeable`)."""
    snapshot = options.resume_from
    manifest = read_manifest(snapshot)
    check(snapshot, manifest, options.image)
    accel.choose(manifest.machine.accel)
    # what else there is may come from a file beside the image, for machines that boot
    options = RunOptions(
        image=options.image or manifest.image_path,
        forwards=options.forwards,
        timeout=options.timeout,
        detach=options.detach,
        name=options.name,
        qemu_user=options.qemu_user,
    )
    if options.forwards and not forward_rules(manifest.machine, options.forwards):
        raise MachineError(
            f"-p {options.forwards[0]}: the machine of {snapshot} has no user mode network",
            "take the snapshot with --net user",
        )
    check_host(options)
    supervise.check(options.name)

    def start(hooks: supervise.Hooks) -> int:
        return _continue(snapshot, manifest, options, hooks)

    facts = facts_to_list(options, manifest.machine)
    return supervise.run(facts, options.name is not None, start)


def _continue(
    snapshot: str, manifest: Manifest, options: RunOptions, hooks: supervise.Hooks
) -> int:
    directory = Path(paths.absolute(snapshot))
    with contextlib.ExitStack() as stack:
        kernel = os.memfd_create("ukcc-kernel")
        stack.callback(os.close, kernel)
        os.write(kernel, probe_guest.image())
        state = StateFeed(stack, directory / STATE)
        ours, theirs = (stack.enter_context(end) for end in socket.socketpair())
        machine = replace(manifest.machine, image=f"/proc/self/fd/{kernel}")
        rules = forward_rules(machine, options.forwards)
        restorer = Restorer(ours, theirs, state.fd, manifest.qemu, rules)
        printer = _LatePrinter(options.image, manifest)
        confinement = stack.enter_context(
            confine.confine_qemu(machine, options.qemu_user, options.forwards)
        )
        wiring = Wiring(
            lambda endpoints: continued_argv(
                machine, endpoints, directory / MEMORY, theirs.fileno()
            ),
            _NO_ARCHIVE,
            GuestPorts(stdin_port=True, output_ports=True),
            on_report=printer,
            passed_fds=(kernel, state.fd, theirs.fileno()),
            started_fd=hooks.started_fd,
            confinement=confinement,
        )
        with process.start(wiring) as running:
            lengthen_queues(running, options)
            state.start()
            in_thread(restorer, running)
            if hooks.on_running:
                hooks.on_running(running)
            outcome = process.wait(running, options.timeout)
    if restorer.problem is not None:
        raise MachineError(f"{snapshot}: {restorer.problem.message}", restorer.problem.hint)
    outcome = panics.judge(outcome, options.image)
    panics.show(outcome, printer)
    return exit_status(outcome, options)


class _LatePrinter:
    """Made when there is something to show: what it loads would delay every first answer."""

    def __init__(self, image: str, manifest: Manifest) -> None:
        self._image, self._memory_mib = image, manifest.machine.memory_mib
        self._show: Callable[[Report], None] | None = None

    def __call__(self, report: Report) -> None:
        if report.kind == RESUMED:
            return
        if self._show is None:
            from ukcc.failures.show import FailurePrinter
            from ukcc.image.thin import completed

            with contextlib.suppress(UkccError):  # without it there are no names
                self._image = completed(self._image)
            self._show = FailurePrinter(self._image, self._memory_mib)
        self._show(report)
