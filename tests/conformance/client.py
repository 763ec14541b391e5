"""Runs one command in the guest, with this process's streams. Standard library only."""

import os
import socket
import stat
import threading
from dataclasses import dataclass

from conformance import wire
from conformance.wire import Command

LOOPBACK = "127.0.0.1"
_HELLO = 60.0  # seconds for the guest to take a connection, when it has much to do
_GRACE = 60.0  # seconds behind the deadline, until a guest that says nothing counts as hung


class GuestLost(Exception):
    """The guest died, or hangs, before it said how the command did."""


@dataclass(frozen=True)
class Ending:
    """How a command ended. status: as waitpid(2) has it; error: the errno when it did not start,
    which may be about its directory."""

    status: int = 0
    timed_out: bool = False
    error: int = 0
    about_directory: bool = False


@dataclass(frozen=True)
class Streams:
    """Descriptors of this process. stdin: -1 when it is empty, or a file of the guest's."""

    stdin: int = 0
    stdout: int = 1
    stderr: int = 2


def connect(port: int, patience: float = _HELLO) -> socket.socket:
    """A connection on which the guest has said hello. Raises GuestLost after `patience` seconds."""
    try:
        connection = socket.create_connection((LOOPBACK, port), timeout=patience)
    except OSError as error:
        raise GuestLost(f"no connection: {error}") from None
    try:
        kind, _ = wire.receive(connection)
        if kind != wire.HELLO:
            raise GuestLost(f"port {port} has another server")
    except (OSError, wire.Hangup) as error:
        connection.close()
        raise GuestLost(f"no hello: {error}") from None
    except GuestLost:
        connection.close()
        raise
    return connection


def run(connection: socket.socket, command: Command, streams: Streams) -> Ending:
    """Runs it; passes streams on until it ends. Raises GuestLost."""
    connection.settimeout(command.deadline + _GRACE if command.deadline else None)
    try:
        connection.sendall(wire.request(command))
        if streams.stdin < 0:
            connection.sendall(wire.frame(wire.STDIN))
        else:
            feeder = threading.Thread(target=_feed, args=(connection, streams.stdin), daemon=True)
            feeder.start()
        return _follow(connection, streams)
    except (OSError, wire.Hangup) as error:
        raise GuestLost(str(error)) from None


def _follow(connection: socket.socket, streams: Streams) -> Ending:
    outputs = {wire.STDOUT: streams.stdout, wire.STDERR: streams.stderr}
    while True:
        kind, data = wire.receive(connection)
        if kind in outputs:
            _write(outputs[kind], data)
        elif kind == wire.ENDED:
            status, timed_out = wire.numbers(data)
            return Ending(status=status, timed_out=bool(timed_out))
        elif kind == wire.FAILED:
            error, about_directory = wire.numbers(data)
            return Ending(error=error, about_directory=bool(about_directory))
        else:
            raise wire.Hangup(f"the guest says {kind!r}")


def _feed(connection: socket.socket, descriptor: int) -> None:
    """Standard input to the guest. Ends with the process at the latest: a daemon thread."""
    try:
        while data := os.read(descriptor, 65536):
            connection.sendall(wire.frame(wire.STDIN, data))
        connection.sendall(wire.frame(wire.STDIN))
    except OSError:
        return  # who reads the answers finds out


def _write(descriptor: int, data: bytes) -> None:
    """All of it. A reader that has gone is as good as one that reads."""
    try:
        while data:
            data = data[os.write(descriptor, data) :]
    except BrokenPipeError:
        return


def same_file(one: int, other: int) -> bool:
    """Whether two descriptors lead to the same file, pipe or terminal."""
    first, second = os.fstat(one), os.fstat(other)
    return (first.st_dev, first.st_ino) == (second.st_dev, second.st_ino)


def stdin_file(descriptor: int) -> bytes:
    """The path of the file that standard input is at the begin of, or b"" for anything else."""
    status = os.fstat(descriptor)
    empty = stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev  # noqa: PTH116
    regular = stat.S_ISREG(status.st_mode) and os.lseek(descriptor, 0, os.SEEK_CUR) == 0
    if not (empty or regular):
        return b""
    path = os.readlink(f"/proc/self/fd/{descriptor}".encode())  # noqa: PTH115
    return b"/dev/null" if empty else path
