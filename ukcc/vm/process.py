"""Runs QEMU: the console, the time limit, the signals.

Not through ukcc/proc.py: this process talks while it runs, on descriptors that we hand it, and its
end is ours. Nothing is left behind: what QEMU reads and writes besides the console is memory of
this process (memfd), and QEMU dies with it, whatever kills it.
"""

import contextlib
import ctypes
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ukcc import proc
from ukcc.errors import MachineError, ToolFailed
from ukcc.failures.reports import Report
from ukcc.vm.copies import Copies, Copy, Pipe
from ukcc.vm.qemu import Endpoints
from ukcc.vm.watch import Watch

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_GRACE = 2.0  # seconds between SIGTERM and SIGKILL
_CHUNK = 65536
_LAST_WORDS = 0.5  # seconds from the line of a panic until the kernel has said all
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

STDIN, STDOUT, STDERR = 0, 1, 2

# Makes the argv, given where the channels end.
ArgvMaker = Callable[[Endpoints], Sequence[str]]


@dataclass(frozen=True)
class Outcome:
    """How QEMU ended.

    returncode: QEMU's own (negative: killed by that signal); record: what came out of the second
    serial port; console: the last bytes shown; stderr: what QEMU itself said;
    cpus: what they were at in a panic, or empty (ukcc/failures/cpus.py); timed_out: we ended it;
    stopped_by: the signal to us that ended it, or 0; traced: whether anything came of a trace.
    """

    returncode: int
    record: bytes
    console: bytes = b""
    stderr: str = ""
    cpus: bytes = b""
    timed_out: bool = False
    stopped_by: int = 0
    traced: bool = False


@dataclass(frozen=True)
class Running:
    """A machine that has been started: QEMU, its channels, the copies of its two outputs."""

    machine: "subprocess.Popen[bytes]"
    watch: Watch
    streams: tuple[Copy, ...]

    def wait_for_outputs(self, counts: Iterable[int]) -> None:
        """Until our readers have had so many bytes of each output."""
        _wait_for_copies(self.streams, counts)


class _Stopped(BaseException):
    """A signal asked us to end; not an Exception, so that no handler takes it for an error."""

    def __init__(self, signum: int) -> None:
        super().__init__(signum)
        self.signum = signum


def execute(
    make_argv: ArgvMaker,
    initrd: bytes,
    *,
    interactive: bool,
    stdin_port: bool,
    output_ports: bool = False,
    trace_to: "int | None" = None,
    timeout: "float | None" = None,
    shown: bool = True,
    on_start: "Callable[[int], None] | None" = None,
    on_report: "Callable[[Report], None] | None" = None,
    beside: "Callable[[Running], None] | None" = None,
    more_fds: Sequence[int] = (),
    feed_stdin: bool = True,
) -> Outcome:
    """Runs the machine to its end. timeout: seconds.

    interactive: QEMU has the terminal itself; else its output is copied to our stdout if it is to
    be `shown`, and with `stdin_port` our stdin to its port. With `output_ports` the application's
    standard output joins the console, and its standard error is copied to ours. `trace_to`: the
    descriptor that gets the trace, if there is one; where that is our standard error, the
    application's comes there in whole lines, too. `on_start` is
    called with QEMU's process id in a thread of its own. `on_report` gets what the guest reports,
    one at a time, in another thread; with it, a machine that is over its time is asked what it is
    doing before it is ended, and so is one when we get SIGQUIT. `beside` is called in a thread of
    its own with what runs. QEMU inherits `more_fds`, too. Without `feed_stdin` the guest's standard
    input stays open, and nothing comes of ours.
    """
    with contextlib.ExitStack() as stack:
        initrd_fd = _memory_file(stack, "settings", initrd)
        record_fd = _memory_file(stack, "record", b"")
        port = _StdinPort(stack) if stdin_port else None
        output = Pipe(stack) if output_ports else None
        errors = Pipe(stack) if output_ports else None
        trace = None if trace_to is None else Pipe(stack)
        log = Pipe(stack) if interactive else None
        watch = Watch(stack, on_report) if on_report else None
        endpoints = Endpoints(
            initrd=_own_path(initrd_fd),
            record=_own_path(record_fd),
            stdin_fd=port.guest_end.fileno() if port else None,
            stdout=_own_path(output.write_end.fileno()) if output else "",
            stderr=_own_path(errors.write_end.fileno()) if errors else "",
            trace=_own_path(trace.write_end.fileno()) if trace else "",
            reports=_own_path(watch.reports_end) if watch else "",
            requests_fd=watch.requests_end if watch else None,
            monitor_fd=watch.monitor_end if watch else None,
            console_log=_own_path(log.write_end.fileno()) if log else "",
        )
        passed = [initrd_fd, record_fd, *([port.guest_end.fileno()] if port else [])]
        passed += [pipe.write_end.fileno() for pipe in (output, errors, trace, log) if pipe]
        passed += watch.passed if watch else []
        passed += more_fds
        if interactive:
            stack.enter_context(_terminal_restored())
        stack.enter_context(_stop_signals())
        machine = _start(make_argv(endpoints), passed, interactive)
        if watch:
            watch.start()
            stack.enter_context(_asked_by_sigquit(watch))
        try:
            copies = Copies(machine, STDOUT if shown else None)
            if log:
                copies.console = copies.add(log, None)
            by_lines = trace_to == STDERR
            streams: tuple[Copy, ...] = ()
            if output and errors:
                streams = copies.add(output, STDOUT), copies.add(errors, STDERR, by_lines)
                if watch:
                    watch.on_sent = lambda counts: _wait_for_copies(streams, counts)
            traced = copies.add(trace, trace_to, by_lines) if trace else None
            if watch:
                copies.console.on_panic = lambda: _look_at_panic(machine, watch)
            if port:
                port.start(feed_stdin)
            if beside and watch:
                running = Running(machine, watch, streams)
                threading.Thread(target=beside, args=(running,), daemon=True).start()
            if on_start:
                threading.Thread(target=on_start, args=(machine.pid,), daemon=True).start()
            ending = _wait(machine, timeout)
            if ending.timed_out and watch:
                watch.look()
        except _Stopped as stopped:
            ending = _Ending(stopped_by=stopped.signum)
        finally:
            _end(machine)
        copies.finish(patient=not (ending.timed_out or ending.stopped_by))
        if watch:
            watch.finish(patient=not ending.stopped_by)
        return Outcome(
            returncode=machine.returncode,
            record=os.pread(record_fd, _CHUNK, 0),
            console=copies.console.tail,
            stderr=copies.messages.tail.decode(errors="replace"),
            cpus=watch.cpus if watch else b"",
            timed_out=ending.timed_out,
            stopped_by=ending.stopped_by or (signal.SIGPIPE if copies.broken else 0),
            traced=bool(traced and traced.tail),
        )


