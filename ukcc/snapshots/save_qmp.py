"""Saves a running machine when its application has said the word."""

import asyncio
import os
import queue
import socket
import threading
from pathlib import Path
from typing import Any

from qemu.qmp import QMPClient

from ukcc.errors import MachineError
from ukcc.failures.reports import HELD, Report, parse_counts
from ukcc.qmp import BROKEN, conversation
from ukcc.snapshots.pipes import keep_state
from ukcc.snapshots.restore_qmp import qemu_version
from ukcc.vm.live.process import Running

_HOLD = b"hold\n"
_LOOK_AGAIN = 0.5  # seconds
_STANDING_STILL = 60.0  # seconds for a busy guest on a busy host
_SAVING = 300.0  # seconds
_POLL = 0.02  # seconds


class QmpSaver:
    """To be called with what runs. `qemu`: the version that has saved it, empty until then;
    `problem`: why it could not be.
    """

    def __init__(self, text: str, state: Path) -> None:
        self.qemu = ""
        self.problem: MachineError | None = None
        self._text, self._state = os.fsencode(text), state
        self._said = threading.Event()
        self._held: queue.SimpleQueue[list[int]] = queue.SimpleQueue()

    def take(self, report: Report) -> bool:
        """Whether the report is for us."""
        if report.kind == HELD:
            counts = parse_counts(report.data)
            if counts is not None:
                self._held.put(counts)
        return report.kind == HELD

    def __call__(self, running: Running) -> None:
        for stream in running.streams:
            stream.look_for(self._text, self._said.set)
        while not self._said.wait(_LOOK_AGAIN):
            if not running.is_alive:
                return
        try:
            self._save(running)
        except MachineError as error:
            self.problem = error
            running.terminate()

    def _save(self, running: Running) -> None:
        running.channels.say(_HOLD)
        try:
            counts = self._held.get(timeout=_STANDING_STILL)
        except queue.Empty:
            raise MachineError(
                "the machine does not stand still for the snapshot",
                "if the image is older than `ukcc snapshot`, link it again",
            ) from None
        # what was said before belongs to this process, what is said later to the next one
        running.wait_for_outputs(counts)
        try:
            with keep_state(self._state) as state:
                work = _save(running.channels.monitor, state)
                self.qemu = asyncio.run(asyncio.wait_for(work, _SAVING))
        except (*BROKEN, asyncio.TimeoutError) as error:
            raise MachineError(f"QEMU has not saved the machine: {error}") from None
        running.terminate()


async def _save(channel: socket.socket, state: int) -> str:
    """Stops the machine, and has the state of its devices written. QEMU's version."""
    async with conversation(channel) as client:
        await client.execute("stop")
        # what is shared with a file, which is the memory, stays there
        capability = {"capability": "x-ignore-shared", "state": True}
        await client.execute("migrate-set-capabilities", {"capabilities": [capability]})
        client.send_fd_scm(state)
        await client.execute("getfd", {"fdname": "state"})
        await client.execute("migrate", {"uri": "fd:state"})
        while (told := await _migration(client))["status"] != "completed":
            if told["status"] == "failed":
                raise MachineError(f"QEMU cannot save the machine: {told.get('error-desc', '?')}")
            await asyncio.sleep(_POLL)
        version = await client.execute("query-version")
        assert isinstance(version, dict)
        return qemu_version(version)


async def _migration(client: QMPClient) -> dict[str, Any]:
    told = await client.execute("query-migrate")
    assert isinstance(told, dict)
    return {"status": "none", **told}
