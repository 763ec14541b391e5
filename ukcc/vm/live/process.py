"""Runs QEMU: the console, the time limit, the signals.

Not through ukcc/proc.py: this process talks while it runs, on descriptors that we hand it, and its
end is ours. Nothing is left behind: what QEMU reads and writes besides the console is memory of
this process (memfd), and QEMU dies with it, whatever kills it.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ukcc import proc
from ukcc.descriptors import memory_file, path_of
from ukcc.errors import MachineError, ToolFailed
from ukcc.failures.reports import Report
from ukcc.vm.hypervisor.confinement import NONE, Confinement
from ukcc.vm.hypervisor.qemu import Endpoints
from ukcc.vm.live.console import Console
from ukcc.vm.live.exit_record import RecordLines
from ukcc.vm.live.pumps import OutputPumps, Pipe, Pump, StdinPort
from ukcc.vm.live.stopping import Stopped, StopSignals
from ukcc.vm.live.watch import Watch

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE = 2.0  # seconds between SIGTERM and SIGKILL

STDIN, STDOUT, STDERR = 0, 1, 2

# Makes the argv, given where the channels end.
ArgvMaker = Callable[[Endpoints], Sequence[str]]


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
    """A machine that runs, for other threads that have something to ask of it.

    machine: QEMU; watch: its channels; streams: the copies of its two outputs.
    """

    def __init__(self, machine: "subprocess.Popen[bytes]", watch: "Watch | None") -> None:
        self.machine, self.watch = machine, watch
        self.streams: tuple[Pump, ...] = ()
        self.ended_by = 0

    @property
    def channels(self) -> Watch:
        """Those of a machine that was started with `on_report`; others have none."""
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
        self.ended_by = signal.SIGKILL
        end_machine(self.machine)


def execute(
    make_argv: ArgvMaker,
    initrd: bytes,
    *,
    interactive: bool,
    stdin_port: bool,
    output_ports: bool = False,
    trace_to: "int | None" = None,
    virtiofs: Sequence[int] = (),
    timeout: "float | None" = None,
    shown: bool = True,
    on_start: "Callable[[int], None] | None" = None,
    on_report: "Callable[[Report], None] | None" = None,
    on_running: "Callable[[Running], None] | None" = None,
    started_fd: "int | None" = None,
    passed_fds: Iterable[int] = (),
    feed_stdin: bool = True,
    confinement: Confinement = NONE,
) -> Outcome:
    """Runs the machine to its end. timeout: seconds.

    interactive: our terminal is the console; else its output is copied to our stdout if it is to
    be `shown`, and with `stdin_port` our stdin to its port. With `output_ports` the application's
    standard output joins the console, and its standard error is copied to ours. `trace_to`: the
    descriptor that gets the trace, if there is one; where that is our standard error, the
    application's comes there in whole lines, too. `virtiofs`: the sockets on which
    daemons are, which QEMU inherits. `on_start` is
    called with QEMU's process id in a thread of its own. `on_report` gets what the guest reports,
    one at a time, in another thread; with it, a machine that is over its time is asked what it is
    doing before it is ended, and so is one when we get SIGQUIT. `on_running` gets the machine as
    soon as there is one. `started_fd`: a socket for QEMU's second monitor, closed here when QEMU
    has it; there it answers as soon as the machine runs. `passed_fds`: what else
    QEMU inherits. Without `feed_stdin` the guest's standard input stays open, and nothing comes of
    ours. `confinement`: what keeps QEMU small.
    """
    with contextlib.ExitStack() as stack:
        initrd_fd = memory_file(stack, "settings", initrd)
        record = Pipe(stack)
        port = StdinPort(stack) if stdin_port else None
        output = Pipe(stack) if output_ports else None
        errors = Pipe(stack) if output_ports else None
        trace = None if trace_to is None else Pipe(stack)
        watch = Watch(stack, on_report) if on_report else None
        lines = RecordLines()
        console = Console(stack, watch.resize if watch else _no_resize) if interactive else None
        stopping = StopSignals(watch.signal if watch else _no_forward)
        endpoints = Endpoints(
            initrd=path_of(initrd_fd),
            record=path_of(record.write_end.fileno()),
            stdin_fd=port.guest_end.fileno() if port else None,
            stdout=path_of(output.write_end.fileno()) if output else "",
            stderr=path_of(errors.write_end.fileno()) if errors else "",
            trace=path_of(trace.write_end.fileno()) if trace else "",
            reports=path_of(watch.reports_end) if watch else "",
            requests_fd=watch.requests_end if watch else None,
            monitor_fd=watch.monitor_end if watch else None,
            events_fd=watch.events.qemu_end if watch else None,
            console_fd=console.guest_end.fileno() if console else None,
            started_fd=started_fd,
            virtiofs=tuple(f"fd={fd}" for fd in virtiofs),
        )
        passed = [*passed_fds, initrd_fd, *([port.guest_end.fileno()] if port else [])]
        passed += [pipe.write_end.fileno() for pipe in (record, output, errors, trace) if pipe]
        passed += [*virtiofs, *(watch.passed if watch else [])]
        passed += [console.guest_end.fileno()] if console else []
        passed += [] if started_fd is None else [started_fd]
        stack.enter_context(stopping.caught())
        machine = _start(make_argv(endpoints), passed, confinement)
        running = Running(machine, watch)
        if started_fd is not None:
            os.close(started_fd)
        if watch:
            watch.has_ended = lambda: lines.has_ending
            watch.start()
            stack.enter_context(_asked_by_sigquit(watch))
        ending = _Ending()
        copies = OutputPumps(machine, STDOUT if shown else None)
        copies.collect(record, lines.feed)
        try:
            if console:
                console.start(stack)
                copies.console = copies.add_fd(console.output, STDOUT)
                if watch:
                    watch.on_stopped = lambda: _suspend(copies.console, console)
            by_lines = trace_to == STDERR
            if output and errors:
                running.streams = (
                    copies.add(output, STDOUT),
                    copies.add(errors, STDERR, by_lines),
                )
                if watch:
                    watch.on_sent = running.wait_for_outputs
            traced = copies.add(trace, trace_to, by_lines) if trace else None
            if port:
                port.start(feed_stdin)
            if on_start:
                threading.Thread(target=on_start, args=(machine.pid,), daemon=True).start()
            if on_running:
                on_running(running)
            ending = _wait(machine, timeout)
            if ending.timed_out and watch:
                watch.look()
            end_machine(machine)
            stopping.machine_has_ended = True
            copies.finish(patient=not ending.timed_out)
            if watch:
                watch.finish(patient=True)
        except Stopped as stopped:
            ending = _Ending(stopped_by=stopped.signum)
        finally:
            end_machine(machine)
            if ending.stopped_by:
                copies.finish(patient=False)
            if watch and ending.stopped_by:
                watch.finish(patient=False)
        return Outcome(
            returncode=machine.returncode,
            record=lines.kept(),
            console=copies.console.tail,
            stderr=copies.messages.tail.decode(errors="replace"),
            cpus=watch.cpus if watch else b"",
            panicked=bool(watch and watch.events.panicked),
            reset=bool(watch and watch.events.reset),
            failed=bool(watch and watch.events.failed),
            timed_out=ending.timed_out,
            stopped_by=ending.stopped_by
            or running.ended_by
            or (signal.SIGPIPE if copies.broken else 0),
            traced=bool(traced and traced.tail),
            unwritten=copies.problem,
        )


def in_thread(act: "Callable[[Running], None]") -> "Callable[[Running], None]":
    """For `on_running`: the same, in a thread of its own."""
    return lambda running: threading.Thread(target=act, args=(running,), daemon=True).start()


def _no_forward(signum: int) -> bool:
    return False


def _no_resize(rows: int, columns: int) -> None:
    """A guest that listens to nobody keeps its terminal's size."""


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
        pass_fds=[*passed, *confinement.fds],
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
