"""Whether a snapshot is whole, of the image that is meant, and can be continued here."""

import sys
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.hashing import sha256
from ukcc.image.debug import LARGEST
from ukcc.snapshots.manifest import MEMORY, STATE, TAKE_AGAIN, Manifest, SnapshotPart, stamp
from ukcc.snapshots.memory import checksum
from ukcc.snapshots.qemu_args import fingerprint
from ukcc.terminal import shown
from ukcc.vm.hypervisor.tsc import host_tsc_khz

_CLOCK_ERROR = 0.01  # two measurements of 2 ms differ by far less


def check(snapshot: str, manifest: Manifest, image: str) -> None:
    """Raises MachineError. image: the one that was named, or empty for that of the snapshot."""
    if fingerprint(manifest.machine) != manifest.words:
        raise MachineError(f"{snapshot}: made by another version of ukcc", TAKE_AGAIN)
    if manifest.cpu != host_cpu(manifest.machine.accel):
        raise MachineError(
            f"{snapshot}: saved on another processor ({manifest.cpu})", "use --accel tcg for both"
        )
    _check_counter(snapshot, manifest.machine.tsc_khz)
    check_image(snapshot, manifest.image_path, manifest.image, image)
    for name, part in ((MEMORY, manifest.memory), (STATE, manifest.state)):
        check_part(snapshot, name, part, of_memory=name == MEMORY)


def digest(path: Path) -> str:
    """Raises OSError."""
    return f"sha256 {sha256(path)}"


def host_cpu(accel: str) -> str:
    """The processor's model where the guest sees it; empty under emulation."""
    if accel != "kvm":
        return ""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return "unknown"


def _check_counter(snapshot: str, khz: "int | None") -> None:
    """An emulated machine has the host's counter, whose speed its kernel was told once for all."""
    now = host_tsc_khz() if khz else None
    if khz and now and abs(now - khz) > khz * _CLOCK_ERROR:
        raise MachineError(
            f"{snapshot}: saved on a host whose time stamp counter goes at {khz / 1000:.0f} MHz, "
            f"and here it is {now / 1000:.0f}; its clock would go wrong",
            "take the snapshot again on this one",
        )


def check_image(snapshot: str, saved_path: str, saved: SnapshotPart, image: str) -> None:
    """Raises MachineError for another image than was saved. image: the one that was named, or empty
    for that of the snapshot, which may have gone.
    """
    path = Path(image or saved_path)
    try:
        same = _is_same(path, saved)
    except OSError as error:
        if image:
            raise MachineError(f"{image}: {error.strerror}") from None
        line = f"{path} is not there any more: a crash would have no names"
        print(f"ukcc run: {shown(line)}", file=sys.stderr, flush=True)
        return
    if not same:
        raise MachineError(
            f"{snapshot}: a snapshot of another image than {path} is now", TAKE_AGAIN
        )


def _is_same(path: Path, image: SnapshotPart) -> bool:
    """Raises OSError. The manifest may name any file, /proc/kmsg too, which has no end: one that
    has another size, or cannot be an image, is not read.
    """
    now = stamp(path)
    if now == image.stamp:
        return True
    if now.size != image.stamp.size or not 0 < now.size <= LARGEST:
        return False
    return digest(path) == image.checksum


def check_part(snapshot: str, name: str, part: SnapshotPart, *, of_memory: bool) -> None:
    """Raises MachineError for a file that is not what was saved.

    A file with the stamp that it was left with is not read: only some of it will be needed."""
    path = Path(snapshot) / name
    try:
        now = stamp(path, links=False)
        if now == part.stamp:
            return
        if now.size != part.stamp.size:
            what = f"{name} has {now.size} bytes, not {part.stamp.size}"
            raise MachineError(f"{snapshot}: corrupt: {what}", TAKE_AGAIN)
        found = checksum(path) if of_memory else digest(path)
    except OSError as error:
        raise MachineError(f"{snapshot}: corrupt: {name}: {error.strerror}", TAKE_AGAIN) from None
    if found != part.checksum:
        raise MachineError(f"{snapshot}: corrupt: {name} is not what was saved", TAKE_AGAIN)
