"""The look at the CPUs of a machine that hangs: registers are the guest's, and so is memory."""

import json
from collections.abc import Coroutine
from typing import Any

from ukcc.failures import monitor
from ukcc.failures.cpus import unpack

_MOST_ASKED = 2000  # questions; each costs some ms


class _Monitor:
    """QEMU as far as it is asked: pages made of the data, some of them not mapped."""

    def __init__(self, data: bytes) -> None:
        registers, _, self._memory = data.partition(b"\0")
        self._registers = registers.decode(errors="replace")
        self.asked = 0

    async def execute(self, name: str, arguments: "dict[str, Any]") -> str:
        self.asked += 1
        assert name == "human-monitor-command"
        line = arguments["command-line"]
        if line == "info registers":
            return self._registers
        assert line.startswith(("x /512xg 0x", "xp /512xg 0x")), line
        at = int(line.split()[2], 16)
        words = [self._memory[n : n + 8] for n in range(0, len(self._memory), 8)]
        if not words or not words[at // 4096 % len(words)]:
            return "Cannot access memory"
        wanted = words[at // 4096 % len(words)].ljust(8, b"\1")
        return "".join(f" 0x{int.from_bytes(wanted, 'little'):016x}" for _ in range(512))


def check(data: bytes) -> None:
    """It comes to an end, and what was found can be sent on as JSON."""
    machine = _Monitor(data)
    try:
        found = _finished(monitor._cpu(machine, 0))  # type: ignore[arg-type]
    except KeyError:
        return  # registers of another QEMU: ask_monitor() says nothing then
    assert machine.asked <= _MOST_ASKED
    unpack(json.dumps([found]).encode())


def _finished(work: "Coroutine[Any, Any, dict[str, Any]]") -> "dict[str, Any]":
    """The result of what never waits."""
    try:
        work.send(None)
    except StopIteration as end:
        return dict(end.value)
    raise AssertionError("it waits for something")
