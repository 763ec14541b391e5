"""A network for machines of a test: lan_server.py in a namespace, and what it has heard."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from support.boots import DEADLINE, FACTOR

SERVER = Path(__file__).with_name("lan_server.py")
DISCOVER, OFFER, REQUEST, ACK, NAK = 1, 2, 3, 5, 6

Event = dict[str, Any]


def need_namespaces() -> None:
    """Skips a test where the host does not let us make network namespaces, and taps in them."""
    words = ["unshare", "-n", "sh", "-c", "exec 3<>/dev/net/tun && ip link add br0 type bridge"]
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no networks of our own here: {done.stderr.strip()}")


class Lan:
    """A bridge `br0` in a namespace, with DHCP, DNS and an IPv6 router."""

    def __init__(self) -> None:
        self._server = subprocess.Popen(
            ["unshare", "-n", sys.executable, str(SERVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._events: list[Event] = []
        self._heard = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()
        self.wait(lambda event: event["kind"] == "ready")

    def _listen(self) -> None:
        assert self._server.stdout is not None
        for line in self._server.stdout:
            with self._heard:
                self._events.append(json.loads(line))
                self._heard.notify_all()

    def events(self) -> list[Event]:
        """What has been asked and answered so far."""
        with self._heard:
            return list(self._events)

    def wait(self, wanted: Callable[[Event], bool], after: int = 0) -> int:
        """Until such an event has come behind the first `after`; the number of events up to it."""

        def place() -> int:
            found = [n for n, event in enumerate(self._events) if n >= after and wanted(event)]
            return found[0] + 1 if found else 0

        with self._heard:
            in_time = self._heard.wait_for(place, DEADLINE * FACTOR)
            assert in_time, (
                f"not heard; of {len(self._events)} events the last: {self._events[-9:]}"
            )
            return place()

    def command(self, word: str) -> None:
        """`nak`, `refuse`, `mute` or `speak`."""
        assert self._server.stdin is not None
        self._server.stdin.write(f"{word}\n")
        self._server.stdin.flush()

    def argv(self, words: Sequence["str | bytes | Path"]) -> list[bytes]:
        """A command line that runs in the namespace."""
        here = ("nsenter", f"--net=/proc/{self._server.pid}/ns/net")
        return [os.fsencode(word) for word in (*here, *words)]

    def output(self, *words: "str | bytes | Path") -> str:
        """What a command says in the namespace."""
        return subprocess.run(self.argv(words), check=True, capture_output=True, text=True).stdout

    def close(self) -> None:
        """Ends the server, and with it the namespace."""
        self._server.kill()
        self._server.wait()
