"""Machine checks: how a hypervisor passes on memory errors of the host, and a CPU reports its own.

QEMU's monitor injects them, into an Intel CPU: which errors can be survived is written in the
bank's status there; an AMD one says it by CPUID, and QEMU's has no such CPU without KVM.
"""

import json
import re
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from support.boots import DEADLINE, FACTOR, Build, run_argv

HERE = Path(__file__).parent / "programs"

# IA32_MCi_STATUS (Intel SDM, volume 3, 17.3.2.2): valid, uncorrected, enabled, with an address, and
# a read of data from memory. It was signalled, and something has to be done.
READ_OF_BAD_MEMORY = 0xBD80000000100134
CONTEXT_CORRUPT = 1 << 57

MCG_STATUS = 0x7  # the instruction can be resumed, it is the cause, a machine check is in progress
MISC = 0x8C  # the address is physical, good to 4 kB
BANK = 1


class Monitor:
    """QEMU's monitor; waits until it is there."""

    def __init__(self, path: Path) -> None:
        self._channel = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + DEADLINE * FACTOR
        while self._channel.connect_ex(str(path)):
            assert time.monotonic() < end, "no monitor"
            time.sleep(0.1)
        self._talk = self._channel.makefile("rw")
        self._talk.readline()
        self._command("qmp_capabilities")

    def __call__(self, line: str) -> str:
        """A command of the human monitor, and its answer."""
        return self._command("human-monitor-command", **{"command-line": line})

    def _command(self, name: str, **arguments: str) -> str:
        self._talk.write(json.dumps({"execute": name, "arguments": arguments}) + "\n")
        self._talk.flush()
        while "return" not in (answer := json.loads(self._talk.readline())):
            assert "event" in answer, answer
        return str(answer["return"])

    def machine_check(self, status: int, address: int) -> None:
        """In the application, not in an interrupt that happens to be there."""
        self("stop")
        while not self._in_application():
            self("cont")
            time.sleep(0.01)
            self("stop")
        words = [0, BANK, hex(status), hex(MCG_STATUS), hex(address), hex(MISC)]
        assert self("mce " + " ".join(map(str, words))) == ""
        self("cont")

    def _in_application(self) -> bool:
        found = re.search(r"RIP=([0-9a-f]{16})", self("info registers"))
        assert found
        return int(found[1], 16) < 1 << 47


@contextmanager
def machine(image: Path, directory: Path) -> "Iterator[tuple[subprocess.Popen[str], Monitor]]":
    """A machine with an Intel CPU whose console is its standard output."""
    options = ["--accel", "tcg", "--net", "none", "--dry-run"]
    line = subprocess.run(
        run_argv(image, [], options), stdout=subprocess.PIPE, check=True, text=True
    ).stdout
    words = shlex.split(line)
    words[words.index("-cpu") + 1] += ",vendor=GenuineIntel"
    socket_path = directory / "monitor"
    words += ["-qmp", f"unix:{socket_path},server=on,wait=off"]
    running = subprocess.Popen(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, errors="replace"
    )
    watchdog = threading.Timer(DEADLINE * FACTOR, running.kill)
    watchdog.start()
    try:
        yield running, Monitor(socket_path)
    finally:
        watchdog.cancel()
        running.kill()
        running.wait()


def bad_page(console: Iterator[str]) -> int:
    for line in console:
        print(line, end="")
        if found := re.search(r"bad page: 0x([0-9a-f]+)", line):
            return int(found[1], 16)
    raise AssertionError("the machine has ended")


def build(build_image: Build) -> Path:
    return build_image((HERE / "poisoned.c").read_text(), "-I", str(HERE), name="poisoned")


def test_a_page_goes_bad(build_image: Build, tmp_path: Path) -> None:
    """The process that reads it gets SIGBUS; one with a handler goes on; so does the machine."""
    with machine(build(build_image), tmp_path) as (running, monitor):
        assert running.stdout
        for _ in range(2):
            monitor.machine_check(READ_OF_BAD_MEMORY, bad_page(running.stdout))
        rest = running.stdout.read()
        print(rest)
        said = [line for line in rest.splitlines() if not line.startswith("mce: [Hardware Error]:")]
        assert "\n".join(said).split() == ["survived", "right"]


def test_the_context_is_corrupt(build_image: Build, tmp_path: Path) -> None:
    """Nothing can go on, and the machine says why it does not."""
    with machine(build(build_image), tmp_path) as (running, monitor):
        assert running.stdout
        monitor.machine_check(READ_OF_BAD_MEMORY | CONTEXT_CORRUPT, bad_page(running.stdout))
        rest = running.stdout.read()
        print(rest)
        assert "Kernel panic - not syncing: Fatal machine check" in rest
        assert "Processor context corrupt" in rest
        assert "right" not in rest.split()
