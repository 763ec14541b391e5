"""What another process may ask of a machine: that it ends, a signal, its exit status."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ukcc.errors import MachineError
from ukcc.lifecycle import control
from ukcc.lifecycle.entry import LOST, End, MachineEntry, open_end, parse_end
from ukcc.lifecycle.identity import has_ended, open_process

GRACE = 10.0  # seconds that `ukcc stop` gives an application
_KILLED = 5.0  # seconds in which a guest powers off whose application was killed
_ENDING = 15.0  # seconds in which a supervisor has ended its machine
_HIGHEST_SIGNAL = 64
_END_BYTES = 65536


@dataclass(frozen=True)
class StopResult:
    """What `stop` did. forced: the application had not ended, so its machine was."""

    name: str
    forced: bool


def parse_signal(text: str) -> int:
    """`TERM`, `SIGTERM`, `15` -> 15. Raises MachineError."""
    word = text.upper()
    if word.isascii() and word.isdigit() and 1 <= int(word) <= _HIGHEST_SIGNAL:
        return int(word)
    with contextlib.suppress(KeyError):
        return signal.Signals[word if word.startswith("SIG") else f"SIG{word}"].value
    raise MachineError(
        f"-s {text!r} is not understood", "it takes a signal: TERM, SIGTERM or a number, 1 to 64"
    )


def send(entry: MachineEntry, signum: int) -> None:
    """A signal to the application; SIGKILL ends the machine. Raises MachineError."""
    with _running(entry) as pidfd:
        _ask(entry, pidfd, "end" if signum == signal.SIGKILL else f"signal {signum}")
        if signum == signal.SIGKILL:
            _wait_or_kill(pidfd)


def stop(entries: Sequence[MachineEntry], grace: float) -> list[StopResult]:
    """SIGTERM to all the applications, `grace` seconds for them, SIGKILL, the machines' end."""
    with contextlib.ExitStack() as stack:
        pidfds = [stack.enter_context(_running(entry)) for entry in entries]
        for entry, pidfd in zip(entries, pidfds, strict=True):
            _ask(entry, pidfd, f"signal {signal.SIGTERM.value}", deaf=True)
        end = time.monotonic() + grace
        endings = []
        for entry, pidfd in zip(entries, pidfds, strict=True):
            forced = not has_ended(pidfd, end - time.monotonic())
            if forced:
                # a guest that can still do so writes its files back before it powers off
                _ask(entry, pidfd, f"signal {signal.SIGKILL.value}", deaf=True)
                if not has_ended(pidfd, _KILLED):
                    _ask(entry, pidfd, "end")
                    _wait_or_kill(pidfd)
            endings.append(StopResult(entry.name, forced))
    return endings


def wait(entry: MachineEntry) -> End:
    """Waits for the machine's end, if it has not ended. Raises MachineError when nobody knows it.

    The file is opened first, since an entry of the foreground goes with its machine.
    """
    if entry.end is not None:
        return _known(entry, entry.end)
    try:
        fd = open_end(entry.path)
    except OSError:
        raise _has_ended(entry) from None
    try:
        if entry.supervisor is not None:
            with open_process(entry.supervisor) as pidfd:
                if pidfd is not None:
                    has_ended(pidfd, None)
        end = parse_end(os.pread(fd, _END_BYTES, 0))
    finally:
        os.close(fd)
    return _known(entry, end or End(None, time.time(), LOST))


def _known(entry: MachineEntry, end: End) -> End:
    if end.status is None:
        raise MachineError(f"{entry.name}: no exit status: {end.why}")
    return end


@contextlib.contextmanager
def _running(entry: MachineEntry) -> Iterator[int]:
    if entry.supervisor is None or not entry.is_running:
        raise _has_ended(entry)
    with open_process(entry.supervisor) as pidfd:
        if pidfd is None:
            raise _has_ended(entry)
        yield pidfd


def _has_ended(entry: MachineEntry) -> MachineError:
    return MachineError(f"{entry.name} does not run ({entry.state})", "`ukcc ps` shows what does")


def _ask(entry: MachineEntry, pidfd: int, line: str, deaf: bool = False) -> None:
    """Silent when the machine ends by itself just now: that is what was wanted.

    deaf: a machine that no signal reaches is no error.
    """
    # one that was stopped at its terminal hears nothing until it goes on
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, signal.SIGCONT)
    try:
        said = control.ask(entry.path, line, lambda: not has_ended(pidfd, 0))
    except OSError as error:
        if has_ended(pidfd, 1.0):
            return
        raise MachineError(
            f"{entry.name}: its supervisor does not answer: {error.strerror or error}",
            "`ukcc kill` ends it",
        ) from None
    # nothing at all: it ended while we asked
    if said and said != "ok" and not (deaf and said == control.DEAF):
        raise MachineError(f"{entry.name}: {said.removeprefix('no: ')}")


def _wait_or_kill(pidfd: int) -> None:
    """A supervisor that does not come to its end is killed; QEMU goes with it."""
    if not has_ended(pidfd, _ENDING):
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        has_ended(pidfd, None)
