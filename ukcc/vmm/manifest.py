"""What a snapshot says of itself that another VMM than QEMU has saved: `vmm.json`.

The snapshot's files are the VMM's own and name files of the host, in a form that only it reads. So
one is continued if it belongs to who continues it, or to root; a stranger's is not.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import MachineError, UkccError
from ukcc.snapshots.check import check_image, check_part, digest, host_cpu
from ukcc.snapshots.manifest import TAKE_AGAIN, SnapshotPart, read_small, stamp
from ukcc.snapshots.memory import checksum
from ukcc.tables import plain, record
from ukcc.vm.hypervisor.vmm import VMM_MANIFEST
from ukcc.vmm.known import VMMS
from ukcc.vmm.vmm import Vmm

_FORMAT = 1
_MOST_MIB, _MOST_CPUS = 1 << 24, 64


@dataclass(frozen=True)
class NamedPart:
    """A file of the snapshot."""

    name: str
    part: SnapshotPart


@dataclass(frozen=True)
class VmmManifest:
    """vmm: its name; version: of the one that has saved it; image: the file that was booted, with
    its sha256; cpu: the host's model; listens: the guest has an agent that listens.
    """

    format: int
    vmm: str
    version: str
    image_path: str
    image: SnapshotPart
    cpu: str
    memory_mib: int
    cpus: int
    listens: bool
    parts: tuple[NamedPart, ...]


def make_manifest(
    vmm: Vmm,
    version: str,
    image: "tuple[str, SnapshotPart]",
    size: tuple[int, int],
    listens: bool,
    directory: Path,
) -> VmmManifest:
    """Of a directory with the VMM's files. size: memory in MiB, CPUs. Raises OSError."""
    parts = []
    for name in vmm.parts:
        path = directory / name
        found = checksum(path) if name == vmm.memory else digest(path)
        parts.append(NamedPart(name, SnapshotPart(found, stamp(path, links=False))))
    return VmmManifest(
        format=_FORMAT,
        vmm=vmm.name,
        version=version,
        image_path=image[0],
        image=image[1],
        cpu=host_cpu("kvm"),
        memory_mib=size[0],
        cpus=size[1],
        listens=listens,
        parts=tuple(parts),
    )


def write(directory: Path, manifest: VmmManifest) -> None:
    """Raises OSError."""
    text = json.dumps(plain(manifest), indent=1) + "\n"
    (directory / VMM_MANIFEST).write_text(text, errors="surrogateescape")


def read(snapshot: str) -> VmmManifest:
    """Raises MachineError."""
    try:
        return parse(read_small(Path(snapshot) / VMM_MANIFEST), snapshot)
    except OSError as error:
        raise MachineError(f"{snapshot}: not a snapshot: {error.strerror}") from None


def parse(text: bytes, snapshot: str) -> VmmManifest:
    """The same of the file's bytes."""
    try:
        data = json.loads(text.decode(errors="surrogateescape"))
    except (ValueError, RecursionError) as error:
        raise MachineError(f"{snapshot}: corrupt: {VMM_MANIFEST}: {error}", TAKE_AGAIN) from None
    version = data.get("format") if isinstance(data, dict) else None
    if version != _FORMAT:
        raise MachineError(f"{snapshot}: of format {version}, not {_FORMAT}", TAKE_AGAIN)
    try:
        manifest = record(VmmManifest, data, whole=True)
    except UkccError as error:
        raise MachineError(f"{snapshot}: corrupt: {VMM_MANIFEST}: {error}", TAKE_AGAIN) from None
    wrong = _problem(manifest)
    if wrong:
        raise MachineError(f"{snapshot}: not as `ukcc snapshot` makes them: {wrong}", TAKE_AGAIN)
    return manifest


def _problem(manifest: VmmManifest) -> str:
    vmm = VMMS.get(manifest.vmm)
    if vmm is None:
        return f"its VMM is {manifest.vmm!r}"
    if tuple(one.name for one in manifest.parts) != vmm.parts:
        return "it has other files"
    if not 1 <= manifest.memory_mib <= _MOST_MIB or not 1 <= manifest.cpus <= _MOST_CPUS:
        return f"its machine has {manifest.memory_mib} MiB and {manifest.cpus} CPUs"
    return ""


def check(snapshot: str, manifest: VmmManifest, image: str) -> None:
    """Whether it may be continued here. image: as it was named, or empty. Raises MachineError."""
    vmm = VMMS[manifest.vmm]
    _check_owner(snapshot, vmm)
    if manifest.cpu != host_cpu("kvm"):
        raise MachineError(
            f"{snapshot}: saved on another processor ({manifest.cpu})",
            "take the snapshot again on this one",
        )
    check_image(snapshot, manifest.image_path, manifest.image, image)
    for one in manifest.parts:
        check_part(snapshot, one.name, one.part, of_memory=one.name == vmm.memory)


def _check_owner(snapshot: str, vmm: Vmm) -> None:
    for name in ("", VMM_MANIFEST, *vmm.parts):
        path = Path(snapshot) / name
        try:
            found = path.lstat()
        except OSError as error:
            raise MachineError(f"{snapshot}: corrupt: {name}: {error.strerror}") from None
        if found.st_uid not in (os.geteuid(), 0):
            raise MachineError(
                f"{path}: it belongs to another user, and {vmm.name} opens the files of the host"
                " that it names",
                "take a snapshot of your own",
            )
