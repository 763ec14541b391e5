"""SIGTERM and SIGHUP unwind as Ctrl-C does: children are ended, locks and files released."""

import signal
from types import FrameType
from typing import NoReturn

_SIGNALS = (signal.SIGTERM, signal.SIGHUP)


def unwind_when_ended() -> None:
    """From now on these signals are SystemExit in the main thread, with status 128 + number.

    One that is ignored stays so: nohup(1), and a shell that starts a job in the background.
    """
    for signum in _SIGNALS:
        if signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _ended)


def _ended(number: int, frame: "FrameType | None") -> NoReturn:
    # a further one would leave the unwinding half-way
    for signum in _SIGNALS:
        signal.signal(signum, signal.SIG_IGN)
    raise SystemExit(128 + number)
