"""What the machine says, from QEMU's pipes to our own descriptors; and our standard input to it."""

import contextlib
import errno
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator

from ukcc.line_ends import with_line_ends

_STDIN = 0
_CHUNK = 65536
_MOMENT = 0.005  # seconds
_TAIL = 65536  # bytes that are kept of what was said
_LONGEST_LINE = 65536  # bytes of one that waits for its end
_GRACE = 5.0  # seconds for a reader who may never come

# The application's errors and the trace may end in the same place.
_ONE_AT_A_TIME = threading.Lock()


class Pipe:
    """A pipe of which QEMU gets the end to write to."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        read_end, write_end = os.pipe()
        self.read_end = stack.enter_context(os.fdopen(read_end, "rb", 0))
        self.write_end = stack.enter_context(os.fdopen(write_end, "wb", 0))


class WholeLines:
    """Pieces in, whole lines out; of one that does not end, `longest` bytes wait and no more."""

    def __init__(self, longest: int = _LONGEST_LINE) -> None:
        self._longest = longest
        self._rest = bytearray()

    def feed(self, data: bytes) -> bytes:
        """What may be written now."""
        end = data.rfind(b"\n") + 1
        if not end and len(self._rest) + len(data) > self._longest:
            end = len(data)
        if not end:
            self._rest += data
            return b""
        lines = bytes(self._rest) + data[:end]
        self._rest = bytearray(data[end:])
        return lines

    def rest(self) -> bytes:
        """The last line, which has no end."""
        return bytes(self._rest)


class Pump:
    """Copies a pipe to a descriptor (or nowhere), keeping the last bytes.

    by_lines: writes whole lines only, for a target that others write to as well; it may be the
    terminal that is the console.
    """

    def __init__(
        self,
        source: int,
        target: "int | None",
        on_broken: Callable[[], None],
        by_lines: bool = False,
    ) -> None:
        self.tail = b""
        self.broken = False
        self.problem = ""  # why nothing could be written, unless the reader had gone
        self._sought = b""
        self._on_found: Callable[[], None] = lambda: None
        self._source, self._target, self._on_broken = source, target, on_broken
        self._by_lines = by_lines
        self._lines = WholeLines() if by_lines else None
        self._received = 0
        self._passed_on = 0
        self._progress = threading.Condition()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def wait_for(self, count: int, seconds: "float | None" = None) -> bool:
        """Until so many bytes have been passed on, or nobody is there to take them.

        False when that many seconds were over before.
        """
        with self._progress:
            return self._progress.wait_for(lambda: self.broken or self._passed_on >= count, seconds)

    def settle(self) -> None:
        """Until all that has come so far has been passed on."""
        while not self.broken and self.thread.is_alive():
            with self._progress:
                if self._received == self._passed_on and not _is_readable(self._source, 0):
                    return
            time.sleep(_MOMENT)

    def look_for(self, text: bytes, on_found: Callable[[], None]) -> None:
        """Calls that, in whatever thread, when the text has come or comes; perhaps twice."""
        self._sought, self._on_found = text, on_found
        if text in self.tail:
            on_found()

    def _run(self) -> None:
        for data in self._pieces():
            if self._target is not None and not self.broken:
                if self._by_lines:
                    data = with_line_ends(self._target, data)
                with _ONE_AT_A_TIME if self._by_lines else contextlib.nullcontext():
                    self._write(memoryview(data), self._target)

    def _pieces(self) -> Iterator[bytes]:
        """What comes in, as it comes or, `by_lines`, up to the last line's end."""
        while data := self._read():
            known = self.tail + data
            if self._sought and self._sought in known:
                self._on_found()
            self.tail = known[-_TAIL:]
            yield self._lines.feed(data) if self._lines else data
            with self._progress:
                # half a line that waits for its end has arrived, too
                self._passed_on += len(data)
                self._progress.notify_all()
        if self._lines:
            yield self._lines.rest()

    def _read(self) -> bytes:
        """The next bytes, counted as soon as they are not the source's any more."""
        _is_readable(self._source, None)
        try:
            with self._progress:
                data = os.read(self._source, _CHUNK)
                self._received += len(data)
                return data
        except ConnectionResetError:
            return b""  # a socket's other end has gone with bytes of ours unread

    def _write(self, view: memoryview, target: int) -> None:
        try:
            while view:
                view = view[os.write(target, view) :]
        except OSError as error:
            if error.errno == errno.EBADF:  # a process would go on as well
                self._target = None
                return
            # whoever read our output has gone: a process would die of SIGPIPE
            with self._progress:
                self.broken = True
                self.problem = "" if error.errno == errno.EPIPE else str(error.strerror)
                self._progress.notify_all()
            self._on_broken()


