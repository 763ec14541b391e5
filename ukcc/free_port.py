"""A free port of the host."""

import socket

_LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """A TCP port of the loopback interface that was free just now."""
    with socket.socket() as trial:
        trial.bind((_LOOPBACK, 0))
        return int(trial.getsockname()[1])
