"""The machine's channels for failures: reports that come, and questions that we ask.

The guest's init answers as long as the kernel runs. Where it does not, QEMU's own monitor tells
what the CPUs are at (ukcc/failures/monitor.py).
"""

import contextlib
import os
import queue
import socket
import threading
import time
from collections.abc import Callable

from ukcc.failures.reports import CLOCK, CPUS, DONE, SENT, STOPPED, Parser, Report

_CHUNK = 65536
_REQUEST = b"stacks\n"
_TAKEN = b"taken\n"
_CONTINUE = b"continue\n"
_BEGINNING = 8.0  # seconds in which a living guest begins to answer, slow emulation included
_ANSWER = 12.0  # and in which it has answered
_EXPLAINING = 60.0  # seconds that the reports may still take when the machine has ended


class Watch:
    """One machine's channels. `on_report` is called in a thread, for one report at a time."""

    def __init__(self, stack: contextlib.ExitStack, on_report: Callable[[Report], None]) -> None:
        read_end, write_end = os.pipe()
        self._reports = stack.enter_context(os.fdopen(read_end, "rb", 0))
        self._guest_reports = stack.enter_context(os.fdopen(write_end, "wb", 0))
        self._requests, self._guest_requests = (stack.enter_context(s) for s in socket.socketpair())
        self._monitor, self._qemu_monitor = (stack.enter_context(s) for s in socket.socketpair())
        self.cpus = b""
        # waits until the bytes that the guest has sent to each output have arrived
        self.on_sent: Callable[[list[int]], None] = lambda counts: None
        # returns when an application that was stopped is to go on
        self.on_stopped: Callable[[], None] = lambda: None
        self._on_report = on_report
        self._queue: queue.SimpleQueue[Report | None] = queue.SimpleQueue()
        self._stopping = threading.Lock()
        self._heard, self._done = threading.Event(), threading.Event()
        self._threads = [threading.Thread(target=t, daemon=True) for t in (self._read, self._show)]

    @property
    def reports_end(self) -> int:
        """QEMU's end of the pipe for reports."""
        return self._guest_reports.fileno()

    @property
    def requests_end(self) -> int:
        """QEMU's end of the socket for requests."""
        return self._guest_requests.fileno()

    @property
    def monitor_end(self) -> int:
        """QEMU's end of the monitor's socket."""
        return self._qemu_monitor.fileno()

    @property
    def passed(self) -> "list[int]":
        """What QEMU inherits."""
        return [self.reports_end, self.requests_end, self.monitor_end]

    def start(self) -> None:
        """To be called when QEMU has its ends, so that theirs are the only ones."""
        for end in (self._guest_reports, self._guest_requests, self._qemu_monitor):
            end.close()
        for thread in self._threads:
            thread.start()

    @property
    def monitor(self) -> socket.socket:
        """Our end of the monitor's socket."""
        return self._monitor

    def ask(self) -> None:
        """Has the guest report what its threads do."""
        self.say(_REQUEST)

    def signal(self, signum: int) -> bool:
        """Has init send the application a signal; as `say`."""
        return self.say(b"signal %d\n" % signum)

    def resize(self, rows: int, columns: int) -> None:
        """Tells the guest's terminal its size."""
        self.say(b"resize %d %d\n" % (rows, columns))

    def say(self, line: bytes) -> bool:
        """A line to the guest's init. False if the machine listens to nobody."""
        try:
            return self._requests.send(line, socket.MSG_DONTWAIT) == len(line)
        except OSError:
            return False

    def tell_time(self) -> None:
        """Tells the guest what time it is."""
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        self.say(b"time %d.%09d\n" % (seconds, nanoseconds))

    def look(self) -> None:
        """As `ask`, and waits for the answer; QEMU answers if the guest does not."""
        self._heard.clear()
        self._done.clear()
        self.ask()
        if self._heard.wait(_BEGINNING) and self._done.wait(_ANSWER):
            return
        self.look_at_cpus()
        if self.cpus:
            self._queue.put(Report(CPUS, self.cpus))

    def look_at_cpus(self) -> None:
        """Stops the machine and keeps what QEMU's monitor says of its CPUs in `cpus`."""
        from ukcc.failures.monitor import ask_monitor  # loads asyncio: for this case only

        self.cpus = ask_monitor(self._monitor)

    def finish(self, patient: bool) -> None:
        """Waits until the last report has been shown; not when somebody has stopped us."""
        if patient:
            self._threads[0].join(_EXPLAINING)
        self._queue.put(None)
        self._threads[1].join(_EXPLAINING if patient else 0)

    def _read(self) -> None:
        parser = Parser()
        while data := self._reports.read(_CHUNK):
            self._heard.set()
            for report in parser.feed(data):
                if report.kind == SENT:
                    counts = [int(word) for word in report.data.split()]
                    threading.Thread(target=self._acknowledge, args=(counts,), daemon=True).start()
                    continue
                if report.kind == CLOCK:
                    self.tell_time()
                    continue
                if report.kind == STOPPED:
                    self._continue_later()
                    continue
                self._queue.put(report)
                if report.kind == DONE:
                    self._done.set()

    def _acknowledge(self, counts: "list[int]") -> None:
        """QEMU drops what it still holds when the machine ends; so the guest waits for this."""
        self.on_sent(counts)
        with contextlib.suppress(OSError):
            self._requests.sendall(_TAKEN)

    def _continue_later(self) -> None:
        """In a thread of its own, since it may take any time; one at a time."""

        def wait_and_continue() -> None:
            with self._stopping:
                self.on_stopped()
                self.say(_CONTINUE)

        if not self._stopping.locked():
            threading.Thread(target=wait_and_continue, daemon=True).start()

    def _show(self) -> None:
        while report := self._queue.get():
            self._on_report(report)
