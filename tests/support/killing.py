"""Kills of a machine in the middle of its work, for the tests of what must survive them."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

# How often each test kills. The long run, of 50: UKCC_KILLS=50.
KILLS = int(os.environ.get("UKCC_KILLS", "5"))


def moments(seed: int, most: int) -> Iterator[tuple[int, float]]:
    """For each kill, how many acknowledgements to wait for, and seconds to wait then."""
    chance = random.Random(seed)
    for _ in range(KILLS):
        yield chance.randint(1, most), chance.uniform(0, 0.05)


def kill_vmm(command: "subprocess.Popen[bytes]") -> None:
    """SIGKILL to the QEMU of an `ukcc run`: the power cord, as far as the guest knows."""
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children").read_text().split()
    machines = [pid for pid in children if _name(pid).startswith("qemu-system")]
    assert len(machines) == 1
    os.kill(int(machines[0]), signal.SIGKILL)


def pause(seconds: float) -> None:
    """A chance for the machine to be somewhere else when it is killed."""
    time.sleep(seconds)


def _name(pid: str) -> str:
    return Path(f"/proc/{pid}/comm").read_text()
