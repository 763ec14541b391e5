"""Requests over a VMM's socket: HTTP with JSON, one connection each.

What comes back is a program's that a guest may have taken over, so it is bounded.
"""

import contextlib
import http.client
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ukcc.errors import MachineError
from ukcc.vmm.vmm import API_SOCKET, ApiRequest, Vmm

_STARTING = 20.0  # seconds until it listens
_ANSWER = 60.0  # seconds for a request; a start reads the image
_SAVING = 600.0  # seconds for one that writes or reads the guest's memory
_PAUSE = 0.01
_LONGEST = 1 << 16  # bytes of an answer
_LONGEST_FAULT = 500  # characters that are shown of a reason


class Refused(MachineError):
    """The VMM does not do it, and says why."""


class Gone(MachineError):
    """It has ended, or does not answer."""


class Api:
    """The API of one process. directory: its own; alive: whether it runs."""

    def __init__(self, vmm: Vmm, directory: Path, alive: Callable[[], bool]) -> None:
        self._vmm, self._directory, self._alive = vmm, directory, alive

    def wait(self) -> None:
        """Until it listens. Raises Gone."""
        end = time.monotonic() + _STARTING
        while True:
            try:
                with self._connected():
                    return
            except (FileNotFoundError, ConnectionRefusedError):
                if not self._alive():
                    raise Gone(f"{self._vmm.program} ended before it took a request") from None
                if time.monotonic() > end:
                    raise Gone(f"{self._vmm.program} took no request for {_STARTING:g} s") from None
            except OSError as error:
                raise Gone(f"{self._vmm.program}: {error.strerror or error}") from None
            time.sleep(_PAUSE)

    def send(self, request: ApiRequest, patient: bool = False) -> Any:
        """The answer's JSON, None where it has none. Raises Refused and Gone."""
        what = f"{self._vmm.program}: {request.method} {request.path}"
        try:
            status, body = self._exchange(request, _SAVING if patient else _ANSWER)
        except (OSError, http.client.HTTPException) as error:
            raise Gone(f"{what}: no answer: {_reason(error)}") from None
        answer = _parsed(body)
        if 200 <= status < 300:
            return answer
        reason = self._vmm.fault(answer)[:_LONGEST_FAULT] or f"status {status}"
        raise Refused(f"{what}: {reason}")

    def version(self) -> str:
        """What it calls its version. Raises as `send`."""
        return self._vmm.version_in(self.send(self._vmm.version))[:64]

    def _exchange(self, request: ApiRequest, seconds: float) -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("localhost", timeout=seconds)
        with contextlib.closing(connection), self._connected() as channel:
            channel.settimeout(seconds)
            connection.sock = channel
            headers = {"Accept": "application/json"}
            body = None
            if request.body is not None:
                headers["Content-Type"] = "application/json"
                body = json.dumps(request.body)
            connection.request(request.method, request.path, body, headers)
            response = connection.getresponse()
            return response.status, response.read(_LONGEST)

    @contextlib.contextmanager
    def _connected(self) -> Iterator[socket.socket]:
        """By a name that is short whatever the directory's is: sun_path has 108 bytes."""
        fd = os.open(self._directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX) as channel:
                channel.settimeout(_ANSWER)
                channel.connect(f"/proc/self/fd/{fd}/{API_SOCKET}")
                yield channel
        finally:
            os.close(fd)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it takes too long"
    return str(getattr(error, "strerror", None) or error or type(error).__name__)
