"""A link of a program: the real link, then the kernel is packed around what came out.

The real link writes the output's own name, so that everything derived from it (diagnostics, map
and dependency files, -save-temps, split debug information) is as GCC makes it. The image is
packed beside it and takes its place by rename.
"""

import contextlib
import os
import signal

from ukcc.cc import log, process
from ukcc.cc.plan import Plan
from ukcc.errors import UkccError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal came that ends us."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


def run(plan: Plan, environ: "Mapping[str, str]") -> int:
    """Links and packs; returns the exit status."""
    before = _identity(plan.output)
    log.record(environ, "link", plan.command)
    for number in _FORWARDED:
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        status = _execute(plan.command, environ)
        # Not every link makes something: -Wl,--version, or an output that is /dev/null.
        if status == 0 and _is_new_program(plan.output, before):
            _pack(plan, environ)
    except Interrupted as interruption:
        _remove_if_new(plan.output, before)
        return _die_of(interruption.number)
    return status


def _execute(command: "tuple[str, ...]", environ: "Mapping[str, str]") -> int:
    """Runs the real link; a signal that ends us is passed on to it first."""
    # Held back until there is a child to pass it on to.
    unblocked = signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
    child = os.posix_spawn(
        command[0],
        command,
        process.original_environment(environ),
        setsigmask=unblocked,
        setsigdef=[signal.SIGPIPE, signal.SIGXFSZ],
    )
    try:
        signal.pthread_sigmask(signal.SIG_SETMASK, unblocked)
        _, status = os.waitpid(child, 0)
    except Interrupted as interruption:
        signal.pthread_sigmask(signal.SIG_BLOCK, _FORWARDED)
        try:
            os.kill(child, interruption.number)
            os.waitpid(child, 0)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _FORWARDED)
        raise
    if os.WIFSIGNALED(status):
        raise Interrupted(os.WTERMSIG(status))
    return os.waitstatus_to_exitcode(status)


def _pack(plan: Plan, environ: "Mapping[str, str]") -> None:
    """Puts the image in the program's place. On failure nothing is left there."""
    from ukcc.image.pack import pack_image

    log.record(environ, "pack", (plan.output,))
    try:
        pack_image(
            plan.output,
            plan.output,
            sysroot=plan.sysroot,
            link_command=plan.command,
            name=os.path.basename(plan.output),  # noqa: PTH119
        )
    except BaseException as error:
        _remove(plan.output)
        if isinstance(error, OSError):
            raise UkccError(f"cannot write '{plan.output}': {error.strerror}") from error
        raise


def _identity(path: str) -> "tuple[int, int, int] | None":
    """What tells a file from the one that the link puts in its place; None: no regular file."""
    try:
        status = os.stat(path)  # noqa: PTH116
    except OSError:
        return None
    if status.st_mode & 0o170000 != 0o100000:
        return None
    return status.st_ino, status.st_mtime_ns, status.st_size


def _is_new_program(path: str, before: "tuple[int, int, int] | None") -> bool:
    identity = _identity(path)
    return identity is not None and identity != before


def _remove_if_new(path: str, before: "tuple[int, int, int] | None") -> None:
    if _is_new_program(path, before):
        _remove(path)


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(path)  # noqa: PTH108


def _interrupt(number: int, frame: object) -> None:
    raise Interrupted(number)


def _die_of(number: int) -> int:
    """Ends as the signal ends a program, so that `make` and the shell see it."""
    with contextlib.suppress(OSError):  # SIGKILL cannot be set, and needs not be
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    return 128 + number
