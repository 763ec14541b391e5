"""One machine's directory.

machine.json   what runs, and under whose supervision; replaced by rename
end.json       empty while it runs, then how it ended; written in place, so that who waits and
               has it open reads it even when the directory has gone
control        a socket (control.py)
log.N          the output of a detached machine (logs.py)
"""

import contextlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.lifecycle.identity import Identity, is_alive
from ukcc.tables import INLINE, plain, record

VERSION = 1
_MACHINE, _END = "machine.json", "end.json"

LOST = "its supervisor was killed, or the host was started again"


@dataclass(frozen=True)
class MachineInfo:
    """What runs. since: seconds of the Unix epoch; ports: as `-p` takes them."""

    name: str
    image: str
    arguments: tuple[str, ...]
    since: float
    ports: tuple[str, ...]
    accel: str
    memory_mib: int
    cpus: int
    detached: bool


@dataclass(frozen=True)
class _MachineFile:
    """machine.json."""

    version: int
    facts: MachineInfo = field(metadata=INLINE)
    supervisor: Identity


@dataclass(frozen=True)
class End:
    """How it ended. status: as a shell gives it, None when nobody knows; at: seconds of the epoch;

    why: one line, where there is more to say than the status.
    """

    status: "int | None"
    at: float
    why: str = ""


@dataclass(frozen=True)
class MachineEntry:
    """A directory as it was read. facts and supervisor: None when it cannot be understood."""

    path: Path
    facts: "MachineInfo | None"
    supervisor: "Identity | None"
    end: "End | None" = None
    alive: bool = False

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def is_running(self) -> bool:
        """Whether there is a machine, or one is about to be."""
        return self.alive and self.end is None

    @property
    def state(self) -> str:
        """`running`, `exited N` or `lost`; `unreadable` of an entry that is not understood."""
        if self.facts is None:
            return "unreadable"
        if self.end is None:
            return "running" if self.alive else "lost"
        return "lost" if self.end.status is None else f"exited {self.end.status}"


def write_machine(path: Path, facts: MachineInfo, supervisor: Identity) -> None:
    """Puts a new machine.json in place, and end.json beside the first."""
    end = path / _END
    end.touch(0o600)
    fresh = path / f"{_MACHINE}.{os.getpid()}"
    data = plain(_MachineFile(VERSION, facts, supervisor))
    fresh.write_text(json.dumps(data, indent=1) + "\n")
    fresh.replace(path / _MACHINE)


def write_end(path: Path, end: End) -> None:
    """In place, and small enough for one write."""
    with (path / _END).open("r+b", buffering=0) as file:
        file.write(json.dumps(plain(end)).encode() + b"\n")


def read_entry(path: Path) -> MachineEntry:
    """The directory as it is now; damage makes an entry `unreadable`, never an error."""
    try:
        found = record(_MachineFile, json.loads((path / _MACHINE).read_text()), whole=True)
    except (OSError, ValueError, UkccError):
        return MachineEntry(path, None, None)
    if found.version != VERSION:
        return MachineEntry(path, None, None)
    # in this order: who has ended by now has written its end before
    alive = is_alive(found.supervisor)
    return MachineEntry(path, found.facts, found.supervisor, read_end(path), alive)


def read_end(path: Path) -> "End | None":
    """How it ended, or None when it has not."""
    with contextlib.suppress(OSError):
        return parse_end((path / _END).read_bytes())
    return None


def open_end(path: Path) -> int:
    """A descriptor of end.json, good even when the directory goes."""
    return os.open(path / _END, os.O_RDONLY | os.O_CLOEXEC)


def parse_end(data: bytes) -> "End | None":
    """The contents of end.json -> End; None when it is empty or damaged."""
    try:
        return record(End, json.loads(data), whole=True)
    except (ValueError, UkccError):
        return None
