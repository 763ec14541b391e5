"""The store on disk: finished sysroots, finished parts, work in progress, locks.

Nothing in the store is ever half there. What is finished appeared by one rename, and is not
written to again; what is unfinished lies under `build/` and is thrown away by the next attempt.

    sysroots/<id>/      a whole sysroot; `current` is a symbolic link to the newest
    parts/<name>-<digest>/   one step's result, shared by the sysroots it went into
    build/<name>/       work in progress; `logs/` stays when a step fails
    sources/            source packages, when the system does not have them
    locks/
"""

import contextlib
import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import filelock

from ukcc import paths, proc
from ukcc.disk_errors import unwritable
from ukcc.errors import UkccError

RECORD = "sysroot.json"


@dataclass(frozen=True)
class Sysroot:
    """A finished sysroot: its id, its directory, its `sysroot.json`."""

    id: str
    path: Path
    record: dict[str, Any]


@dataclass(frozen=True)
class Store:
    """The store under one directory."""

    root: Path

    @property
    def sysroots(self) -> Path:
        return self.root / paths.SYSROOTS

    @property
    def parts(self) -> Path:
        return self.root / "parts"

    @property
    def sources(self) -> Path:
        return self.root / "sources"

    @property
    def link(self) -> Path:
        """The symbolic link to the sysroot in use."""
        return self.sysroots / "current"

    def work(self, name: str) -> Path:
        """Where `name` is built."""
        return self.root / "build" / name

    def logs(self, sysroot_id: str) -> Path:
        """The logs of the build of that sysroot; kept when it fails."""
        return self.work(sysroot_id) / "logs"

    def find(self, sysroot_id: str) -> Sysroot | None:
        """The finished sysroot of that id, or None."""
        path = self.sysroots / sysroot_id
        try:
            record = json.loads((path / RECORD).read_text())
        except (OSError, ValueError):
            return None
        return Sysroot(sysroot_id, path, record)

    def current(self) -> Sysroot | None:
        """The sysroot that links use, or None."""
        try:
            return self.find(self.link.readlink().name)
        except OSError:
            return None

    def all(self) -> list[Sysroot]:
        """Every finished sysroot, by id."""
        if not self.sysroots.is_dir():
            return []
        names = sorted(p.name for p in self.sysroots.iterdir() if not p.is_symlink())
        return [found for name in names if (found := self.find(name))]

    def part(self, name: str, digest: str) -> Path:
        """The directory of a finished part; it exists when the part is finished."""
        return self.parts / f"{name}-{digest}"

    def publish(self, made: Path, destination: Path) -> None:
        """Makes a finished directory appear in the store, whole, by rename.

        `made` must lie in the same store (the same file system). If somebody published the same
        content before us, theirs stays.
        """
        destination.parent.mkdir(parents=True, exist_ok=True)
        try:
            made.rename(destination)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            discard(made)

    def make_current(self, sysroot_id: str) -> None:
        """Points `current` at a finished sysroot, by rename."""
        if self.link.is_symlink() and self.link.readlink().name == sysroot_id:
            return
        fresh = self.sysroots / f".current.{os.getpid()}"
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(sysroot_id)
        fresh.replace(self.link)

    @contextlib.contextmanager
    def locked(
        self, name: str, waiting: "contextlib.AbstractContextManager[object]"
    ) -> Iterator[None]:
        """Holds the lock `name`. `waiting` is entered only while another process holds it."""
        with held(self._lock(name), waiting):
            yield

    @contextlib.contextmanager
    def locked_or_refuse(self, name: str) -> Iterator[None]:
        """Holds the lock `name`, or raises UkccError at once when another process has it."""
        with held_or_refuse(self._lock(name), name):
            yield

    def _lock(self, name: str) -> filelock.FileLock:
        directory = self.root / "locks"
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise unwritable(self.root, error) from None
        return filelock.FileLock(directory / f"{name}.lock")


def default_store() -> Store:
    """The store that `UKCC_HOME` or the XDG data directory names."""
    return Store(Path(paths.store()))


@contextlib.contextmanager
def held(
    lock: filelock.BaseFileLock, waiting: "contextlib.AbstractContextManager[object]"
) -> Iterator[None]:
    """Holds a lock. `waiting` is entered only while another process holds it."""
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        with waiting:
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextlib.contextmanager
def held_with_children(
    path: Path, waiting: "contextlib.AbstractContextManager[object]"
) -> Iterator[None]:
    """Holds a lock that the programs hold with us which we start: a make goes on where its ukcc was
    killed, and nobody must come between before it has ended. filelock's locks respect this one.

    path: of the lock's file; waiting: entered only while another process holds it.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with waiting:
                fcntl.flock(fd, fcntl.LOCK_EX)
        with proc.inherited(fd):
            yield
    finally:
        os.close(fd)


@contextlib.contextmanager
def held_or_refuse(lock: filelock.BaseFileLock, name: str) -> Iterator[None]:
    """Holds the lock of `name`, or raises UkccError at once when another process has it."""
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        raise UkccError(
            f"{name} is in use by another ukcc process", "try again when it is done"
        ) from None
    try:
        yield
    finally:
        lock.release()


def discard(path: Path) -> None:
    """Removes a tree. It leaves its name at once, so that nobody takes it for a whole one.

    A process that an earlier attempt left behind may still write into it; that does not matter.
    """
    if not path.exists():
        return
    trash = Path(tempfile.mkdtemp(prefix=".trash-", dir=path.parent))
    path.rename(trash / path.name)
    shutil.rmtree(trash, ignore_errors=True)


def link_tree(source: Path, destination: Path) -> None:
    """Copies a tree onto what is there, by hard links (by content where there are none)."""

    def link(original: str, copy: str) -> str:
        Path(copy).unlink(missing_ok=True)
        try:
            os.link(original, copy)
        except OSError:
            shutil.copy2(original, copy)
        return copy

    shutil.copytree(source, destination, symlinks=True, dirs_exist_ok=True, copy_function=link)
