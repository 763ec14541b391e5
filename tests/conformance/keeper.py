"""Keeps a guest running: boots the agent's image, and a fresh one when it has died.

Wrappers ask over a Unix socket (keeping.py). One keeper serves one run of one suite.
"""

import contextlib
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from conformance import client, keeping, listening
from conformance.client import GuestLost
from conformance.keeping import NoGuest
from ukcc import proc
from ukcc.free_port import free_port

AGENT_PORT = 7

_BOOT = 180.0  # seconds until the agent must have said hello: a boot takes 2 when nobody computes
_TRY = 5.0  # seconds for one hello
_DYING = 15.0  # seconds for a machine that does not answer to end by itself, before it is ended
_LIFE = 6 * 3600  # seconds: no machine outlives its keeper by more than that
_STOP = 20.0

# Programs of the host, for tests that start a shell: prebuilt ones run in ring 0, too.
_LINKS = ("/bin=usr/bin", "/sbin=usr/sbin", "/lib=usr/lib", "/lib64=usr/lib64")


@dataclass(frozen=True)
class Setting:
    """What a guest consists of.

    image: the agent's; shares: directories of the host that have the same path in the guest, and
    are writable there; memory_mib: MiB; cpus: virtual ones; directory: gets the console's log.
    """

    image: Path
    shares: tuple[Path, ...]
    directory: Path
    memory_mib: int = 2048  # four of malloc's tests at once take more than 1 GiB
    cpus: int = 2


class Keeper:
    """The machine of one run. `deaths`: why guests have died, in order."""

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        self.deaths: list[str] = []
        self._lock = threading.Lock()
        self._machine: subprocess.Popen[bytes] | None = None
        self._port = 0
        self._number = 0
        self._reasons: dict[int, str] = {}

    def guest(self) -> keeping.Guest:
        """The guest that runs, or a fresh one. Raises NoGuest when it does not boot."""
        with self._lock:
            if self._machine is None or self._machine.poll() is not None:
                self._bury("it ended by itself")
                self._boot()
            return keeping.Guest(self._port, self._number)

    def lost(self, number: int, why: str) -> str:
        """A wrapper lost that guest; ends it if it has not ended, and returns why it died."""
        with self._lock:
            if number == self._number and self._machine is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    self._machine.wait(_DYING)
                status = self._machine.poll()
                what = "it did not answer" if status is None else f"its agent ended with {status}"
                self._bury(f"{what}: {why}")
            return self._reasons.get(number, why)

    def stop(self) -> None:
        """Ends the machine."""
        with self._lock:
            if self._machine is not None:
                self._end(self._machine)
                self._machine = None

    def _boot(self) -> None:
        self._number += 1
        self._port = free_port()
        setting = self.setting
        setting.directory.mkdir(parents=True, exist_ok=True)
        with self._log("out").open("wb") as out, self._log("err").open("wb") as err:
            self._machine = subprocess.Popen(
                command(setting, self._port), stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )
        deadline = time.monotonic() + _BOOT
        while True:
            try:
                client.connect(self._port, _TRY).close()
                return
            except GuestLost as error:
                ended = self._machine.poll() is not None
                if ended or time.monotonic() > deadline:
                    why = self._words() or str(error)
                    self._end(self._machine)
                    self._machine = None
                    raise NoGuest(f"the agent's machine does not boot: {why}") from None
                time.sleep(0.1)

    def _bury(self, why: str) -> None:
        """Notes why the machine died. The caller has the lock."""
        if self._machine is None:
            return
        self._end(self._machine)
        self._machine = None
        reason = self._words() or why
        self._reasons[self._number] = reason
        self.deaths.append(reason)

    def _words(self) -> str:
        """The last line that `ukcc run` said about the machine's end, without its own name."""
        said = self._log("err").read_text(errors="replace").splitlines()
        told = [line for line in said if "error:" in line]
        return re.sub(r"^ukcc(?: run)?: error: ", "", told[-1]) if told else ""

    def _log(self, kind: str) -> Path:
        return self.setting.directory / f"guest{self._number}.{kind}"

    @staticmethod
    def _end(machine: "subprocess.Popen[bytes]") -> None:
        machine.terminate()
        try:
            machine.wait(_STOP)
        except subprocess.TimeoutExpired:
            machine.kill()
            machine.wait()


def command(setting: Setting, port: int) -> list[str]:
    """`ukcc run …`."""
    options = ["-m", str(setting.memory_mib), "--smp", str(setting.cpus)]
    options += ["--timeout", str(_LIFE), "-p", f"{port}:{AGENT_PORT}", "-v", "/usr:/usr:ro"]
    for share in setting.shares:
        options += ["-v", f"{share}:{share}"]
    return [*proc.UKCC, "run", *options, str(setting.image), str(AGENT_PORT), *_LINKS]


@contextlib.contextmanager
def keep(setting: Setting, path: Path) -> Iterator[Keeper]:
    """A keeper that answers at the Unix socket `path` while the context lasts."""
    keeper = Keeper(setting)
    try:
        with listening.answering(keeper, path):
            yield keeper
    finally:
        keeper.stop()
