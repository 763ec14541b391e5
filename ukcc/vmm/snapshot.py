"""`ukcc snapshot --vmm …` and `ukcc run --from` of what it has saved, by the VMM's own API."""

import contextlib
import os
import threading
from dataclasses import replace
from pathlib import Path

from ukcc import paths
from ukcc.descriptors import path_of
from ukcc.errors import MachineError
from ukcc.lifecycle import supervise
from ukcc.snapshots.check import digest
from ukcc.snapshots.create import check_options, explain_end, make_directory, move
from ukcc.snapshots.create import say as say_of_snapshot
from ukcc.snapshots.manifest import SnapshotPart, stamp
from ukcc.snapshots.memory import bytes_held, make_sparse
from ukcc.vm.boot import guest
from ukcc.vm.boot.contents import read_contents, read_image
from ukcc.vm.boot.init_archive import Terminal
from ukcc.vm.hypervisor.vmm import check_vmm
from ukcc.vm.launch import facts_to_list, say, settings_archive
from ukcc.vm.machine import Hardware, Machine
from ukcc.vm.offers import has
from ukcc.vm.options import RunOptions
from ukcc.vm.plan import plan_machine
from ukcc.vmm import agent, files, manifest
from ukcc.vmm.api import Api
from ukcc.vmm.confine import OpenedFile, places_of, user_for
from ukcc.vmm.directory import make_own_directory, prepare_directory
from ukcc.vmm.known import vmm_of
from ukcc.vmm.process import RunningVmm, VmmWiring, execute, find
from ukcc.vmm.run import send, status_of, tell_ready
from ukcc.vmm.vmm import Vmm

_LOOK_AGAIN = 0.5  # seconds
_HERE = "."  # the VMM works in the directory that becomes the snapshot
_LINKS = "snapshot"  # of the directory, where one is continued, that has the files' names


class Saver:
    """Saves what runs when it has said the word.

    version: the VMM's, empty until it has saved the machine; problem: why it could not.
    """

    def __init__(self, vmm: Vmm, text: str) -> None:
        self.version = ""
        self.problem: MachineError | None = None
        self._vmm, self._text = vmm, os.fsencode(text)
        self._said = threading.Event()

    def start(self, running: RunningVmm) -> None:
        """In a thread of its own."""
        threading.Thread(target=self._run, args=(running,), daemon=True).start()

    def _run(self, running: RunningVmm) -> None:
        running.console.look_for(self._text, self._said.set)
        while not self._said.wait(_LOOK_AGAIN):
            if not running.is_alive:
                return
        try:
            version = running.api.version() or "unknown"
            running.api.send(self._vmm.pause)
            running.api.send(self._vmm.save(_HERE), patient=True)
            self.version = version
        except MachineError as error:
            self.problem = error
        running.leave()


def create(options: RunOptions, target: str, text: str) -> int:
    """The exit status: 0 when the snapshot is there, 128 + n when signal n ended us."""
    vmm = vmm_of(options.vmm)
    check_vmm(options.vmm, options)
    check_options(options, text)
    find(vmm)
    image, facts, options = read_image(options)
    contents = read_contents(options, image, facts)
    booted = SnapshotPart(digest(Path(options.image)), stamp(Path(options.image)))
    machine = plan_machine(options, contents.facts, "kvm")
    # a balloon would give pages back that the snapshot counts on
    machine = replace(machine, image=contents.image, balloon=False)
    archive = settings_archive(
        machine,
        Terminal(),
        options,
        contents.facts.program,
        [*contents.additions, *guest.seed(), *agent.entries()],
    )
    listens = has(contents.facts, "vsock")
    user = user_for(vmm.program, options.qemu_user, machine, places_of(machine))
    if user.note:
        say_of_snapshot(user.note)
    saver = Saver(vmm, text)
    with make_directory(Path(target)) as directory, contextlib.ExitStack() as stack:
        prepare_directory(directory, user)
        what, fds = files.describe(stack, machine, archive, user, listens=listens)
        wiring = VmmWiring(vmm, directory, user, fds, agent=listens, timeout=options.timeout)
        outcome = execute(wiring, lambda api: send(api, vmm, vmm.boot(what)), saver.start)
        if not saver.version:
            return explain_end(outcome, options, text, saver.problem)
        _take_back(vmm, directory)
        made_of = (paths.absolute(options.image), booted)
        size = (machine.memory_mib, machine.hardware.cpus)
        manifest.write(
            directory, manifest.make_manifest(vmm, saver.version, made_of, size, listens, directory)
        )
        move(directory, Path(target))
    held = bytes_held(Path(target) / vmm.memory) / 1e6
    say_of_snapshot(f"{target}: {held:.1f} MB of {machine.memory_mib} MiB of memory are in use")
    return 0


