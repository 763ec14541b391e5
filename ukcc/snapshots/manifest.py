"""What a snapshot says of itself: `manifest.json`, beside the memory and the devices' state.

It may come from a stranger: its size is limited, its types are checked, and so is what it has QEMU
do (accepted.py).
"""

import errno
import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import MachineError, UkccError
from ukcc.snapshots.accepted import find_problem
from ukcc.tables import plain, record
from ukcc.vm.machine import Machine

FORMAT = 1
MANIFEST, MEMORY, STATE = "manifest.json", "memory", "state"
_LARGEST = 1 << 20  # bytes of a manifest; one has 2 kB
TAKE_AGAIN = "take the snapshot again, by `ukcc snapshot`"


@dataclass(frozen=True)
class Stamp:
    """What changes with a file's contents: bytes, time in ns, number in its file system."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class SnapshotPart:
    """One file. checksum: what memory.py or sha256 makes of it; stamp: of the file as it was."""

    checksum: str
    stamp: Stamp


@dataclass(frozen=True)
class Manifest:
    """image: the file that was booted, absolute, with its sha256; machine: as it was planned,
    without forwarded ports; words: sha256 of QEMU's command line for it; qemu: its version;
    cpu: the host's model where the accelerator shows it to the guest, else empty.
    """

    format: int
    image_path: str
    image: SnapshotPart
    machine: Machine
    words: str
    qemu: str
    cpu: str
    memory: SnapshotPart
    state: SnapshotPart


def stamp(path: Path, links: bool = True) -> Stamp:
    """The file's. Raises OSError; what is no regular file is an error, and so is a link unless
    `links` are followed.
    """
    status = path.stat(follow_symlinks=links)
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Raises OSError."""
    text = json.dumps(plain(manifest), indent=1) + "\n"
    (directory / MANIFEST).write_text(text, errors="surrogateescape")


def read_manifest(snapshot: str) -> Manifest:
    """Raises MachineError for what is no snapshot, or one of another version's."""
    try:
        text = read_small(Path(snapshot) / MANIFEST)
    except OSError as error:
        hint = "--from takes a directory that `ukcc snapshot` has made"
        raise MachineError(f"{snapshot}: not a snapshot: {_reason(error)}", hint) from None
    return parse_manifest(text, snapshot)


def parse_manifest(text: bytes, snapshot: str) -> Manifest:
    """The same of the file's bytes."""
    try:
        data = json.loads(text.decode(errors="surrogateescape"))
    except (ValueError, RecursionError):
        raise MachineError(f"{snapshot}: corrupt: {MANIFEST} is not JSON", TAKE_AGAIN) from None
    version = data.get("format") if isinstance(data, dict) else None
    if version != FORMAT:
        raise MachineError(f"{snapshot}: of format {version}, not {FORMAT}", TAKE_AGAIN)
    try:
        manifest = record(Manifest, data, whole=True)
    except UkccError as error:
        message = f"{snapshot}: corrupt, or made by another version of ukcc ({error.message})"
        raise MachineError(message, TAKE_AGAIN) from None
    wrong = find_problem(manifest.machine)
    if not wrong and manifest.memory.stamp.size != manifest.machine.memory_mib << 20:
        wrong = "its memory's file has another size than its machine"
    if wrong:
        raise MachineError(f"{snapshot}: not as `ukcc snapshot` makes them: {wrong}", TAKE_AGAIN)
    return manifest


def read_small(path: Path) -> bytes:
    """A regular file of at most 1 MiB. Raises OSError."""
    # a FIFO of that name must not keep us
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "not a regular file", str(path))
        data = os.read(fd, _LARGEST + 1)
    finally:
        os.close(fd)
    if len(data) > _LARGEST:
        raise OSError(errno.EFBIG, f"more than {_LARGEST} bytes", str(path))
    return data


def _reason(error: OSError) -> str:
    return f"{Path(error.filename).name}: {error.strerror}"
