"""What a qcow2 image says of itself in its header, by pure functions over a stranger's bytes.

The format is QEMU's docs/interop/qcow2.txt; the bounds are those of QEMU's own reader
(block/qcow2.c: qcow2_do_open, qcow2_read_extensions), or closer.
"""

import os
import struct
from dataclasses import dataclass

_TO_RAW = "qemu-img convert -O raw {file} NEW.img"
_TO_QCOW2 = "qemu-img convert -O qcow2 {file} NEW.qcow2"

MAGIC = b"QFI\xfb"
# The header, its extensions and the backing file's name are in the first cluster.
MOST_HEAD = 1 << 21

_V2_HEADER, _V3_HEADER = 72, 104
_CLUSTER_BITS = range(9, 22)
_MOST_SIZE = 1 << 62  # bytes; QEMU counts them in an int64_t
_MOST_NAME = 1023  # bytes of a backing file's name
_MOST_FORMAT = 15

_CORRUPT, _DATA_FILE = 1 << 1, 1 << 2  # incompatible features
_KNOWN_FEATURES = 0b11111  # dirty, corrupt, data file, compression type, extended L2 entries

_END, _BACKING_FORMAT, _DATA_FILE_NAME = 0, 0xE2792ACA, 0x44415441  # header extensions


@dataclass(frozen=True)
class Qcow2:
    """size: bytes of the disk in it; backing: name of the file that it is based on, or empty, as
    the image spells it; backing_format: that file's, or empty where the image does not say.
    """

    size: int
    backing: str = ""
    backing_format: str = ""


class Unusable(Exception):
    """An image that is not to be given to a machine. problem: why; mend: what helps, in which
    `{file}` stands for the image."""

    def __init__(self, problem: str, mend: str = "") -> None:
        super().__init__(problem)
        self.problem, self.mend = problem, mend


def is_qcow2(head: bytes) -> bool:
    """Whether a file that begins so says that it is such an image."""
    return head.startswith(MAGIC)


def read_qcow2(head: bytes) -> Qcow2:
    """Reads the header from the first MOST_HEAD bytes of an image, or all that it has.

    Raises Unusable for one that is damaged, that keeps its data in another file, or that needs what
    QEMU is not told (a key).
    """
    if len(head) < _V2_HEADER or not is_qcow2(head):
        raise _damaged("no header")
    version, backing_at, backing_size, cluster_bits, size, encryption = struct.unpack_from(
        ">IQIIQI", head, 4
    )
    if version not in (2, 3):
        raise Unusable(f"a qcow2 image of version {version}", f"convert it: {_TO_RAW}")
    if cluster_bits not in _CLUSTER_BITS:
        raise _damaged(f"clusters of 2^{cluster_bits} bytes")
    if size > _MOST_SIZE:
        raise _damaged(f"a size of {size} bytes")
    if encryption:
        raise Unusable("an encrypted qcow2 image", f"decrypt it: {_TO_RAW}")
    cluster = 1 << cluster_bits
    length = _V2_HEADER
    if version == 3:
        length = _check_version_3(head, cluster)
    name = _backing_name(head, backing_at, backing_size, cluster) if backing_at else b""
    extensions = _extensions(head, length, min(backing_at or cluster, cluster, len(head)))
    if _DATA_FILE_NAME in extensions:
        raise _elsewhere()
    kind = extensions.get(_BACKING_FORMAT, b"") if name else b""
    if len(kind) > _MOST_FORMAT:
        raise _damaged("the format of its backing file")
    return Qcow2(size, os.fsdecode(name), os.fsdecode(kind))


def _check_version_3(head: bytes, cluster: int) -> int:
    """The length of the header."""
    if len(head) < _V3_HEADER:
        raise _damaged("no header")
    features, length = int.from_bytes(head[72:80], "big"), int.from_bytes(head[100:104], "big")
    if features & _DATA_FILE:
        raise _elsewhere()
    if features & _CORRUPT:
        raise Unusable(
            "a qcow2 image that is marked as corrupt", "repair it: qemu-img check -r all {file}"
        )
    if features & ~_KNOWN_FEATURES:
        raise Unusable(
            f"a qcow2 image with unknown features ({features:#x})",
            f"convert it: {_TO_QCOW2}",
        )
    if not _V3_HEADER <= length <= min(cluster, len(head)):
        raise _damaged(f"a header of {length} bytes")
    return length


def _backing_name(head: bytes, at: int, size: int, cluster: int) -> bytes:
    end = min(cluster, len(head))
    if at < _V2_HEADER or at > end or not 0 < size <= min(_MOST_NAME, end - at):
        raise _damaged("the name of its backing file")
    name = head[at : at + size]
    if b"\0" in name:
        raise _damaged("the name of its backing file")
    return name


def _extensions(head: bytes, start: int, end: int) -> dict[int, bytes]:
    """The header extensions: kind -> data. Of two of a kind the last counts, as for QEMU."""
    found: dict[int, bytes] = {}
    at = start
    while at + 8 <= end:
        kind, length = struct.unpack_from(">II", head, at)
        at += 8
        if kind == _END:
            break
        if length > end - at:
            raise _damaged("a header extension")
        found[kind] = head[at : at + length]
        at += (length + 7) // 8 * 8
    return found


def _damaged(what: str) -> Unusable:
    return Unusable(f"a damaged qcow2 image ({what})", "take a whole copy of it")


def _elsewhere() -> Unusable:
    return Unusable(
        "a qcow2 image whose data is in another file",
        f"machines get no such image; convert it: {_TO_QCOW2}",
    )