def _wait_for_copies(streams: Iterable[Copy], counts: Iterable[int]) -> None:
    """Until our readers have what the guest has sent to each of its two outputs."""
    for stream, count in zip(streams, counts, strict=False):
        stream.wait_for(count)


def _look_at_panic(machine: "subprocess.Popen[bytes]", watch: Watch) -> None:
    """The kernel waits some seconds before it resets; QEMU is asked as soon as it has spoken."""
    time.sleep(_LAST_WORDS)
    watch.look_at_cpus()
    machine.terminate()


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


def _own_path(fd: int) -> str:
    """The name by which QEMU opens a descriptor that it was handed."""
    return f"/proc/self/fd/{fd}"


def _memory_file(stack: contextlib.ExitStack, name: str, data: bytes) -> int:
    """A file without a name in any directory, so that nothing has to be cleaned up."""
    fd = os.memfd_create(f"ukcc-{name}")
    stack.callback(os.close, fd)
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]
    return fd


def _start(
    argv: Sequence[str], passed: Sequence[int], interactive: bool
) -> "subprocess.Popen[bytes]":
    try:
        # the latter has the better words, and takes longer to load than QEMU to start
        program = shutil.which(argv[0]) or proc.find(argv[0])
    except ToolFailed as error:
        raise MachineError(error.message, error.hint) from None
    return subprocess.Popen(
        argv,
        executable=program,
        stdin=None if interactive else subprocess.DEVNULL,
        stdout=None if interactive else subprocess.PIPE,
        stderr=subprocess.PIPE,
        pass_fds=passed,
        preexec_fn=_as_our_child,
    )


_LIBC = ctypes.CDLL(None, use_errno=True)


def _as_our_child() -> None:
    """In QEMU: Ctrl-\\ is for us, and both get it."""
    signal.signal(signal.SIGQUIT, signal.SIG_IGN)
    die_with_parent()


def die_with_parent() -> None:
    """In the child: the kernel kills it when we are gone, even by SIGKILL."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _end(machine: "subprocess.Popen[bytes]") -> None:
    """SIGTERM, by which QEMU ends in order, then SIGKILL. Nothing if it has ended."""
    if machine.poll() is not None:
        return
    machine.terminate()
    try:
        machine.wait(_GRACE)
    except subprocess.TimeoutExpired:
        machine.kill()
        machine.wait()


@contextlib.contextmanager
def _stop_signals() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP become an exception in the main thread."""

    def stop(signum: int, frame: Any) -> None:
        # the machine is being ended already; a second exception would leave it half-way
        for other in _STOPPING:
            signal.signal(other, signal.SIG_IGN)
        raise _Stopped(signum)

    before = {signum: signal.signal(signum, stop) for signum in _STOPPING}
    try:
        yield
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)


@contextlib.contextmanager
def _asked_by_sigquit(watch: Watch) -> Iterator[None]:
    """SIGQUIT shows the stacks, and the run goes on."""
    before = signal.signal(signal.SIGQUIT, lambda signum, frame: watch.ask())
    try:
        yield
    finally:
        signal.signal(signal.SIGQUIT, before)


@contextlib.contextmanager
def _terminal_restored() -> Iterator[None]:
    """QEMU makes the terminal raw and non-blocking; undone here in case it was killed."""
    mode = termios.tcgetattr(STDIN)
    flags = [(fd, fcntl.fcntl(fd, fcntl.F_GETFL)) for fd in (STDIN, STDOUT)]
    try:
        yield
    finally:
        for fd, flag in flags:
            fcntl.fcntl(fd, fcntl.F_SETFL, flag)
        termios.tcsetattr(STDIN, termios.TCSADRAIN, mode)


class _StdinPort:
    """Our standard input to the guest's port: a socket, which unlike a serial line has an end."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._ours, self.guest_end = socket.socketpair()
        stack.callback(self._ours.close)
        stack.callback(self.guest_end.close)

    def start(self, feed: bool) -> None:
        """Begins to copy, in a thread that a blocked read on our stdin cannot keep alive."""
        self.guest_end.close()
        if feed:
            threading.Thread(target=self._copy, daemon=True).start()

    def _copy(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(STDIN, _CHUNK):
                self._ours.sendall(data)
        with contextlib.suppress(OSError):
            # not close(): QEMU drops what it has not read yet when the other end has hung up
            self._ours.shutdown(socket.SHUT_WR)