class Collector:
    """Hands what comes in to a function, in a thread."""

    broken = False
    problem = ""

    def __init__(self, source: int, take: Callable[[bytes], None]) -> None:
        self._source, self._take = source, take
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        while data := os.read(self._source, _CHUNK):
            self._take(data)


def _is_readable(fd: int, timeout: "float | None") -> bool:
    """Waits so many seconds for it; None: for ever."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(None if timeout is None else timeout * 1000))


class OutputPumps:
    """The console to our stdout, QEMU's own messages to memory; pipes that are added."""

    def __init__(self, machine: "subprocess.Popen[bytes]", target: "int | None") -> None:
        assert machine.stderr is not None  # it is a pipe
        self._machine = machine
        self.messages = Pump(machine.stderr.fileno(), None, machine.terminate)
        self.console = self.messages
        self._all: list[Pump | Collector] = [self.messages]
        if machine.stdout is not None:
            self.console = Pump(machine.stdout.fileno(), target, machine.terminate)
            self._all.append(self.console)

    @property
    def broken(self) -> bool:
        """Whether somebody has stopped to read."""
        return any(copy.broken for copy in self._all)

    @property
    def problem(self) -> str:
        """Why an output could not be written, unless its reader had gone."""
        return next((copy.problem for copy in self._all if copy.problem), "")

    def add(self, pipe: Pipe, target: "int | None", by_lines: bool = False) -> Pump:
        """Copies what QEMU writes to that pipe."""
        pipe.write_end.close()  # QEMU's is the only one now, and its end is the end of file
        return self.add_fd(pipe.read_end.fileno(), target, by_lines)

    def collect(self, pipe: Pipe, take: Callable[[bytes], None]) -> None:
        """Hands what QEMU writes to that pipe to a function, in a thread."""
        pipe.write_end.close()
        self._all.append(Collector(pipe.read_end.fileno(), take))

    def add_fd(self, source: int, target: "int | None", by_lines: bool = False) -> Pump:
        """The same of a descriptor that nobody but QEMU writes to."""
        copy = Pump(source, target, self._machine.terminate, by_lines)
        self._all.append(copy)
        return copy

    def finish(self, patient: bool) -> None:
        """Waits until all is copied; not for ever on a reader who takes nothing any more."""
        for copy in self._all:
            copy.thread.join(None if patient else _GRACE)


class StdinPort:
    """Our standard input to the guest's port: a socket, which unlike a serial line has an end."""

    def __init__(self, stack: contextlib.ExitStack) -> None:
        self._ours, self.guest_end = socket.socketpair()
        stack.callback(self._ours.close)
        stack.callback(self.guest_end.close)

    def start(self, feed: bool = True) -> None:
        """Begins to copy, in a thread that a blocked read on our stdin cannot keep alive.

        Without `feed` it stays open, and empty.
        """
        self.guest_end.close()
        if feed:
            threading.Thread(target=self._copy, daemon=True).start()

    def _copy(self) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(_STDIN, _CHUNK):
                self._ours.sendall(data)
        with contextlib.suppress(OSError):
            # not close(): QEMU drops what it has not read yet when the other end has hung up
            self._ours.shutdown(socket.SHUT_WR)
