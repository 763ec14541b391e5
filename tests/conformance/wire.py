"""What host and guest agent say to each other: frames over one connection a command.

A frame is a type (one byte), a length (four bytes, little-endian), and so many bytes. The other
end is tests/conformance/agent/wire.c. Standard library only: the wrapper starts once a test.
"""

import socket
import struct
from dataclasses import dataclass, field

# From the host, up to GO; then STDIN, whose end is an empty one.
ARGUMENTS = b"a"  # words, each ended by a NUL
ENVIRONMENT = b"v"  # NAME=value entries, likewise; there are no others
DIRECTORY = b"d"  # where the command starts
UMASK = b"m"  # u32
LIMITS = b"l"  # pairs of u32 (RLIMIT_…) and u64: soft limits
DEADLINE = b"t"  # u32: seconds
JOINED = b"j"  # standard error goes where standard output goes
STDIN_FILE = b"p"  # path of a file that is standard input
GO = b"g"
STDIN = b"i"

# From the guest.
HELLO = b"h"  # at once; QEMU takes connections before the guest does
STDOUT = b"o"
STDERR = b"e"
FAILED = b"f"  # did not start. u32: an errno; u32: 1 when it is about the directory
ENDED = b"x"  # u32: the wait status as it is; u32: 1 when the deadline was over

_HEAD = struct.Struct("<cI")


class Hangup(Exception):
    """The other end has gone."""


@dataclass(frozen=True)
class Command:
    """One command, as it shall run in the guest.

    limits: soft limits by RLIMIT_ number; deadline: seconds, after which it and all its
    descendants are killed, 0 for none; stdin_file: a path that the guest has, too.
    """

    arguments: tuple[bytes, ...]
    environment: tuple[bytes, ...]
    directory: bytes = b"/"
    umask: int = 0o22
    limits: dict[int, int] = field(default_factory=dict)
    deadline: int = 0
    joined: bool = False
    stdin_file: bytes = b""


def frame(kind: bytes, data: bytes = b"") -> bytes:
    """One frame."""
    return _HEAD.pack(kind, len(data)) + data


def request(command: Command) -> bytes:
    """All frames that ask for a command, the last one GO."""
    limits = b"".join(struct.pack("<IQ", *limit) for limit in sorted(command.limits.items()))
    frames = [
        frame(ARGUMENTS, _words(command.arguments)),
        frame(ENVIRONMENT, _words(command.environment)),
        frame(DIRECTORY, command.directory),
        frame(UMASK, struct.pack("<I", command.umask)),
        frame(LIMITS, limits),
        frame(DEADLINE, struct.pack("<I", command.deadline)),
    ]
    if command.joined:
        frames.append(frame(JOINED))
    if command.stdin_file:
        frames.append(frame(STDIN_FILE, command.stdin_file))
    return b"".join([*frames, frame(GO)])


def receive(connection: socket.socket) -> tuple[bytes, bytes]:
    """The next frame's type and data. Raises Hangup, and TimeoutError as the socket has it."""
    kind, size = _HEAD.unpack(_whole(connection, _HEAD.size))
    return kind, _whole(connection, size)


def numbers(data: bytes) -> tuple[int, ...]:
    """The u32 numbers of a frame."""
    return struct.unpack(f"<{len(data) // 4}I", data)


def _words(words: tuple[bytes, ...]) -> bytes:
    return b"".join(word + b"\0" for word in words)


def _whole(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        try:
            more = connection.recv(size - len(data))
        except ConnectionError as error:
            raise Hangup(str(error)) from None
        if not more:
            raise Hangup("the connection was closed")
        data += more
    return bytes(data)
