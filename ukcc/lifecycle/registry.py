"""All machines of a user: a directory for each, under its name.

Of those that have ended only detached ones stay, for their logs and their status: until the name
is used again, `ukcc ps --prune`, or more than `KEPT` have ended.
"""

import contextlib
import errno
import os
import re
import secrets
import shutil
import stat
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from ukcc.errors import MachineError
from ukcc.lifecycle.entry import (
    LOST,
    End,
    MachineEntry,
    MachineInfo,
    read_entry,
    write_end,
    write_machine,
)
from ukcc.lifecycle.identity import own_identity
from ukcc.runtime_dir import runtime_directory

KEPT = 16  # machines that have ended

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_LOCK = ".lock"
_FRESH, _GOING = ".new-", ".old-"  # directories on their way in and out


def check_name(name: str) -> str:
    """The name, or MachineError when it is not one."""
    if not _NAME.fullmatch(name):
        raise MachineError(
            f"--name {name!r} is not understood",
            "it takes up to 63 letters, digits and _.- with a letter or digit first",
        )
    return name


def generate_name(image: str) -> str:
    """From the image's file name, with a suffix that makes it one of many."""
    base = re.sub(r"[^A-Za-z0-9_.-]+", "-", Path(image).name).lstrip("_.-")
    return f"{base[:50] or 'machine'}-{secrets.token_hex(3)}"


def default_directory() -> Path:
    """`$XDG_RUNTIME_DIR/ukcc/machines`, else `run/machines` in the store."""
    return runtime_directory() / "machines"


@dataclass(frozen=True)
class Registry:
    """The machines under one directory, which is the user's own."""

    root: Path

    def prepare(self) -> "Registry":
        """Itself, when the directory is there, ours and nobody else's; MachineError if not."""
        try:
            self.root.parent.mkdir(parents=True, exist_ok=True)
            with contextlib.suppress(FileExistsError):
                self.root.mkdir(0o700)
            above, found = self.root.parent.lstat(), self.root.lstat()
        except OSError as error:
            raise MachineError(
                f"{self.root}: {error.strerror}",
                "machines are noted there; set XDG_RUNTIME_DIR to a directory of your own",
            ) from None
        # who owns the directory above can put another one in its place at any time
        for place, status in ((self.root.parent, above), (self.root, found)):
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
                raise MachineError(
                    f"{place} is not a directory of yours",
                    "set XDG_RUNTIME_DIR to a directory of your own",
                )
        if found.st_mode & 0o077:
            raise MachineError(
                f"{self.root} is open to others; machines are noted there",
                f"chmod 700 {self.root}",
            )
        return self

    def entries(self) -> list[MachineEntry]:
        """All of them, the oldest first; stale ones have been cleaned up."""
        if not self.root.is_dir():
            return []
        with self.prepare()._locked():
            self._clean()
            found = list(self._read())
        return sorted(found, key=lambda e: (e.facts.since if e.facts else 0.0, e.name))

    def find(self, name: str) -> MachineEntry:
        """The machine of that name. Raises MachineError when there is none."""
        for entry in self.entries():
            if entry.name == name:
                return entry
        raise MachineError(f"{name}: no such machine", "`ukcc ps -a` shows those that there are")

    def refuse_if_running(self, name: str) -> None:
        """Raises MachineError when a machine of that name runs."""
        if read_entry(self.root / name).is_running:
            raise _is_taken(name)

    def claim(self, facts: MachineInfo) -> Path:
        """A directory for a machine that this process is about to start.

        One of the same name that has ended makes room. Raises MachineError when it runs.
        """
        with self.prepare()._locked(), _said_in_one_line(self.root):
            self._clean()
            place = self.root / facts.name
            old = read_entry(place)
            if old.is_running:
                raise _is_taken(facts.name)
            fresh = Path(tempfile.mkdtemp(prefix=_FRESH, dir=self.root))
            write_machine(fresh, facts, own_identity())
            self._remove(place)
            fresh.rename(place)
        return place

    def looks_after(self, path: Path, pid: int) -> bool:
        """Whether this process is, or was, the supervisor of the machine in this directory."""
        supervisor = read_entry(path).supervisor
        return supervisor is not None and supervisor.pid == pid

    def remove(self, path: Path, pid: int) -> None:
        """The directory of a machine, if it is still the one that this process looked after."""
        with self._locked():
            if self.looks_after(path, pid):
                self._remove(path)

    def prune(self) -> list[str]:
        """Forgets the machines that have ended. Their names."""
        with self.prepare()._locked():
            self._clean()
            gone = [entry.name for entry in self._read() if not entry.alive]
            for name in gone:
                self._remove(self.root / name)
        return sorted(gone)

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with FileLock(self.root / _LOCK):
            yield

    def _read(self) -> Iterator[MachineEntry]:
        for path in self.root.iterdir():
            if not path.name.startswith(".") and path.is_dir():
                yield read_entry(path)

    def _clean(self) -> None:
        """What was left by who could not do it, and more of the ended ones than we keep."""
        for path in self.root.iterdir():
            if path.name.startswith((_FRESH, _GOING)):
                shutil.rmtree(path, ignore_errors=True)
        ended = []
        for entry in self._read():
            if entry.facts is None or entry.alive:
                continue
            if not entry.facts.detached:
                self._remove(entry.path)
                continue
            end = entry.end
            if end is None:
                end = End(None, time.time(), LOST)
                write_end(entry.path, end)
                (entry.path / "control").unlink(missing_ok=True)
            ended.append((end.at, entry.path))
        for _, path in sorted(ended)[:-KEPT]:
            self._remove(path)

    def _remove(self, path: Path) -> None:
        """Hide it by one rename, so that nobody sees half of it.

        A directory in the lower layer of an overlay (a container's image) cannot be renamed.
        """
        going = Path(tempfile.mkdtemp(prefix=_GOING, dir=self.root))
        try:
            path.rename(going / path.name)
        except FileNotFoundError:
            pass
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            shutil.rmtree(path, ignore_errors=True)
        shutil.rmtree(going, ignore_errors=True)


@contextlib.contextmanager
def _said_in_one_line(place: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise MachineError(
            f"{place}: {error.strerror}", "machines are noted there; make room, or see df(1)"
        ) from None


def _is_taken(name: str) -> MachineError:
    return MachineError(
        f"--name {name}: a machine of that name is running",
        f"choose another name, or end it by `ukcc stop {name}`",
    )
