"""The output of a detached machine on disk, in the order in which it came.

Files `log.1`, `log.2`, … of about `SEGMENT` bytes; when there is one more than `KEPT`, the oldest
goes. In them, frames: a byte that says which stream, the number of bytes (little-endian, four), and
the bytes.
"""

import contextlib
import os
import select
import struct
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

SEGMENT = 1 << 20  # bytes
KEPT = 8  # files

STDOUT, STDERR = 1, 2
_HEADER = struct.Struct("<BI")
_CHUNK = 65536

# A stream's number and bytes of it.
Frame = tuple[int, bytes]


class LogWriter:
    """Appends frames. A disk that is full costs output, which is then said, but not the run."""

    def __init__(self, directory: Path, segment: int = SEGMENT, kept: int = KEPT) -> None:
        self._directory, self._segment, self._kept = directory, segment, kept
        self._number, self._size, self._lost = 0, segment, 0
        self._fd = -1

    def write(self, stream: int, data: bytes) -> None:
        """One piece of a stream's output, of at most 4 GiB."""
        if self._lost and self._append(
            STDERR, b"ukcc: %d bytes of output are lost here: the disk was full\n" % self._lost
        ):
            self._lost = 0
        if not self._append(stream, data):
            self._lost += len(data)

    def close(self) -> None:
        """No more will come."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, stream: int, data: bytes) -> bool:
        """False, with nothing changed, where it does not fit."""
        frame = _HEADER.pack(stream, len(data)) + data
        try:
            if self._size >= self._segment:
                self._next()
            if os.write(self._fd, frame) != len(frame):
                raise OSError
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self._size)
            return False
        self._size += len(frame)
        return True

    def _next(self) -> None:
        path = segment_path(self._directory, self._number + 1)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self.close()
        self._fd, self._size = fd, 0
        self._number += 1
        old = self._number - self._kept
        if old > 0:
            segment_path(self._directory, old).unlink(missing_ok=True)


class Recorder:
    """Two pipes, for a process's standard output and error, that a thread empties into a log."""

    def __init__(self, directory: Path) -> None:
        self._log = LogWriter(directory)
        self._sources: dict[int, int] = {}
        self.ends: dict[int, int] = {}
        for stream in (STDOUT, STDERR):
            read_end, write_end = os.pipe()
            self._sources[read_end] = stream
            self.ends[stream] = write_end
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begins to read. It ends when nobody has an end to write to any more."""
        self._thread.start()

    def join(self) -> None:
        """Until the last byte is in the log."""
        self._thread.join()

    def _run(self) -> None:
        poll = select.poll()
        for fd in self._sources:
            poll.register(fd, select.POLLIN)
        waiting = set(self._sources)
        while waiting:
            for fd, _ in poll.poll():
                data = os.read(fd, _CHUNK)
                if data:
                    self._log.write(self._sources[fd], data)
                    continue
                poll.unregister(fd)
                waiting.discard(fd)
        self._log.close()


class LogReader:
    """Reads a log that may still grow. `gone` counts files that went before they were read."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._number, self._fd, self._rest = 0, -1, b""
        self.gone = 0

    def read(self) -> Iterator[Frame]:
        """The frames that have come since the last call."""
        while True:
            yield from self._read_segment()
            # a file is complete when there is a next one; what it got meanwhile is read first
            numbers = [n for n in segments(self._directory) if n > self._number]
            if not numbers:
                return
            yield from self._read_segment()
            self._open(min(numbers))

    def close(self) -> None:
        """Gives the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self, number: int) -> None:
        try:
            fd = os.open(segment_path(self._directory, number), os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return  # it went just now; the next look shows the ones behind it
        self.close()
        if self._number:
            self.gone += number - self._number - 1
        self._fd, self._number, self._rest = fd, number, b""

    def _read_segment(self) -> Iterator[Frame]:
        while self._fd >= 0:
            data = os.read(self._fd, _CHUNK)
            if not data:
                return
            self._rest += data
            yield from self._frames()

    def _frames(self) -> Iterator[Frame]:
        """Whole frames; half of one waits for its other half."""
        at = 0
        while at + _HEADER.size <= len(self._rest):
            stream, length = _HEADER.unpack_from(self._rest, at)
            end = at + _HEADER.size + length
            if end > len(self._rest):
                break
            yield stream, self._rest[at + _HEADER.size : end]
            at = end
        self._rest = self._rest[at:]


def segment_path(directory: Path, number: int) -> Path:
    """The file of that number."""
    return directory / f"log.{number}"


def segments(directory: Path) -> list[int]:
    """The numbers of the files that are there, in order."""
    names = (path.name.partition(".")[2] for path in directory.glob("log.*"))
    return sorted(int(name) for name in names if name.isascii() and name.isdigit())


def show(reader: LogReader, write: Callable[[int, bytes], None], more: Callable[[], bool]) -> None:
    """Hands on what there is, then what comes, until `more` says that it was all."""
    gone = 0
    while True:
        last = not more()
        for stream, data in reader.read():
            if reader.gone > gone:
                text = f"ukcc logs: {reader.gone - gone} MiB of output went before they were read\n"
                write(STDERR, text.encode())
                gone = reader.gone
            write(stream, data)
        if last:
            return
