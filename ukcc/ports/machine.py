"""A port's machine while its test talks to it: `ukcc run`, its ports, its words in files."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ukcc import proc
from ukcc.errors import UkccError
from ukcc.free_port import free_port
from ukcc.ports.place import PortBuild, expand
from ukcc.ports.recipe import Boot
from ukcc.vm.net.host_ports import port_owner
from ukcc.vm.options import LOOPBACK

_LOOK = 0.1  # seconds between two looks
_ENDING = 60.0  # seconds for a machine to end that was told to
_SHOWN = 400  # characters of what a machine said, in an error


@dataclass
class RunningMachine:
    """A running one. ports: the guest's -> the host's; out, err: files of what it says."""

    process: "subprocess.Popen[bytes]"
    ports: Mapping[int, int]
    out: Path
    err: Path

    @property
    def said(self) -> str:
        """Standard output, as far as it has come."""
        return self.out.read_text(errors="replace")

    def variables(self) -> dict[str, str]:
        """PORT, and PORT_<guest's> for each."""
        found = {f"PORT_{guest}": str(host) for guest, host in self.ports.items()}
        if self.ports:
            found["PORT"] = str(next(iter(self.ports.values())))
        return {**found, "MACHINE_PID": str(self.process.pid)}

    def wait_until_ready(self, ready: str, deadline: float) -> None:
        """Until its ports are the host's and it has said so, if `ready` is not empty.

        deadline: by time.monotonic(). Raises UkccError.
        """
        while not (self._has_ports() and re.search(ready, self._all(), re.MULTILINE)):
            if self.process.poll() is not None:
                raise UkccError(f"the machine ended before it was ready: {self.tail()}")
            if time.monotonic() > deadline:
                raise UkccError(f"the machine has not printed {ready!r}: {self.tail()}")
            time.sleep(_LOOK)

    def _has_ports(self) -> bool:
        """Whether QEMU listens; it takes connections then, and hands them on as the guest can."""
        return all(port_owner(port, socket.SOCK_STREAM) for port in self.ports.values())

    def stop(self) -> int:
        """Has the application end as by SIGTERM; its status. Raises UkccError if it does not."""
        self.process.send_signal(signal.SIGTERM)
        return self.wait(_ENDING)

    def wait(self, seconds: float) -> int:
        """The status of the application when the machine has ended. Raises UkccError."""
        try:
            return self.process.wait(max(seconds, 0))
        except subprocess.TimeoutExpired:
            raise UkccError(f"the machine does not end: {self.tail()}") from None

    def tail(self) -> str:
        """Its last words, for an error."""
        return repr(self._all().strip()[-_SHOWN:])

    def _all(self) -> str:
        return self.said + self.err.read_text(errors="replace")


@contextlib.contextmanager
def running(
    place: PortBuild, boot: Boot, work: Path, variables: Mapping[str, str], stdin: str = ""
) -> Iterator[RunningMachine]:
    """A machine, which is ended with the context. work: where its words go."""
    ports = {guest: free_port() for guest in boot.ports}
    options = [expand(word, variables) for word in boot.options]
    options += [f"-p{LOOPBACK}:{host}:{guest}" for guest, host in ports.items()]
    arguments = [expand(word, variables) for word in boot.arguments]
    image = str(place.image(boot.image))
    command = [*proc.UKCC, "run", *options, image, *arguments]
    source = work / "stdin"
    source.write_text(stdin)
    with (
        source.open("rb") as text,
        (work / "stdout").open("wb") as out,
        (work / "stderr").open("wb") as err,
    ):
        process = subprocess.Popen(
            command,
            stdin=text,
            stdout=out,
            stderr=err,
            # entries of `ukcc ps` are a test's own
            env={**os.environ, "XDG_RUNTIME_DIR": str(work)},
        )
    try:
        yield RunningMachine(process, ports, work / "stdout", work / "stderr")
    finally:
        end(process)


def end(process: "subprocess.Popen[bytes]") -> None:
    """Twice SIGTERM ends a machine whatever its application does."""
    for _ in range(2):
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(5)
    if process.poll() is None:
        process.kill()
        process.wait()
