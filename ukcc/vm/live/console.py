"""The terminal of a person, as the machine's console.

QEMU has no part in it: it gets one end of a socket, and runs in a session of its own, where neither
the keyboard's signals nor the terminal's end reach it.
"""

import contextlib
import os
import select
import signal
import socket
import termios
import threading
import time
from collections.abc import Callable
from typing import Any

STDIN, STDOUT = 0, 1
_CHUNK = 4096
_MOMENT = 0.02  # seconds
_GLANCE = 100  # milliseconds between two looks at whose terminal it is

# Indices of what tcgetattr() gives (termios(3)).
_IFLAG, _OFLAG, _CFLAG, _LFLAG = 0, 1, 2, 3


class Console:
    """Our end and QEMU's end of the console. `on_resize` is called with rows and columns."""

    def __init__(
        self, stack: contextlib.ExitStack, on_resize: "Callable[[int, int], None]"
    ) -> None:
        self._ours, self.guest_end = socket.socketpair()
        stack.callback(self._ours.close)
        stack.callback(self.guest_end.close)
        self._on_resize = on_resize
        self._mode = termios.tcgetattr(STDIN)
        self._background = False

    @property
    def output(self) -> int:
        """The descriptor that brings what the machine shows."""
        return self._ours.fileno()

    def start(self, stack: contextlib.ExitStack) -> None:
        """Makes the terminal raw until the stack unwinds; what is typed goes to the machine."""
        self.guest_end.close()
        stack.callback(self._restore)
        self._make_raw()
        for signum, handler in ((signal.SIGWINCH, self._resized), (signal.SIGCONT, self._resumed)):
            stack.callback(signal.signal, signum, signal.signal(signum, handler))
        # between our look at the size and the handler it may have changed
        self._resized()
        threading.Thread(target=self._copy_input, daemon=True).start()

    def suspend(self) -> None:
        """Stops this process and its job as Ctrl-Z does a program, until somebody continues it.

        Where there is no job control (a session's leader, cron, SIGTSTP ignored) it returns at
        once, as the kernel takes no notice of the signal then.
        """
        self._restore()
        os.kill(0, signal.SIGTSTP)
        # it may be taken by another thread; from then on it stops this one as well
        while signal.SIGTSTP in signal.sigpending():
            time.sleep(_MOMENT)
        time.sleep(_MOMENT)
        self._resumed()

    def _is_ours(self) -> bool:
        """Whether we are the terminal's foreground job: else to use it would stop us."""
        try:
            return os.tcgetpgrp(STDIN) == os.getpgrp()
        except OSError:
            return True  # not our controlling terminal, where nobody is stopped

    def _make_raw(self) -> None:
        termios.tcsetattr(STDIN, termios.TCSADRAIN, raw_mode(self._mode))

    def _restore(self) -> None:
        if self._background:
            return  # who has the terminal by now has set it as they like
        with contextlib.suppress(termios.error):  # it may have gone
            termios.tcsetattr(STDIN, termios.TCSADRAIN, self._mode)

    def _resized(self, *_: Any) -> None:
        with contextlib.suppress(OSError):
            size = os.get_terminal_size(STDOUT)
            self._on_resize(size.lines, size.columns)

    def _resumed(self, *_: Any) -> None:
        """Whoever had the terminal while we were stopped has set it as they like.

        Continued in the background, we leave it alone until it is ours (`_copy_input`).
        """
        self._background = not self._is_ours()
        if self._background:
            return
        with contextlib.suppress(termios.error):
            self._make_raw()
        self._resized()

    def _copy_input(self) -> None:
        """Until the machine ends: what is typed then is the next reader's, and not read here."""
        poll = select.poll()
        poll.register(STDIN, select.POLLIN)
        poll.register(self._ours, 0)
        with contextlib.suppress(OSError):
            while True:
                ready = dict(poll.poll(_GLANCE if self._background else None))
                if self._ours.fileno() in ready:
                    return
                if self._background:
                    self._wait_for_turn()
                    continue
                data = os.read(STDIN, _CHUNK)
                if not data:
                    return
                self._ours.sendall(data)

    def _wait_for_turn(self) -> None:
        """A shell's `fg` sends no signal to a job that runs already."""
        time.sleep(_GLANCE / 1000)
        if self._is_ours():
            self._resumed()


def raw_mode(mode: "list[Any]") -> "list[Any]":
    """A terminal's mode, as tcgetattr() gives it, made raw as cfmakeraw(3) does."""
    raw = list(mode)
    raw[_IFLAG] &= ~(
        termios.IGNBRK
        | termios.BRKINT
        | termios.PARMRK
        | termios.ISTRIP
        | termios.INLCR
        | termios.IGNCR
        | termios.ICRNL
        | termios.IXON
    )
    raw[_OFLAG] &= ~termios.OPOST
    raw[_LFLAG] &= ~(termios.ECHO | termios.ECHONL | termios.ICANON | termios.ISIG | termios.IEXTEN)
    raw[_CFLAG] = raw[_CFLAG] & ~(termios.CSIZE | termios.PARENB) | termios.CS8
    return raw
