"""The host's end of the program in the guest (agent.c): lines to it, by the VMM's virtio socket.

Where the guest connects to a port of the host, the VMM connects to a socket beside its own, with
the port in its name (docs/vsock.md of Firecracker; Cloud Hypervisor does the same).
"""

import contextlib
import os
import secrets
import select
import socket
import threading
import time
from pathlib import Path

from ukcc.vmm.agent import PORT
from ukcc.vmm.description import VSOCK

_SEED_BYTES = 32
_MOST_WAITING = 64  # lines for a guest that has not connected yet
_CHUNK = 4096
_PATIENCE = 5.0  # seconds for a guest that reads nothing


class Link:
    """One machine's. expected: the guest will connect, so what is said before is kept for it.

    continued: it was saved; the first line then is what time it is, and fresh randomness.
    """

    def __init__(
        self,
        stack: contextlib.ExitStack,
        directory: Path,
        owner: "tuple[int, int] | None",
        expected: bool = True,
        continued: bool = False,
    ) -> None:
        self._lock = threading.Lock()
        self._guest: socket.socket | None = None
        self._waiting: list[bytes] = []
        self._expected, self._continued = expected, continued
        self._listener = stack.enter_context(socket.socket(socket.AF_UNIX))
        fd = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            place = f"/proc/self/fd/{fd}/{VSOCK}_{PORT}"
            self._listener.bind(place)
            if owner:
                os.chown(place, *owner)
        finally:
            os.close(fd)
        self._listener.listen(1)
        self._thread = threading.Thread(target=self._serve, daemon=True)

    def start(self) -> None:
        """To be called when there is a machine."""
        self._thread.start()

    def signal(self, signum: int) -> bool:
        """A signal to the application. False where there is no way to the guest."""
        return self._say(b"signal %d\n" % signum)

    def resize(self, rows: int, columns: int) -> None:
        """Tells the guest's terminal its size."""
        self._say(b"resize %d %d\n" % (rows, columns))

    def finish(self) -> None:
        """The machine has ended."""
        with self._lock:
            self._expected = False
            self._drop()
        # wakes the thread, which close() would not
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)

    def _say(self, line: bytes) -> bool:
        with self._lock:
            if self._guest is None:
                if self._expected and len(self._waiting) < _MOST_WAITING:
                    self._waiting.append(line)
                return self._expected
            try:
                return self._guest.send(line, socket.MSG_DONTWAIT) == len(line)
            except OSError:
                return False

    def _serve(self) -> None:
        """One guest at a time, the newest: after a snapshot the old connection is dead."""
        while True:
            try:
                guest, _ = self._listener.accept()
            except OSError:
                return
            guest.settimeout(_PATIENCE)
            with self._lock:
                self._drop()
                self._guest = guest
                self._expected = False  # from now on it is there, or it is lost
                lines, self._waiting = self._waiting, []
                if self._continued:
                    lines.insert(0, resumed_line())
                    self._continued = False
                with contextlib.suppress(OSError):
                    guest.sendall(b"".join(lines))
            threading.Thread(target=self._listen, args=(guest,), daemon=True).start()

    def _listen(self, guest: socket.socket) -> None:
        """The guest says nothing but that it is there."""
        poll = select.poll()
        with contextlib.suppress(OSError, ValueError):  # it may be closed by now
            poll.register(guest, select.POLLIN)
            while poll.poll() and guest.recv(_CHUNK):
                # a guest that writes all the time gets no more of us than this
                time.sleep(0.1)
        with self._lock:
            if self._guest is guest:
                self._drop()

    def _drop(self) -> None:
        if self._guest is not None:
            # wakes who waits for it, which close() would not
            with contextlib.suppress(OSError):
                self._guest.shutdown(socket.SHUT_RDWR)
            self._guest.close()
        self._guest = None


def resumed_line() -> bytes:
    """What a continued guest is told: the time, and randomness of its own."""
    seconds, nanoseconds = divmod(time.time_ns(), 10**9)
    seed = secrets.token_hex(_SEED_BYTES)
    return f"resumed {seconds}.{nanoseconds:09d} {seed}\n".encode()
