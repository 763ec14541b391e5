"""Runs QEMU: the console, the time limit, the signals.

Not through ukcc/proc.py: this process talks while it runs, on descriptors that we hand it, and its
end is ours. QEMU dies with this process, whatever kills it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from ukcc import proc
from ukcc.errors import MachineError, ToolFailed
from ukcc.vm.hypervisor.confinement import Confinement
from ukcc.vm.live.console import Console
from ukcc.vm.live.exit_record import RecordLines
from ukcc.vm.live.pumps import OutputPumps, Pump
from ukcc.vm.live.stopping import Stopped, StopSignals
from ukcc.vm.live.watch import Watch
from ukcc.vm.live.wiring import Channels, Wiring

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE = 2.0  # seconds between SIGTERM and SIGKILL

STDIN, STDOUT, STDERR = 0, 1, 2


@dataclass(frozen=True)
class Outcome:
    """How QEMU ended.

    returncode: QEMU's own (negative: killed by that signal); record: the lines that count of what
    came out of the second serial port; console: the last bytes shown; stderr: QEMU's own words;
    cpus: what they were at in a panic or reset, or empty (ukcc/failures/cpus.py); panicked, reset:
    QEMU tells that the kernel has panicked, that the machine has reset itself; failed: that the
    accelerator could not go on; timed_out: we ended it; stopped_by: the signal to us that ended it,
    or 0; traced: whether anything came of a trace; unwritten: why an output could not be written,
    which ended it.
    """

    returncode: int
    record: bytes
    console: bytes = b""
    stderr: str = ""
    cpus: bytes = b""
    panicked: bool = False
    reset: bool = False
    failed: bool = False
    timed_out: bool = False
    stopped_by: int = 0
    traced: bool = False
    unwritten: str = ""


class Running:
    """A machine that runs, for whoever has something to ask of it. A context, which ends it.

    pid: QEMU's process id; streams: the copies of the application's two outputs, with
    `output_ports`; watch: its channels for failures, with `on_report`.
    """

    def __init__(
        self,
        machine: "subprocess.Popen[bytes]",
        stopping: StopSignals,
        channels: Channels,
        wiring: Wiring,
    ) -> None:
        self.pid = machine.pid
        self.watch = channels.watch
        self._machine, self._stopping = machine, stopping
        self._lines = RecordLines()
        self._pumps = OutputPumps(machine, STDOUT if wiring.shown else None)
        self._pumps.collect(channels.record, self._lines.feed)
        by_lines = wiring.trace_to == STDERR
        self.streams: tuple[Pump, ...] = ()
        if channels.output and channels.errors:
            self.streams = (
                self._pumps.add(channels.output, STDOUT),
                self._pumps.add(channels.errors, STDERR, by_lines),
            )
        self._traced: Pump | None = None
        if channels.trace:
            self._traced = self._pumps.add(channels.trace, wiring.trace_to, by_lines)
        self._stack = contextlib.ExitStack()
        self._ended_by = 0

    def __enter__(self) -> "Running":
        return self

    def __exit__(
        self,
        kind: "type[BaseException] | None",
        error: "BaseException | None",
        traceback: "TracebackType | None",
    ) -> None:
        if isinstance(error, Stopped):
            self._cut_short()
        self._stack.close()

    @property
    def is_alive(self) -> bool:
        """Whether QEMU runs."""
        return self._machine.poll() is None

    @property
    def channels(self) -> Watch:
        """`watch` of a machine that was started with `on_report`."""
        assert self.watch is not None
        return self.watch

    def wait_for_outputs(self, counts: Iterable[int], seconds: "float | None" = None) -> bool:
        """Until our readers have had so many bytes of each output, as the guest has sent.

        seconds: of patience with each, None for no limit. False when it was over.
        """
        pairs = zip(self.streams, counts, strict=False)
        return all(stream.wait_for(count, seconds) for stream, count in pairs)

    def signal(self, signum: int) -> bool:
        """A signal to the application. False where there is no way to the guest."""
        return self.watch is not None and self.watch.signal(signum)

    def end(self) -> None:
        """Ends the machine at once."""
        self._ended_by = signal.SIGKILL
        end_machine(self._machine)

    def terminate(self) -> None:
        """Has QEMU end, when it has done what it was started for or cannot do it."""
        self._machine.terminate()

    def listen(self, channels: Channels, feed_stdin: bool, stack: contextlib.ExitStack) -> None:
        """Begins to serve the guest and the terminal. stack: what is to be undone at the end."""
        watch, console, pumps = self.watch, channels.console, self._pumps
        if watch:
            watch.has_ended = lambda: self._lines.has_ending
            watch.on_sent = self.wait_for_outputs if self.streams else watch.on_sent
            watch.start()
            stack.enter_context(_asked_by_sigquit(watch))
        if console:
            console.start(stack)
            shown = pumps.console = pumps.add_fd(console.output, STDOUT)
            if watch:
                watch.on_stopped = lambda: _suspend(shown, console)
        if channels.stdin:
            channels.stdin.start(feed_stdin)
        self._stack = stack.pop_all()

    def wait(self, timeout: "float | None") -> Outcome:
        """As the function `wait`."""
        ending = _Ending()
        try:
            ending = _wait(self._machine, timeout)
            if ending.timed_out and self.watch:
                self.watch.look()
            end_machine(self._machine)
            self._stopping.machine_has_ended = True
            self._pumps.finish(patient=not ending.timed_out)
            if self.watch:
                self.watch.finish(patient=True)
        except Stopped as stopped:
            ending = _Ending(stopped_by=stopped.signum)
            self._cut_short()
        return self._outcome(ending)

    def _cut_short(self) -> None:
        end_machine(self._machine)
        self._pumps.finish(patient=False)
        if self.watch:
            self.watch.finish(patient=False)

    def _outcome(self, ending: "_Ending") -> Outcome:
        watch, pumps = self.watch, self._pumps
        broken = signal.SIGPIPE if pumps.broken else 0
        return Outcome(
            returncode=self._machine.returncode,
            record=self._lines.kept(),
            console=pumps.console.tail,
            stderr=pumps.messages.tail.decode(errors="replace"),
            cpus=watch.cpus if watch else b"",
            panicked=bool(watch and watch.events.panicked),
            reset=bool(watch and watch.events.reset),
            failed=bool(watch and watch.events.failed),
            timed_out=ending.timed_out,
            stopped_by=ending.stopped_by or self._ended_by or broken,
            traced=bool(self._traced and self._traced.tail),
            unwritten=pumps.problem,
        )


def start(wiring: Wiring) -> Running:
    """Starts the machine. Raises MachineError where there is no QEMU.

    From now on the first signal to us goes to the application, and the second is `Stopped`.
    """
    with contextlib.ExitStack() as stack:
        channels = Channels(stack, wiring)
        stopping = StopSignals(channels.watch.signal if channels.watch else _no_forward)
        stack.enter_context(stopping.catch())
        argv = wiring.make_argv(channels.endpoints())
        machine = _start(argv, channels.passed(), wiring.confinement)
        stack.callback(end_machine, machine)
        if wiring.started_fd is not None:
            os.close(wiring.started_fd)
        running = Running(machine, stopping, channels, wiring)
        running.listen(channels, wiring.feed_stdin, stack)
        return running


def wait(running: Running, timeout: "float | None" = None) -> Outcome:
    """Waits for the machine's end, or ends it after `timeout` seconds; None: no limit."""
    with running:
        return running.wait(timeout)


