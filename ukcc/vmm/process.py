"""Runs a VMM: starts it, has it make the machine, waits, ends it.

As ukcc/vm/live/process.py does with QEMU, whose parts serve here: the console, the copies of
output, the signals. Nothing of it outlives this process, whatever ends that.
"""

import codecs
import contextlib
import fcntl
import json
import os
import select
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ukcc import paths
from ukcc.descriptors import write_all
from ukcc.errors import MachineError
from ukcc.vm.live.console import Console
from ukcc.vm.live.process import STDOUT, Outcome, end_machine
from ukcc.vm.live.pumps import OutputPumps, Pipe, Pump
from ukcc.vm.live.stopping import Stopped, StopSignals
from ukcc.vmm.api import Api, Gone
from ukcc.vmm.confine import VmmUser, preparation
from ukcc.vmm.ending import RecordFilter
from ukcc.vmm.keyboard import Keyboard
from ukcc.vmm.link import Link
from ukcc.vmm.vmm import LOG, Vmm

_GRACE = 2.0  # seconds for a thread that has nothing left to do
_AFTER_RECORD = 60.0  # seconds for a guest that has told its end, and still writes its disks back
_GLANCE = 0.5  # seconds between two looks at what is due
_CHUNK = 65536
_WAITING = 1 << 20  # bytes of the console on their way; Firecracker drops what does not fit
_WORDS = 65536  # bytes of a log that are looked at
_LONGEST_EVENT = 65536


@dataclass(frozen=True)
class VmmWiring:
    """What a VMM is started with. directory: its own, where it works; passed: descriptors that it
    inherits; terminal: our terminal is the console; agent: the guest has one that will connect;
    continued: the machine was saved; timeout: seconds, or None.
    """

    vmm: Vmm
    directory: Path
    user: VmmUser
    passed: tuple[int, ...]
    terminal: bool = False
    agent: bool = True
    continued: bool = False
    timeout: "float | None" = None


class RunningVmm:
    """A machine that runs, for other threads that have something to ask of it."""

    def __init__(self, machine: "subprocess.Popen[bytes]", api: Api, link: Link, shown: Pump):
        self.api, self.console = api, shown
        self._machine, self._link = machine, link
        self.ended_by = 0

    @property
    def is_alive(self) -> bool:
        """Whether the VMM runs."""
        return self._machine.poll() is None

    def signal(self, signum: int) -> bool:
        """A signal to the application. False where there is no way to the guest."""
        return self._link.signal(signum)

    def end(self) -> None:
        """Ends the machine at once."""
        self.ended_by = signal.SIGKILL
        _end(self._machine)

    def leave(self) -> None:
        """The same, when all is done that it was started for."""
        _end(self._machine)


def execute(
    wiring: VmmWiring,
    begin: Callable[[Api], None],
    on_running: "Callable[[RunningVmm], None] | None" = None,
) -> Outcome:
    """Runs the machine to its end. begin: has the VMM make it; on_running: told when it runs.

    Raises MachineError for a VMM that does not start, or does not take what it is told.
    """
    with contextlib.ExitStack() as stack:
        output, shown = _big_pipe(stack), _big_pipe(stack)
        events = Pipe(stack)
        owner = wiring.user.ids
        link = Link(stack, wiring.directory, owner, wiring.agent, wiring.continued)
        stack.callback(link.finish)
        console = Console(stack, link.resize) if wiring.terminal else None
        keyboard = Keyboard(stack, console.guest_end) if console else None
        stopping = StopSignals(link.signal)
        stack.enter_context(stopping.catch())
        machine = _start(wiring, output, events, keyboard)
        pidfd = os.pidfd_open(machine.pid)  # before anybody reaps it
        stack.callback(os.close, pidfd)
        stack.callback(_end, machine)
        output.write_end.close()
        events.write_end.close()
        link.start()
        ending = RecordFilter()
        relay = threading.Thread(target=_relay, args=(output, shown, ending), daemon=True)
        copies = OutputPumps(machine, None)
        copies.console = copies.add_fd(shown.read_end.fileno(), STDOUT)
        resets = _Resets(wiring.vmm, events, machine)
        if console and keyboard:
            keyboard.start()
            console.start(stack)
        relay.start()
        api = Api(wiring.vmm, wiring.directory, lambda: machine.poll() is None)
        running = RunningVmm(machine, api, link, copies.console)
        over = _Over()
        try:
            _begin(wiring, machine, copies, relay, ending, api, begin)
            if on_running:
                on_running(running)
            over = _wait(pidfd, ending, wiring.timeout)
        except Stopped as stopped:
            over = _Over(stopped_by=stopped.signum)
        finally:
            stopping.machine_has_ended = True
            _end(machine)
            if keyboard:
                keyboard.finish()
            patient = not (over.stopped_by or over.timed_out)
            relay.join(None if patient else _GRACE)
            copies.finish(patient=patient)
            resets.join()
        return _outcome(wiring, machine, running, copies, over, ending.lines, resets.seen)


