"""`ukcc snapshot`: boots an image until it says the word, and keeps the machine."""

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ukcc import paths
from ukcc.errors import MachineError
from ukcc.failures.reports import Report
from ukcc.failures.show import FailurePrinter
from ukcc.snapshots.check import digest, host_cpu
from ukcc.snapshots.manifest import (
    FORMAT,
    MEMORY,
    STATE,
    Manifest,
    SnapshotPart,
    stamp,
    write_manifest,
)
from ukcc.snapshots.memory import bytes_held, checksum, make_sparse
from ukcc.snapshots.qemu_args import fingerprint, saved_argv
from ukcc.snapshots.save_qmp import QmpSaver
from ukcc.terminal import shown
from ukcc.vm.boot import guest
from ukcc.vm.boot.contents import read_contents, read_image
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor import confine
from ukcc.vm.hypervisor.accel import choose
from ukcc.vm.launch import TIMED_OUT, check_host, exit_status, settings_archive, with_host
from ukcc.vm.live import panics, process
from ukcc.vm.live.exit_record import parse_record
from ukcc.vm.live.process import Outcome, in_thread
from ukcc.vm.live.wiring import Wiring
from ukcc.vm.machine import GuestPorts, Machine
from ukcc.vm.offers import check_snapshot
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import plan_machine


def create(options: RunOptions, target: str, text: str) -> int:
    """The exit status: 0 when the snapshot is there, 128 + n when signal n ended us."""
    check_options(options, text)
    image, facts, options = read_image(options)
    check_snapshot(options, facts)
    contents = read_contents(options, image, facts)
    facts = contents.facts
    booted = SnapshotPart(digest(Path(options.image)), stamp(Path(options.image)))
    plan_machine(options, facts, "tcg")
    check_host(options)
    with make_directory(Path(target)) as directory, contextlib.ExitStack() as stack:
        machine = plan_machine(
            options,
            facts,
            choose(options.accel),
            ports=GuestPorts(stdin_port=True, output_ports=True),
        )
        # a balloon would punch its holes into the file of the memory, which is the snapshot
        machine = with_host(replace(machine, balloon=False, vmgenid=True), image)
        memory = directory / MEMORY
        memory.touch(0o600)
        saver = QmpSaver(text, directory / STATE)
        printer = FailurePrinter(image, machine.memory_mib)
        confinement = stack.enter_context(confine.confine_qemu(machine, options.qemu_user))

        def hear(report: Report) -> None:
            if not saver.take(report):
                printer(report)

        wiring = Wiring(
            lambda endpoints: saved_argv(machine, endpoints, memory),
            settings_archive(
                machine,
                Terminal(),
                options,
                facts.program,
                [*contents.additions, *guest.seed()],
                attended=True,
            ),
            machine.ports,
            feed_stdin=False,
            on_report=hear,
            confinement=confinement,
        )
        with process.start(wiring) as running:
            in_thread(saver, running)
            outcome = process.wait(running, options.timeout)
        if not saver.qemu:
            return explain_end(outcome, options, text, saver.problem)
        make_sparse(memory)
        write_manifest(directory, _manifest(options.image, booted, machine, directory, saver.qemu))
        move(directory, Path(target))
    held = bytes_held(Path(target) / MEMORY) / 1e6
    say(f"{target}: {held:.1f} MB of {machine.memory_mib} MiB of memory are in use")
    return 0


def check_options(options: RunOptions, text: str) -> None:
    if not text:
        raise MachineError("--when '': it takes a text that is not empty")
    if options.forwards:
        raise MachineError(
            f"-p {options.forwards[0]}: a snapshot has no ports", "give -p to `ukcc run --from`"
        )
    if options.shares:
        raise MachineError(
            f"-v {options.shares[0].host}: QEMU cannot save a machine with a shared directory",
            "link the files into the image, or start the program without a snapshot",
        )
    if options.disks:
        raise MachineError(
            f"--disk {options.disks[0].file}: a disk would go on without the saved machine",
            "start the program without a snapshot",
        )
    for net in options.nets:
        if net.kind not in ("user", "none"):
            raise MachineError(
                f"--net {net.kind}={net.interface}: two continued machines would have one address",
                "take the snapshot with --net user or --net none",
            )


@contextlib.contextmanager
def make_directory(target: Path) -> Iterator[Path]:
    """A directory beside the target, which is gone if it has not become the target."""
    if target.exists() or target.is_symlink():
        raise MachineError(
            f"-o {target}: is there already", "choose another name, or remove it first"
        )
    try:
        directory = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise MachineError(f"-o {target}: {error.strerror}") from None
    try:
        yield directory
    except OSError as error:
        raise MachineError(f"-o {target}: {error.strerror}") from None
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def move(directory: Path, target: Path) -> None:
    try:
        directory.rename(target)
    except OSError as error:
        raise MachineError(f"-o {target}: {error.strerror}") from None


def _manifest(
    image: str, booted: SnapshotPart, machine: Machine, directory: Path, qemu: str
) -> Manifest:
    memory, state = directory / MEMORY, directory / STATE
    return Manifest(
        format=FORMAT,
        image_path=paths.absolute(image),
        image=booted,
        machine=replace(machine, image=""),
        words=fingerprint(machine),
        qemu=qemu,
        cpu=host_cpu(machine.accel),
        memory=SnapshotPart(checksum(memory), stamp(memory)),
        state=SnapshotPart(digest(state), stamp(state)),
    )


def explain_end(
    outcome: Outcome, options: RunOptions, text: str, problem: "MachineError | None"
) -> int:
    """The status of a run that ended without a snapshot, or the error that it was."""
    if problem is not None:
        raise problem
    if outcome.timed_out:
        raise MachineError(
            f"{options.image}: has not printed {text!r} within {options.timeout:g} s",
            "--timeout gives it longer",
            TIMED_OUT,
        )
    status = parse_record(outcome.record).status
    if status is not None and not outcome.stopped_by:
        raise MachineError(
            f"{options.image}: ended with status {status} and has not printed {text!r}",
            "its output is above",
        )
    return exit_status(panics.judge(outcome, options.image), options)


def say(line: str) -> None:
    print(f"ukcc snapshot: {shown(line)}", file=sys.stderr, flush=True)