def in_thread(act: "Callable[[Running], None]", running: Running) -> None:
    """Has somebody look after the machine, in a thread of its own."""
    threading.Thread(target=act, args=(running,), daemon=True).start()


def _no_forward(signum: int) -> bool:
    return False


def _suspend(output: Pump, console: Console) -> None:
    """The application was stopped: we stop, as it would, when all it has written is shown."""
    output.settle()
    console.suspend()


@dataclass(frozen=True)
class _Ending:
    timed_out: bool = False
    stopped_by: int = 0


def _wait(machine: "subprocess.Popen[bytes]", timeout: "float | None") -> _Ending:
    try:
        machine.wait(timeout)
    except subprocess.TimeoutExpired:
        return _Ending(timed_out=True)
    return _Ending()


def _start(
    argv: Sequence[str], passed: Sequence[int], confinement: Confinement
) -> "subprocess.Popen[bytes]":
    """QEMU, in a session of its own: Ctrl-C is the application's before it is QEMU's."""
    try:
        program = proc.find(argv[0])
    except ToolFailed as error:
        raise MachineError(error.message, error.hint) from None
    return subprocess.Popen(
        [*argv, *confinement.words],
        executable=program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=confinement.environment,
        pass_fds=passed,
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


def die_with_parent() -> None:
    """In the child: the kernel kills it when we are gone, even by SIGKILL."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def end_machine(machine: "subprocess.Popen[bytes]") -> None:
    """Send SIGTERM, on which a VMM ends in order, then SIGKILL. Nothing if it has ended."""
    if machine.poll() is not None:
        return
    machine.terminate()
    try:
        machine.wait(_GRACE)
    except subprocess.TimeoutExpired:
        machine.kill()
        machine.wait()


@contextlib.contextmanager
def _asked_by_sigquit(watch: Watch) -> Iterator[None]:
    """SIGQUIT shows the stacks, and the run goes on."""
    before = signal.signal(signal.SIGQUIT, lambda signum, frame: watch.ask())
    try:
        yield
    finally:
        signal.signal(signal.SIGQUIT, before)
