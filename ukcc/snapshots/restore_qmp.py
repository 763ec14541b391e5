"""The conversation with a QEMU that is to continue a machine.

Four commands over QMP, always the same, without the library of ukcc/failures/monitor.py: loading
asyncio would take as long as QEMU takes to load the machine.
"""

import json
import secrets
import socket
import time
from collections.abc import Mapping, Sequence
from typing import IO, Any

from ukcc.errors import MachineError
from ukcc.vm.live.process import Running

_LONGEST = 1 << 20  # bytes of a line that QEMU says
_SEED_BYTES = 32  # sysroot/init/hold.c
_CAPABILITIES = [
    {"capability": "x-ignore-shared", "state": True},  # the memory is there already
    {"capability": "events", "state": True},
]


class Restorer:
    """To be called with what runs. ours, theirs: the socket's ends; state_fd: as QEMU has it;
    qemu: the version that saved the machine; rules: for the ports that lead to the guest;
    `problem`: why it was not continued.
    """

    def __init__(
        self,
        ours: socket.socket,
        theirs: socket.socket,
        state_fd: int,
        qemu: str,
        rules: Sequence[str],
    ) -> None:
        self.problem: MachineError | None = None
        self._channel, self._theirs = ours, theirs
        self._state_fd, self._qemu, self._rules = state_fd, qemu, rules

    def __call__(self, running: Running) -> None:
        self._theirs.close()  # QEMU's is the only one now, and its end is the end of file
        try:
            with self._channel.makefile("rb") as answers:
                self._continue(answers)
                self._tell(running)
                self._open_ports(answers)
        except MachineError as error:
            self.problem = error
            running.terminate()
            return
        except (OSError, EOFError, ValueError, KeyError):
            return  # QEMU has ended, and its own words are shown

    def _tell(self, running: Running) -> None:
        # the guest waits for this; what it does not know by now is how late it is
        seed = secrets.token_hex(_SEED_BYTES)
        seconds, nanoseconds = divmod(time.time_ns(), 10**9)
        running.channels.say(f"resumed {seconds}.{nanoseconds:09d} {seed}\n".encode())

    def _continue(self, answers: IO[bytes]) -> None:
        version = qemu_version(_next(answers)["QMP"]["version"])
        if version.rpartition(".")[0] != self._qemu.rpartition(".")[0]:
            raise MachineError(
                f"saved by QEMU {self._qemu}, and this is QEMU {version}",
                "take the snapshot again with this one",
            )
        self._execute(answers, "qmp_capabilities")
        self._execute(answers, "migrate-set-capabilities", capabilities=_CAPABILITIES)
        self._execute(answers, "migrate-incoming", uri=f"fd:{self._state_fd}")
        while _next(answers).get("data", {}).get("status") != "completed":
            pass  # QEMU ends by itself when it cannot load the state
        self._execute(answers, "cont")

    def _open_ports(self, answers: IO[bytes]) -> None:
        """Not before the guest runs: QEMU would take a connection at once, and the guest's part of
        it would be lost and tried again after seconds.
        """
        for rule in self._rules:
            line = f"hostfwd_add {rule}"
            said = self._execute(answers, "human-monitor-command", **{"command-line": line})
            if said:
                raise MachineError(f"-p: QEMU does not open the port: {said.strip()}")

    def _execute(self, answers: IO[bytes], command: str, **arguments: Any) -> Any:
        request = {"execute": command, "arguments": arguments}
        self._channel.sendall(json.dumps(request).encode() + b"\n")
        while True:
            answer = _next(answers)
            if "error" in answer:
                raise MachineError(f"QEMU does not continue it: {answer['error'].get('desc')}")
            if "return" in answer:
                return answer["return"]


def qemu_version(told: "Mapping[str, Any]") -> str:
    """`7.2.22` of what QEMU says of itself, first or when it is asked (query-version)."""
    numbers = told["qemu"]
    return f"{numbers['major']}.{numbers['minor']}.{numbers['micro']}"


def _next(answers: IO[bytes]) -> "dict[str, Any]":
    line = answers.readline(_LONGEST)
    if not line:
        raise EOFError
    message = json.loads(line)
    if not isinstance(message, dict):
        raise ValueError("not a message of QMP")
    return message
