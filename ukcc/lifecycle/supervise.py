"""A run, noted as long as it lasts: in the foreground, or in the background.

In the background, this process forks. The child is the machine's supervisor: a session of its own,
no descriptor of the caller's, its output in the log. The parent waits until the machine runs.
"""

import contextlib
import fcntl
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from ukcc import bug
from ukcc.descriptors import write_all
from ukcc.errors import MachineError, UkccError
from ukcc.lifecycle import control, handshake
from ukcc.lifecycle.control import Controlled
from ukcc.lifecycle.entry import End, MachineInfo, write_end
from ukcc.lifecycle.handshake import Failure
from ukcc.lifecycle.logs import STDERR, STDOUT, LogReader, Recorder, show
from ukcc.lifecycle.registry import Registry, check_name, default_directory, generate_name
from ukcc.streams import NotWritten
from ukcc.terminal import shown


@dataclass(frozen=True)
class Hooks:
    """What a run gets of us: who is told that it runs, and a socket: QEMU's second monitor."""

    on_running: "Callable[[Controlled], None] | None" = None
    started_fd: "int | None" = None


# A run: boots the machine and returns the exit status, or raises UkccError.
Run = Callable[[Hooks], int]


def check(name: "str | None") -> None:
    """Finds before anything is done that the name cannot be had. Raises MachineError."""
    if name is not None:
        Registry(default_directory()).refuse_if_running(check_name(name))


def name_for(name: "str | None", image: str) -> str:
    """The name given, or a new one."""
    return name if name is not None else generate_name(image)


def hears_a_byte(channel: socket.socket) -> bool:
    """Whether the machine runs, of a start that says so by a byte; False when it ended first."""
    return bool(channel.recv(1))


def run(
    facts: MachineInfo,
    named: bool,
    start: Run,
    runs: "Callable[[socket.socket], bool]" = handshake.wait_until_running,
) -> int:
    """Runs it, and returns its exit status; 0 as soon as it runs, when it is to be detached.

    named: the user has given the name, so it is an error if it cannot be noted; runs: waits at our
    end of the hooks' socket for a detached machine, False when it has not come to run.
    """
    registry = Registry(default_directory())
    if facts.detached:
        return _detached(registry, facts, start, runs)
    try:
        place = registry.claim(facts)
    except MachineError as error:
        if named:
            raise
        print(
            f"ukcc run: `ukcc ps` does not show this one: {shown(error.message)}", file=sys.stderr
        )
        return start(Hooks())
    end = End(None, 0.0)
    try:
        with _controlled(place) as hooks:
            status = start(hooks)
            end = End(status, time.time())
            return status
    except UkccError as error:
        end = End(error.status, time.time(), error.message)
        raise
    finally:
        with contextlib.suppress(OSError):
            write_end(place, end)
            registry.remove(place, os.getpid())


@contextlib.contextmanager
def _controlled(place: Path) -> Iterator[Hooks]:
    """Hooks that make the machine listen to `ukcc stop` as soon as it runs."""
    with contextlib.ExitStack() as stack:

        def on_running(running: Controlled) -> None:
            # who removes the directory by hand loses the control, not the machine
            with contextlib.suppress(OSError):
                stack.enter_context(control.serve(place, running))

        yield Hooks(on_running)


def _detached(
    registry: Registry, facts: MachineInfo, start: Run, runs: "Callable[[socket.socket], bool]"
) -> int:
    ours, theirs = socket.socketpair()
    said, saying = os.pipe()
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child == 0:
        ours.close()
        os.close(said)
        _supervise(registry, facts, start, theirs.detach(), saying)
    theirs.close()
    os.close(saying)
    place = registry.root / facts.name
    try:
        failure = None if runs(ours) else handshake.hear(said)
    except BaseException:
        # Ctrl-C, or a QEMU that says nothing: QEMU ends with its supervisor
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        registry.remove(place, child)
        raise
    finally:
        ours.close()
        os.close(said)
    if failure is None:
        print(facts.name, flush=True)
        return 0
    os.waitpid(child, 0)
    if registry.looks_after(place, child):
        # what it had to say besides
        show(LogReader(place), write_all, lambda: False)
        registry.remove(place, child)
    raise MachineError(failure.message, failure.hint, failure.status)


def _supervise(
    registry: Registry, facts: MachineInfo, start: Run, started_fd: int, saying: int
) -> NoReturn:
    """The child. Never returns to the frames of its parent, whatever happens."""
    status = bug.STATUS
    try:
        place = registry.claim(facts)
        recorder = _leave_the_caller(place)
        failure = None
        try:
            with _controlled(place) as hooks:
                status = start(Hooks(hooks.on_running, started_fd))
        except UkccError as error:
            failure, status = Failure.of(error), error.status
        except SystemExit as stopped:
            status = stopped.code if isinstance(stopped.code, int) else 1
        except Exception as error:
            failure = _bug(error)
        told = handshake.tell(saying, failure)
        if failure is not None and not told:
            print(UkccError(failure.message, failure.hint).line("ukcc"), file=sys.stderr)
        _finish(recorder, place, status, failure)
    except UkccError as error:
        handshake.tell(saying, Failure.of(error))
    except Exception as error:
        handshake.tell(saying, _bug(error))
    finally:
        os._exit(status)


def _bug(error: Exception) -> Failure:
    return Failure(bug.report(error).removeprefix("ukcc: "), "", bug.STATUS)


def _leave_the_caller(place: Path) -> Recorder:
    """A session of its own, standard streams of its own, and nothing that was inherited."""
    os.setsid()
    for signum in (signal.SIGINT, signal.SIGHUP):
        signal.signal(signum, signal.SIG_DFL)
    recorder = Recorder(place)
    null = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
    os.dup2(null, 0)
    os.close(null)
    for stream, end in recorder.ends.items():
        os.dup2(end, stream)
        os.close(end)
    # our own descriptors close when a program is run, those that we were given do not
    for name in os.listdir("/proc/self/fd"):  # noqa: PTH208 - no objects that open more of them
        with contextlib.suppress(OSError):
            fd = int(name)
            if fd > STDERR and not fcntl.fcntl(fd, fcntl.F_GETFD) & fcntl.FD_CLOEXEC:
                os.close(fd)
    recorder.start()
    return recorder


def _finish(recorder: Recorder, place: Path, status: int, failure: "Failure | None") -> None:
    """The last output, then how it ended: who sees the end finds all output in the log."""
    with contextlib.suppress(OSError, NotWritten):
        sys.stdout.flush()
        sys.stderr.flush()
    null = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    for stream in (STDOUT, STDERR):
        os.dup2(null, stream)
    recorder.join()
    with contextlib.suppress(OSError):
        write_end(place, End(status, time.time(), failure.message if failure else ""))
