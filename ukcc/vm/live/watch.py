"""The machine's channels for failures: reports that come, and questions that we ask.

The guest's init answers as long as the kernel runs. Where it does not, QEMU's own monitor tells
what the CPUs are at (ukcc/failures/monitor.py).
"""

import contextlib
import os
import select
import socket
import threading
import time
from collections.abc import Callable

from ukcc.failures.reports import (
    CLOCK,
    CPUS,
    DONE,
    NOTICE,
    SENT,
    STACKS,
    STOPPED,
    Backlog,
    Parser,
    Report,
    parse_counts,
)
from ukcc.vm.live.events import Events

_CHUNK = 65536
_REQUEST = b"stacks\n"
_TAKEN = b"taken\n"
_CONTINUE = b"continue\n"
_BEGINNING = 8.0  # seconds in which a living guest begins to answer, slow emulation included
_ANSWER = 12.0  # and in which it has answered
_EXPLAINING = 60.0  # seconds that the reports may still take when the machine has ended
_CUT_SHORT = 20.0  # seconds without a byte in the middle of a report
_LOOK_AGAIN = 0.2  # seconds between two looks whether newer counts have come
_MOST_STACKS = 64  # processes that answer one question


class Watch:
    """One machine's channels. `on_report` is called in a thread, for one report at a time.

    What the guest sends is limited: each report by its kind, those that wait to be shown in number
    and bytes, stacks to those that were asked for. What is beyond is dropped, with a line once.
    """

    def __init__(self, stack: contextlib.ExitStack, on_report: Callable[[Report], None]) -> None:
        read_end, write_end = os.pipe()
        self._reports = stack.enter_context(os.fdopen(read_end, "rb", 0))
        self._guest_reports = stack.enter_context(os.fdopen(write_end, "wb", 0))
        self._requests, self._guest_requests = (stack.enter_context(s) for s in socket.socketpair())
        self._monitor, self._qemu_monitor = (stack.enter_context(s) for s in socket.socketpair())
        self.events = Events(stack, self._look_at_end)
        self.cpus = b""
        # whether the guest has told how the application ended
        self.has_ended: Callable[[], bool] = lambda: False
        # returns when an application that was stopped is to go on
        self.on_stopped: Callable[[], None] = lambda: None
        self._stopping = threading.Lock()  # held while it is being waited for
        self._looking = threading.Lock()
        # whether what the guest has sent to each output arrives within so many seconds
        self.on_sent: Callable[[list[int], float], bool] = lambda counts, seconds: True
        self._on_report = on_report
        self._news = threading.Condition()  # of the four that follow
        self._backlog = Backlog()
        self._sent: list[int] | None = None
        self._stacks_wanted = 0
        self._over = False
        self._notices: list[str] = []
        self._told: set[str] = set()
        self._heard, self._done = threading.Event(), threading.Event()
        self._reader, self._printer, *_ = self._threads = [
            threading.Thread(target=target, daemon=True)
            for target in (self._read, self._show, self._acknowledge)
        ]

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
        return [self.reports_end, self.requests_end, self.monitor_end, self.events.qemu_end]

    def start(self) -> None:
        """To be called when QEMU has its ends, so that theirs are the only ones."""
        for end in (self._guest_reports, self._guest_requests, self._qemu_monitor):
            end.close()
        self.events.start()
        for thread in self._threads:
            thread.start()

    @property
    def monitor(self) -> socket.socket:
        """Our end of the monitor's socket."""
        return self._monitor

    def ask(self) -> None:
        """Has the guest report what its threads do."""
        self._stacks_wanted += _MOST_STACKS
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
            self._pass_on(Report(CPUS, self.cpus))

    def look_at_cpus(self) -> None:
        """Stops the machine and keeps what QEMU's monitor says of its CPUs in `cpus`.

        The first look counts: the machine does not go on.
        """
        from ukcc.failures.monitor import ask_monitor  # loads asyncio: for this case only

        with self._looking:
            if not self.cpus:
                self.cpus = ask_monitor(self._monitor)

    def _look_at_end(self) -> None:
        """A reset is the ordinary end where there is no ACPI: then there is nothing to find out."""
        if self.events.panicked or not self.has_ended():
            self.look_at_cpus()

    def finish(self, patient: bool) -> None:
        """Waits until the last report has been shown; not when somebody has stopped us."""
        if patient:
            self._reader.join(_EXPLAINING)
        with self._news:
            self._over = True
            self._news.notify_all()
        self._printer.join(_EXPLAINING if patient else 0)

    def _read(self) -> None:
        parser = Parser()
        poll = select.poll()
        poll.register(self._reports, select.POLLIN)
        while True:
            if parser.is_waiting and not poll.poll(_CUT_SHORT * 1000):
                found = parser.give_up()
            else:
                data = self._reports.read(_CHUNK)
                if not data:
                    return
                self._heard.set()
                found = parser.feed(data)
            for report in found:
                self._take(report)

    def _take(self, report: Report) -> None:
        if report.kind == SENT:
            counts = parse_counts(report.data)
            if counts is None:
                self._notice("passed over: a report of what was sent without its two numbers")
                return
            with self._news:
                self._sent = counts  # the newest counts: what was sent only grows
                self._news.notify_all()
            return
        if report.kind == CLOCK:
            self.tell_time()
            return
        if report.kind == STOPPED:
            self._continue_later()
            return
        if report.kind == STACKS:
            if self._stacks_wanted <= 0:
                self._notice("passed over: stacks that nobody has asked for, or too many")
                return
            self._stacks_wanted -= 1
        self._pass_on(report)
        if report.kind == DONE:
            self._stacks_wanted = 0
            self._done.set()

    def _pass_on(self, report: Report) -> None:
        with self._news:
            fits = self._backlog.put(report)
            self._news.notify_all()
        if not fits:
            self._notice("reports come faster than they can be shown: some are left out")

    def _notice(self, text: str) -> None:
        """A line, once. It has a place of its own behind the reports that wait."""
        with self._news:
            if text not in self._told:
                self._told.add(text)
                self._notices.append(text)
            self._news.notify_all()

    def _acknowledge(self) -> None:
        """QEMU drops what it still holds when the machine ends; so the guest waits for this.

        One thread, however often the guest asks: newer counts replace older ones.
        """
        while True:
            with self._news:
                self._news.wait_for(lambda: self._sent is not None or self._over)
                counts = self._sent
            if self._over or counts is None:
                return
            if not self.on_sent(counts, _LOOK_AGAIN):
                continue
            with self._news:
                if self._sent is counts:
                    self._sent = None
            with contextlib.suppress(OSError):
                self._requests.sendall(_TAKEN)

    def _continue_later(self) -> None:
        """In a thread of its own, since it may take any time; one, however often the guest asks."""

        def wait_and_continue() -> None:
            try:
                self.on_stopped()
                self.say(_CONTINUE)
            finally:
                self._stopping.release()

        if self._stopping.acquire(blocking=False):
            threading.Thread(target=wait_and_continue, daemon=True).start()

    def _show(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._backlog or self._notices or self._over)
                reports = [self._backlog.take()] if self._backlog else []
                reports += [Report(NOTICE, text.encode()) for text in self._notices]
                self._notices.clear()
                over = self._over and not self._backlog
            for report in reports:
                self._on_report(report)
            if over:
                return
