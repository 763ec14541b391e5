"""The devices' state on its way between its file and QEMU: by a pipe, in a thread of ours.

QEMU's `fd:` takes no regular file from version 11 on, and its `file:` is not there before 8.2. A
pipe goes by `fd:` with all of them.
"""

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

from ukcc.descriptors import write_all
from ukcc.errors import MachineError

_PIECE = 65536
_PATIENCE = 60.0  # seconds for QEMU to close its end, when it has said that it is done
_SHORTLY = 1.0  # seconds for the thread to say why it has ended


@contextlib.contextmanager
def keep_state(path: Path) -> Iterator[int]:
    """A descriptor for QEMU; what it has written there is in the file when the context ends.

    QEMU is to close its own copy by then. Raises MachineError, OSError.
    """
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    reading, writing = os.pipe()
    problems: list[str] = []
    thread = threading.Thread(target=_keep, args=(reading, file, problems), daemon=True)
    thread.start()
    patience = _SHORTLY
    try:
        yield writing
        patience = _PATIENCE
    finally:
        os.close(writing)
        thread.join(patience)
        if problems:  # QEMU has seen a broken pipe, and says only that
            raise MachineError(f"{path.name}: {problems[0]}", "choose another place by -o")
    if thread.is_alive():
        raise MachineError("QEMU has not come to the end of what it saves")


def _keep(reading: int, file: int, problems: list[str]) -> None:
    try:
        _pour(reading, file)
    except OSError as error:
        problems.append(error.strerror or str(error))
    finally:
        os.close(reading)  # QEMU's writing ends
        os.close(file)


class StateFeed:
    """A file for QEMU to read. fd: the end of a pipe, for QEMU to inherit."""

    def __init__(self, stack: contextlib.ExitStack, path: Path) -> None:
        """Raises OSError."""
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        self.fd, self._writing = os.pipe()
        self._thread = threading.Thread(target=self._feed, daemon=True)
        stack.callback(self._end)

    def start(self) -> None:
        """To be called once, when QEMU has its end."""
        os.close(self.fd)
        self._thread.start()

    def _feed(self) -> None:
        with contextlib.suppress(OSError):  # a QEMU that has ended reads no more
            _pour(self._file, self._writing)
        self._close()

    def _end(self) -> None:
        """Without a start nobody else closes them."""
        if self._thread.ident is None:
            os.close(self.fd)
            self._close()

    def _close(self) -> None:
        os.close(self._writing)
        os.close(self._file)


def _pour(source: int, sink: int) -> None:
    """All bytes until the end. Raises OSError."""
    while data := os.read(source, _PIECE):
        write_all(sink, data)
