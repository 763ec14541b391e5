"""The queue of a forwarded port is lengthened in another process."""

import socket
import subprocess
import sys

import pytest

from ukcc.vm.net import backlog

LISTENER = """
import socket, sys
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(1)
print(s.getsockname()[1], flush=True)
sys.stdin.read()
"""


def test_a_child_takes_more_connections() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", LISTENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    clients: list[socket.socket] = []
    try:
        assert child.stdout is not None
        endpoint = ("127.0.0.1", int(child.stdout.readline()))
        backlog.lengthen(child.pid, [endpoint])
        try:
            for _ in range(20):
                clients.append(socket.create_connection(endpoint, timeout=0.5))
        except TimeoutError:
            pytest.skip("pidfd_getfd is forbidden here")
    finally:
        for client in clients:
            client.close()
        child.communicate()
    assert len(clients) == 20
