"""What QEMU tells of a machine unasked (QMP events): a panic, a reset, its end, KVM's failure.

The hypervisor's word, not the console's: what is written there is the application's as well. The
kernel tells of a panic by the pvpanic device (Linux: drivers/misc/pvpanic). That is not the end of
it: what it has to say may come to the console only afterwards (panic() of kernel/panic.c flushes
it), so the machine goes on (`-action panic=none`) until it resets itself. A kernel that panics
before it knows the device, or has no driver, only resets. QEMU keeps the machine as it was then
(`shutdown=pause`), so that somebody can look what the CPUs were at. It goes by our word: `quit`.

Where KVM cannot go on, QEMU only stops the machine, for a debugger. A stop may be ours as well (a
look at its CPUs, a snapshot), so QEMU is asked then what kind it is.

A small reader of its own, since every run has it: the QMP library loads asyncio.
"""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

_CHUNK = 65536
_LONGEST = 1 << 20  # bytes of a line; QEMU's are some hundred
_HELLO = b'{"execute":"qmp_capabilities"}\n'
_STATUS = b'{"execute":"query-status"}\n'
_QUIT = b'{"execute":"quit"}\n'

# `-action`: the machine stays for a look when it has ended.
ACTIONS = "panic=none,shutdown=pause"
_LAST_WORDS = 15.0  # seconds in which a kernel that has panicked resets, slow emulation included


class Lines:
    """Bytes in, JSON objects out, one a line; what is none, or too long, is passed over."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, data: bytes) -> "Iterator[dict[str, Any]]":
        """The objects that these bytes complete."""
        self._rest += data
        *lines, rest = self._rest.split(b"\n")
        self._rest = rest if len(rest) <= _LONGEST else bytearray()
        for line in lines:
            with contextlib.suppress(ValueError, RecursionError):
                found = json.loads(line)
                if isinstance(found, dict):
                    yield found


def is_panic(message: "dict[str, Any]") -> bool:
    """Whether the guest's kernel has told of its panic."""
    return message.get("event") == "GUEST_PANICKED"


def ending(message: "dict[str, Any]") -> "str | None":
    """Why the machine has ended: `guest-shutdown`, `guest-reset`, …; None if it has not."""
    if message.get("event") != "SHUTDOWN":
        return None
    data = message.get("data")
    return str(data.get("reason", "")) if isinstance(data, dict) else ""


def is_stop(message: "dict[str, Any]") -> bool:
    """Whether the machine's CPUs have been stopped, by whomever."""
    return message.get("event") == "STOP"


def is_failure(message: "dict[str, Any]") -> bool:
    """Whether it is the answer to `query-status` of a machine that the accelerator cannot run."""
    answer = message.get("return")
    return isinstance(answer, dict) and answer.get("status") == "internal-error"


class Events:
    """One machine's. panicked: its kernel has said so; reset: it has reset itself; failed: the
    accelerator could not go on.

    look: called, in a thread, when the machine has ended by either.
    """

    def __init__(self, stack: contextlib.ExitStack, look: Callable[[], None]) -> None:
        self._ours, self._theirs = (stack.enter_context(end) for end in socket.socketpair())
        self._look = look
        self.panicked = self.reset = self.failed = False
        self._ending = threading.Lock()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @property
    def qemu_end(self) -> int:
        """QEMU's end of the monitor's socket."""
        return self._theirs.fileno()

    def start(self) -> None:
        """To be called when QEMU has its end."""
        self._theirs.close()
        self._thread.start()

    def _run(self) -> None:
        lines = Lines()
        with contextlib.suppress(OSError):
            self._ours.sendall(_HELLO)
            while data := self._ours.recv(_CHUNK):
                for message in lines.feed(data):
                    self._hear(message)

    def _hear(self, message: "dict[str, Any]") -> None:
        why = ending(message)
        if is_panic(message) and not self.panicked:
            self.panicked = True
            timer = threading.Timer(_LAST_WORDS, self._end, [True])
            timer.daemon = True
            timer.start()
        elif why is not None:
            self.reset = self.reset or (why == "guest-reset" and not self.panicked)
            self._end(why == "guest-reset")
        elif is_stop(message):
            with contextlib.suppress(OSError):
                self._ours.sendall(_STATUS)
        elif is_failure(message):
            self.failed = True
            self._end(False)

    def _end(self, look: bool) -> None:
        """Ends the machine; the first time, with a look before that if one is wanted."""
        if not self._ending.acquire(blocking=False):
            return
        try:
            if look:
                self._look()
        finally:
            with contextlib.suppress(OSError):
                self._ours.sendall(_QUIT)