@dataclass(frozen=True)
class _Over:
    """How the wait ended. told: the guest had told its end, and the VMM did not follow."""

    timed_out: bool = False
    stopped_by: int = 0
    told: bool = False


def _outcome(
    wiring: VmmWiring,
    machine: "subprocess.Popen[bytes]",
    running: RunningVmm,
    copies: OutputPumps,
    over: _Over,
    record: bytes,
    has_reset: bool,
) -> Outcome:
    """Of a VMM that has ended."""
    words = last_words(wiring.directory, copies.messages.tail)
    broken = signal.SIGPIPE if copies.broken else 0
    stopped_by = over.stopped_by or running.ended_by or broken
    by_itself = not (stopped_by or over.timed_out or over.told)
    return Outcome(
        returncode=machine.returncode,
        record=record,
        console=copies.console.tail,
        stderr=words,
        reset=has_reset or (by_itself and _is_reset(machine.returncode, words)),
        timed_out=over.timed_out,
        stopped_by=stopped_by,
        unwritten=copies.problem,
    )


def _wait(pidfd: int, ending: RecordFilter, timeout: "float | None") -> _Over:
    deadline = None if timeout is None else time.monotonic() + timeout
    told_at = None
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    while True:
        now = time.monotonic()
        if not ending.has_come:
            told_at = None
        elif told_at is None:
            told_at = now
        elif now - told_at > _AFTER_RECORD:
            return _Over(told=True)
        if deadline is not None and now >= deadline:
            return _Over(timed_out=True)
        left = _GLANCE if deadline is None else min(_GLANCE, deadline - now)
        if poll.poll(left * 1000 + 1):
            return _Over()


def _is_reset(returncode: int, words: str) -> bool:
    """Firecracker ends in order by a reset alone; of a triple fault it says KVM's `Shutdown`."""
    return returncode == 0 or (returncode > 0 and "Shutdown" in words)


def _begin(
    wiring: VmmWiring,
    machine: "subprocess.Popen[bytes]",
    copies: OutputPumps,
    relay: threading.Thread,
    ending: RecordFilter,
    api: Api,
    begin: Callable[[Api], None],
) -> None:
    try:
        api.wait()
        begin(api)
    except Gone as error:
        _end(machine)
        relay.join(_GRACE)
        if ending.lines:
            return  # the guest was quicker than the answer to the request that started it
        copies.finish(patient=False)
        said = last_words(wiring.directory, copies.messages.tail).strip().splitlines()
        more = f": {said[-1]}" if said else ""
        raise MachineError(f"{error.message}{more}", error.hint) from None


