"""The host's part of a boot: a client's exchange over TCP and HTTP GETs, or an HTTP server."""

import contextlib
import functools
import http.client
import http.server
import re
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from compat.schema import Get, Talk
from ukcc.errors import UkccError
from ukcc.vm.options import LOOPBACK

_ANSWER = 10.0  # seconds for one answer
_PAUSE = 0.1  # seconds between attempts


class NotYet(Exception):
    """The server does not answer, yet: QEMU takes connections before the guest does."""


def until_served(attempt: Callable[[], None], deadline: float, alive: Callable[[], bool]) -> None:
    """Tries until it does not raise NotYet. `deadline`: by time.monotonic(). Raises UkccError."""
    while True:
        try:
            return attempt()
        except NotYet as reason:
            if not alive():
                raise UkccError("the machine ended before it served") from None
            if time.monotonic() > deadline:
                raise UkccError(f"no answer from the server: {reason}") from None
            time.sleep(_PAUSE)


def converse(port: int, exchanges: Sequence[Talk]) -> None:
    """All exchanges over one connection. Raises NotYet while nothing came, then UkccError."""
    try:
        with socket.create_connection((LOOPBACK, port), timeout=_ANSWER) as connection:
            for index, exchange in enumerate(exchanges):
                connection.sendall(exchange.send.encode())
                _expect(connection, exchange, first=index == 0)
    except OSError as error:
        raise NotYet(str(error)) from None


def _expect(connection: socket.socket, exchange: Talk, *, first: bool) -> None:
    """Reads until the answer matches; an empty expectation waits for the server to hang up."""
    received = b""
    while not exchange.expect or not re.search(exchange.expect, received.decode(errors="replace")):
        try:
            more = connection.recv(65536)
        except OSError as error:
            if first and not received:
                raise NotYet(str(error)) from None
            raise _wrong(exchange, received) from None
        if not more:
            if not exchange.expect:
                return
            if first and not received:
                raise NotYet("the connection was closed")
            raise _wrong(exchange, received)
        received += more


def _wrong(exchange: Talk, received: bytes) -> UkccError:
    return UkccError(f"{exchange.send!r} was answered {received[-500:]!r}, not {exchange.expect!r}")


def fetch(port: int, get: Get, body: bytes) -> None:
    """One GET whose answer must be 200 with that body. Raises NotYet, UkccError."""
    connection = http.client.HTTPConnection(LOOPBACK, port, timeout=_ANSWER)
    try:
        connection.request("GET", get.path)
        response = connection.getresponse()
        received = response.read()
    except (OSError, http.client.HTTPException) as error:
        raise NotYet(str(error)) from None
    finally:
        connection.close()
    if response.status != 200:
        raise UkccError(f"GET {get.path}: status {response.status}: {received[-200:]!r}")
    if received != body:
        raise UkccError(f"GET {get.path}: {len(received)} bytes that are not the {len(body)} sent")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def served(directory: Path) -> Iterator[int]:
    """Serves a directory by HTTP on loopback, at the port that is given."""
    handler = functools.partial(_Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer((LOOPBACK, 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()
