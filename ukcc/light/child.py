"""Running a command on the link path, signals passed on to it; with `posix_spawn`, as importing
`subprocess` costs every link 14 ms."""

import fcntl
import os

from ukcc.light import tool as process

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping, Sequence
else:
    import _signal as signal  # what is behind `signal`, which would import `enum`

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal came that ends us."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def hear_signals() -> None:
    """From now on a signal that would end us raises Interrupted."""
    for number in _FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)


def execute(
    command: "Sequence[str]",
    environ: "Mapping[str, str]",
    streams: "Mapping[int, int] | None" = None,
) -> int:
    """Runs the command and returns its exit status; a signal that ends us reaches it first.

    streams: its descriptors 0 to 2, as far as they are not ours. A command that dies of a signal
    raises Interrupted.
    """
    actions = [(os.POSIX_SPAWN_DUP2, ours, its) for its, ours in (streams or {}).items()]
    # Held back until there is a child to pass it on to.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    try:
        child = os.posix_spawnp(
            command[0],
            list(command),
            process.original_environment(environ),
            file_actions=actions,
            setsigmask=unblocked,
            setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
        )
    except OSError:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        raise
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        _, status = os.waitpid(child, 0)
    except Interrupted as interruption:
        signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        try:
            os.kill(child, interruption.number)
            os.waitpid(child, 0)
        except (ProcessLookupError, ChildProcessError):
            pass  # it ended by itself: Ctrl-C reaches the whole group
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        raise
    if os.WIFSIGNALED(status):
        raise Interrupted(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def capture(command: "Sequence[str]", environ: "Mapping[str, str]") -> "tuple[int, bytes, bytes]":
    """Exit status, standard output and standard error of a command."""
    out, err = scratch(), scratch()
    try:
        status = execute(command, environ, {1: out, 2: err})
        return status, contents(out), contents(err)
    finally:
        os.close(out)
        os.close(err)


def scratch() -> int:
    """A file in memory, without a name, that no child inherits."""
    fd = os.memfd_create("ukcc")
    if fd > 2:
        return fd
    # One of the standard streams was closed; a file of ours must not take its place.
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 3)
    os.close(fd)
    return moved


def contents(fd: int) -> bytes:
    """All that was written to a scratch file."""
    return os.pread(fd, os.fstat(fd).st_size, 0)


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)