def last_words(directory: Path, stderr: bytes) -> str:
    """What the VMM has said: its log's end, if it keeps one, behind its standard error."""
    log = b""
    with contextlib.suppress(OSError):
        # it may have put something else in the place of the file
        fd = os.open(directory / LOG, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            size = os.fstat(fd).st_size
            log = os.pread(fd, _WORDS, max(0, size - _WORDS))
        finally:
            os.close(fd)
    return (stderr + b"\n" + log).decode(errors="replace")


def _big_pipe(stack: contextlib.ExitStack) -> Pipe:
    pipe = Pipe(stack)
    with contextlib.suppress(OSError):  # a host may allow less
        fcntl.fcntl(pipe.write_end, fcntl.F_SETPIPE_SZ, _WAITING)
    return pipe


def _start(
    wiring: VmmWiring, output: Pipe, events: Pipe, keyboard: "Keyboard | None"
) -> "subprocess.Popen[bytes]":
    """In a session of its own: Ctrl-C is the application's before it is the VMM's."""
    program = find(wiring.vmm)
    directory = os.open(wiring.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return subprocess.Popen(
            list(wiring.vmm.command(events.write_end.fileno())),
            executable=program,
            stdin=keyboard.vmm_end if keyboard else subprocess.DEVNULL,
            stdout=output.write_end,
            stderr=subprocess.PIPE,
            # nothing of ours is its business
            env={"PATH": os.environ.get("PATH", os.defpath)},
            pass_fds=[*wiring.passed, events.write_end.fileno()],
            start_new_session=True,
            preexec_fn=preparation(wiring.user, directory),
        )
    except OSError as error:
        hint = "--qemu-user root runs it as root" if wiring.user.ids else ""
        raise MachineError(f"{program}: {error.strerror}", hint) from None
    except subprocess.SubprocessError as error:
        raise MachineError(f"{program}: it cannot be confined: {error}") from None
    finally:
        os.close(directory)


def find(vmm: Vmm) -> str:
    """The program's absolute path. Raises MachineError."""
    found = shutil.which(vmm.program)
    if found is None:
        raise MachineError(
            f"--vmm {vmm.name}: there is no {vmm.program} on PATH",
            f"{vmm.home} has releases; --vmm qemu does without",
        )
    return paths.absolute(found)


def _relay(output: Pipe, shown: Pipe, ending: RecordFilter) -> None:
    """The console, without what init has written for us."""
    target = shown.write_end.fileno()
    with shown.write_end, contextlib.suppress(OSError):
        while data := os.read(output.read_end.fileno(), _CHUNK):
            write_all(target, ending.feed(data))
        write_all(target, ending.finish())


class _Resets:
    """Hears of a reset from a VMM that would boot the guest again, and ends it."""

    def __init__(self, vmm: Vmm, events: Pipe, machine: "subprocess.Popen[bytes]") -> None:
        self.seen = False
        self._word, self._events, self._machine = vmm.resets, events, machine
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """When the machine has ended."""
        self._thread.join(_GRACE)

    def _run(self) -> None:
        events = EventParser()
        with contextlib.suppress(OSError):
            while data := os.read(self._events.read_end.fileno(), _CHUNK):
                if self._word and self._word in events.feed(data):
                    self.seen = True
                    _end(self._machine)


class EventParser:
    """Bytes in, the events' names out: JSON objects, over any number of lines, one behind another.

    What is not JSON is forgotten when it has grown too long.
    """

    def __init__(self) -> None:
        self._rest = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, data: bytes) -> "list[str]":
        """The names of the events that these bytes complete."""
        self._rest += self._decoder.decode(data)
        found = list(self._objects())
        if len(self._rest) > _LONGEST_EVENT:
            self._rest = ""
        return [str(one.get("event")) for one in found if isinstance(one, dict)]

    def _objects(self) -> "Iterator[object]":
        while self._rest.lstrip():
            self._rest = self._rest.lstrip()
            try:
                found, end = json.JSONDecoder().raw_decode(self._rest)
            except (ValueError, RecursionError):
                return
            self._rest = self._rest[end:]
            yield found


_ENDING = threading.Lock()


def _end(machine: "subprocess.Popen[bytes]") -> None:
    """End it from whichever thread is first."""
    with _ENDING:
        end_machine(machine)
