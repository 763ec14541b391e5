"""What a snapshot says of itself: `manifest.json`, beside the memory and the devices' state."""

import json
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.snapshots.data import plain, typed
from ukcc.vm.machine import Machine

FORMAT = 1
MANIFEST, MEMORY, STATE = "manifest.json", "memory", "state"
TAKE_AGAIN = "take the snapshot again, by `ukcc snapshot`"


@dataclass(frozen=True)
class Stamp:
    """What changes with a file's contents: bytes, time in ns, number in its file system."""

    size: int
    mtime_ns: int
    inode: int


@dataclass(frozen=True)
class Part:
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
    image: Part
    machine: Machine
    words: str
    qemu: str
    cpu: str
    memory: Part
    state: Part


def stamp(path: Path) -> Stamp:
    """The file's. Raises OSError."""
    status = path.stat()
    return Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Raises OSError."""
    text = json.dumps(plain(manifest), indent=1) + "\n"
    (directory / MANIFEST).write_text(text, errors="surrogateescape")


def read_manifest(snapshot: str) -> Manifest:
    """Raises MachineError for what is no snapshot, or one of another version's."""
    path = Path(snapshot) / MANIFEST
    try:
        data = json.loads(path.read_text(errors="surrogateescape"))
    except OSError as error:
        hint = "--from takes a directory that `ukcc snapshot` has made"
        raise MachineError(f"{snapshot}: no snapshot: {_reason(error)}", hint) from None
    except ValueError:
        raise MachineError(f"{snapshot}: corrupt: {MANIFEST} is no JSON", TAKE_AGAIN) from None
    version = data.get("format") if isinstance(data, dict) else None
    if version != FORMAT:
        raise MachineError(f"{snapshot}: of format {version}, not {FORMAT}", TAKE_AGAIN)
    try:
        return typed(Manifest, data)
    except ValueError as error:
        message = f"{snapshot}: corrupt, or made by another version of ukcc ({error})"
        raise MachineError(message, TAKE_AGAIN) from None


def _reason(error: OSError) -> str:
    return f"{Path(error.filename).name}: {error.strerror}"
