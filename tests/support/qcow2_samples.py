"""qcow2 images as bytes (QEMU's docs/interop/qcow2.txt), right ones and others."""

import struct

CLUSTER_BITS = 16
BACKING_FORMAT, DATA_FILE = 0xE2792ACA, 0x44415441  # header extensions
DIRTY, CORRUPT, EXTERNAL_DATA = 1, 2, 4  # incompatible features


def header(
    size: int,
    backing: bytes = b"",
    extensions: "dict[int, bytes] | None" = None,
    *,
    version: int = 3,
    features: int = 0,
    encryption: int = 0,
    cluster_bits: int = CLUSTER_BITS,
    l1_at: int = 0,
    refcounts_at: int = 0,
) -> bytes:
    """The first bytes of an image for a disk of `size` bytes, with one L1 entry."""
    length = 104 if version > 2 else 72
    tail = b""
    for kind, data in (extensions or {}).items():
        tail += struct.pack(">II", kind, len(data)) + data.ljust((len(data) + 7) // 8 * 8, b"\0")
    tail += struct.pack(">II", 0, 0)
    place = length + len(tail) if backing else 0
    words = (place, len(backing), cluster_bits, size, encryption, 1, l1_at, refcounts_at, 1, 0, 0)
    head = struct.pack(">4sIQIIQIIQQIIQ", b"QFI\xfb", version, *words)
    if version > 2:
        head += struct.pack(">QQQII", features, 0, 0, 4, length)
    return head + tail + backing


def empty(size: int, backing: bytes = b"", backing_format: bytes = b"", **more: int) -> bytes:
    """A whole image in which nothing is written: header, L1 table, refcount table and block."""
    cluster = 1 << CLUSTER_BITS
    extensions = {BACKING_FORMAT: backing_format} if backing_format else {}
    first = header(size, backing, extensions, l1_at=cluster, refcounts_at=2 * cluster, **more)
    blocks = [first, b"", struct.pack(">Q", 3 * cluster), struct.pack(">4H", 1, 1, 1, 1)]
    return b"".join(block.ljust(cluster, b"\0") for block in blocks)


def naming_data_file(size: int, file: str) -> bytes:
    """As qemu-img create -o data_file=FILE,data_file_raw=on: the guest would have that file."""
    cluster = 1 << CLUSTER_BITS
    first = header(
        size,
        extensions={DATA_FILE: file.encode()},
        features=EXTERNAL_DATA,
        l1_at=cluster,
        refcounts_at=2 * cluster,
    )
    # autoclear feature bit 1: what is read is the file as it is
    first = first[:88] + struct.pack(">Q", 2) + first[96:]
    # an L2 table in cluster 4: each cluster is where it is in the file
    entries = [1 << 63 | n * cluster for n in range(size // cluster)]
    table = struct.pack(f">{len(entries)}Q", *entries)
    blocks = [
        first,
        struct.pack(">Q", 1 << 63 | 4 * cluster),
        struct.pack(">Q", 3 * cluster),
        struct.pack(">5H", 1, 1, 1, 1, 1),
        table,
    ]
    return b"".join(block.ljust(cluster, b"\0") for block in blocks)
