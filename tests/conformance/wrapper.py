"""`python in_guest.py COMMAND…`: the command runs in the guest, as if it were here.

A test suite puts this before the programs that it runs. Streams, working directory, umask, limits
and environment go along; `env [-i] NAME=VALUE… COMMAND` is understood without a program `env` in
the guest. The exit status is the command's, and a signal that killed it kills this process, too.

UKCC_CONFORMANCE_SOCKET  the keeper's socket (keeper.py), which knows the guest
UKCC_CONFORMANCE_LIMIT   seconds for the command (default 300), then status 124

Standard library only: this starts once a test.
"""

import contextlib
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from conformance import client, keeping
from conformance.client import Ending, GuestLost, Streams
from conformance.wire import Command

MARK = "conformance wrapper"  # begins each line that is ours, not the test's
TIMED_OUT = 124  # as timeout(1)
LOST = 125

# How a suite starts it.
BY_PATH = (sys.executable, str(Path(__file__).with_name("in_guest.py")))

_LIMIT = "300"
_OURS = (keeping.SOCKET, keeping.LIMIT)

# What a test may have been given by its suite; the others are the machine's.
_LIMITS = tuple(
    getattr(resource, f"RLIMIT_{name}")
    for name in ("CORE", "CPU", "FSIZE", "DATA", "STACK", "AS", "NOFILE")
)


def main(words: Sequence[str]) -> int:
    """Runs the command; returns its status, or does not return when a signal killed it."""
    own = os.environ
    if keeping.SOCKET not in own or not words:
        _say(f"usage: {keeping.SOCKET}=PATH … [env [-i] [NAME=VALUE]…] COMMAND…")
        return LOST
    kept = {name: value for name, value in own.items() if name not in _OURS}
    arguments, environment = without_env(words, kept)
    command = Command(
        arguments=tuple(os.fsencode(word) for word in arguments),
        environment=tuple(os.fsencode(f"{n}={v}") for n, v in environment.items()),
        directory=os.fsencode(os.getcwd()),  # noqa: PTH109
        umask=_umask(),
        limits={number: _soft(number) for number in _LIMITS},
        deadline=int(own.get(keeping.LIMIT, _LIMIT)),
        joined=client.same_file(1, 2),
        stdin_file=client.stdin_file(0),
    )
    try:
        guest = keeping.ask(own[keeping.SOCKET])
    except keeping.NoGuest as error:
        _say(f"no guest: {error}")
        return LOST
    try:
        with client.connect(guest.port) as connection:
            ending = client.run(connection, command, Streams(-1 if command.stdin_file else 0))
    except GuestLost as error:
        _say(f"the guest died: {keeping.lost(own[keeping.SOCKET], guest, str(error))}")
        return LOST
    return conclude(ending, command)


def without_env(
    words: Sequence[str], environment: Mapping[str, str]
) -> tuple[list[str], dict[str, str]]:
    """The command and its environment, when `env` with assignments or `-i` is before it.

    Any other option of env(1) leaves the words as they are.
    """
    rest, variables = list(words), dict(environment)
    while rest and rest[0] == "env":
        inner, given = rest[1:], dict(variables)
        if inner[:1] == ["-i"]:
            inner, given = inner[1:], {}
        while inner and "=" in inner[0] and not inner[0].startswith("-"):
            name, _, value = inner.pop(0).partition("=")
            given[name] = value
        if not inner or inner[0].startswith("-"):
            break
        rest, variables = inner, given
    return rest, variables


def conclude(ending: Ending, command: Command) -> int:
    """The exit status; a signal is raised here as it was there."""
    name = os.fsdecode(command.arguments[0])
    if ending.error:
        what = os.fsdecode(command.directory) if ending.about_directory else name
        _say(f"{what}: {os.strerror(ending.error)}")
        return 127 if ending.error == 2 else 126  # as a shell has it
    if ending.timed_out:
        _say(f"{name}: killed after {command.deadline} s")
        return TIMED_OUT
    if os.WIFSIGNALED(ending.status):
        _die_of(os.WTERMSIG(ending.status))
        return 128 + os.WTERMSIG(ending.status)  # where that signal cannot be raised
    return os.WEXITSTATUS(ending.status)


def _die_of(number: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # the core that counts is the guest's
    with contextlib.suppress(OSError, ValueError):  # SIGKILL has no handler to reset
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _soft(number: int) -> int:
    """A soft limit as 64 bits, RLIM_INFINITY all ones."""
    return resource.getrlimit(number)[0] & (1 << 64) - 1


def _say(text: str) -> None:
    """On both streams: a suite may keep only one of them."""
    line = f"{MARK}: {text}\n".encode()
    for descriptor in (2,) if client.same_file(1, 2) else (2, 1):
        with contextlib.suppress(OSError):
            os.write(descriptor, line)
