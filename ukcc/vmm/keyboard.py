"""A person's keys for a VMM's standard input, which is a terminal: Cloud Hypervisor reads no other.

The terminal is a pair of ours in raw mode, so that every byte is the guest's; what the person sees
comes by another way.
"""

import contextlib
import os
import pty
import socket
import threading
import tty

from ukcc.descriptors import write_all

_CHUNK = 4096


class Keyboard:
    """keys: the socket that brings them (ukcc/vm/live/console.py)."""

    def __init__(self, stack: contextlib.ExitStack, keys: socket.socket) -> None:
        self._ours, self.vmm_end = pty.openpty()
        stack.callback(os.close, self._ours)
        tty.setraw(self.vmm_end)
        self._keys = keys.dup()
        stack.callback(self.finish)
        self._thread = threading.Thread(target=self._copy, daemon=True)

    def start(self) -> None:
        """To be called when the VMM has its end."""
        os.close(self.vmm_end)
        self._thread.start()

    def finish(self) -> None:
        """The machine has ended, and whoever types is to notice."""
        with contextlib.suppress(OSError):
            self._keys.shutdown(socket.SHUT_RDWR)
        self._keys.close()

    def _copy(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._keys.recv(_CHUNK):
                write_all(self._ours, data)
