"""The channels between QEMU and us: what a run wants of them, and their ends.

Nothing is left behind: what QEMU reads and writes besides the console is memory of this process
(memfd), pipes and sockets.
"""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ukcc.descriptors import memory_file, path_of
from ukcc.failures.reports import Report
from ukcc.vm.hypervisor.confinement import NONE, Confinement
from ukcc.vm.hypervisor.qemu import Endpoints
from ukcc.vm.live.console import Console
from ukcc.vm.live.pumps import Pipe, StdinPort
from ukcc.vm.live.watch import Watch
from ukcc.vm.machine import NO_PORTS, GuestPorts

# Makes the argv, given where the channels end.
ArgvMaker = Callable[[Endpoints], Sequence[str]]


@dataclass(frozen=True)
class Wiring:
    """What QEMU is started with, and where its channels lead.

    make_argv: QEMU's command line; initrd: the settings archive; ports: those that are served:
    our stdin is copied to its port, or, without `feed_stdin`, it stays open and nothing comes; the
    application's stdout joins the console, and its stderr is copied to ours. interactive: our
    terminal is the console, else its output is copied to our stdout if it is to be `shown`;
    trace_to: the descriptor that gets the trace, None without one (on our stderr, the application's
    comes in whole lines, too).

    on_report: gets what the guest reports, one at a time, in another thread. With it, a machine
    that is over its time is asked what it is doing before it is ended, and so is one when we get
    SIGQUIT.

    virtiofs: the sockets on which daemons are; passed_fds: what else QEMU inherits; started_fd: a
    socket for its second monitor, which answers as soon as the machine runs, and which is closed
    here when QEMU has it; confinement: what keeps QEMU small.
    """

    make_argv: ArgvMaker
    initrd: bytes
    ports: GuestPorts = NO_PORTS
    interactive: bool = False
    shown: bool = True
    feed_stdin: bool = True
    trace_to: "int | None" = None
    on_report: "Callable[[Report], None] | None" = None
    virtiofs: tuple[int, ...] = ()
    passed_fds: tuple[int, ...] = ()
    started_fd: "int | None" = None
    confinement: Confinement = NONE


class Channels:
    """The channels of one machine, open until the stack unwinds; None for one that it lacks."""

    def __init__(self, stack: contextlib.ExitStack, wiring: Wiring) -> None:
        self._initrd = memory_file(stack, "settings", wiring.initrd)
        self._wiring = wiring
        self.record = Pipe(stack)
        self.stdin = StdinPort(stack) if wiring.ports.stdin_port else None
        self.output = Pipe(stack) if wiring.ports.output_ports else None
        self.errors = Pipe(stack) if wiring.ports.output_ports else None
        self.trace = None if wiring.trace_to is None else Pipe(stack)
        self.watch = Watch(stack, wiring.on_report) if wiring.on_report else None
        resize = self.watch.resize if self.watch else _no_resize
        self.console = Console(stack, resize) if wiring.interactive else None

    @property
    def _pipes(self) -> list[Pipe]:
        found = (self.record, self.output, self.errors, self.trace)
        return [pipe for pipe in found if pipe is not None]

    def endpoints(self) -> Endpoints:
        """QEMU's ends, as its command line names them."""
        watch, stdin, console = self.watch, self.stdin, self.console
        return Endpoints(
            initrd=path_of(self._initrd),
            record=_path_of(self.record),
            stdin_fd=stdin.guest_end.fileno() if stdin else None,
            stdout=_path_of(self.output),
            stderr=_path_of(self.errors),
            trace=_path_of(self.trace),
            reports=path_of(watch.reports_end) if watch else "",
            requests_fd=watch.requests_end if watch else None,
            monitor_fd=watch.monitor_end if watch else None,
            events_fd=watch.events.qemu_end if watch else None,
            console_fd=console.guest_end.fileno() if console else None,
            started_fd=self._wiring.started_fd,
            virtiofs=tuple(f"fd={fd}" for fd in self._wiring.virtiofs),
        )

    def passed(self) -> list[int]:
        """QEMU's ends, as descriptors that it inherits; and what else it does."""
        wiring, started = self._wiring, self._wiring.started_fd
        sockets = [end.guest_end.fileno() for end in (self.stdin, self.console) if end]
        return [
            *(*wiring.passed_fds, *wiring.virtiofs, *wiring.confinement.fds),
            *(self._initrd, *(pipe.write_end.fileno() for pipe in self._pipes)),
            *(*sockets, *(self.watch.passed if self.watch else ())),
            *(() if started is None else (started,)),
        ]


def _path_of(pipe: "Pipe | None") -> str:
    return path_of(pipe.write_end.fileno()) if pipe else ""


def _no_resize(rows: int, columns: int) -> None:
    """A guest that listens to nobody keeps its terminal's size."""