def _take_back(vmm: Vmm, directory: Path) -> None:
    """The snapshot's files are ours, and all else is gone. Raises OSError.

    They are open to others in a directory that is not: so another user, who gets them as
    descriptors, can read them when the machine is continued.
    """
    os.chown(directory, os.geteuid(), os.getegid())
    directory.chmod(0o700)
    for path in directory.iterdir():
        if path.name not in vmm.parts or path.is_symlink():
            path.unlink()
            continue
        os.chown(path, os.geteuid(), os.getegid())
        path.chmod(0o644)
    make_sparse(directory / vmm.memory)


def resume(options: RunOptions) -> int:
    """The exit status, as of a run. options: those that can change (ukcc/cli/continued.py)."""
    snapshot = options.resume_from
    saved = manifest.read(snapshot)
    manifest.check(snapshot, saved, options.image)
    vmm = vmm_of(saved.vmm)
    if options.forwards:
        raise MachineError(
            f"-p {options.forwards[0]}: the machine of {snapshot} has no network", "leave it out"
        )
    find(vmm)
    options = RunOptions(
        image=options.image or saved.image_path,
        nets=(),
        timeout=options.timeout,
        detach=options.detach,
        name=options.name,
        qemu_user=options.qemu_user,
        vmm=vmm.name,
    )
    supervise.check(options.name)
    machine = Machine(options.image, saved.memory_mib, "kvm", Hardware(saved.cpus))

    def start(hooks: supervise.Hooks) -> int:
        return _continue(vmm, snapshot, saved, options, machine, hooks)

    return supervise.run(
        facts_to_list(options, machine), options.name is not None, start, supervise.hears_a_byte
    )


def _continue(
    vmm: Vmm,
    snapshot: str,
    saved: manifest.VmmManifest,
    options: RunOptions,
    machine: Machine,
    hooks: supervise.Hooks,
) -> int:
    with contextlib.ExitStack() as stack:
        fds = []
        for name in vmm.parts:
            fds.append(_opened(Path(snapshot) / name))
            stack.callback(os.close, fds[-1])
        parts = [OpenedFile(name, os.fstat(fd)) for name, fd in zip(vmm.parts, fds, strict=True)]
        user = user_for(vmm.program, options.qemu_user, machine, [*places_of(machine), *parts])
        if user.note:
            say(user.note)
        directory = stack.enter_context(make_own_directory(user))
        links = directory / _LINKS
        links.mkdir(0o755)
        for name, fd in zip(vmm.parts, fds, strict=True):
            (links / name).symlink_to(path_of(fd))

        def begin(api: Api) -> None:
            if api.version() != saved.version:
                raise MachineError(
                    f"{snapshot}: saved by {vmm.name} {saved.version}, and this is another version",
                    "take the snapshot again with this one",
                )
            send(api, vmm, vmm.load(_LINKS))
            tell_ready(hooks)

        wiring = VmmWiring(
            vmm,
            directory,
            user,
            tuple(fds),
            agent=saved.listens,
            continued=True,
            timeout=options.timeout,
        )
        outcome = execute(wiring, begin, hooks.on_running)
    return status_of(vmm, outcome, options, machine)


def _opened(path: Path) -> int:
    try:
        return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise MachineError(f"{path}: {error.strerror}") from None
