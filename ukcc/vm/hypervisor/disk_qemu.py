"""Disks as words of QEMU's command line.

Nothing is left for QEMU to guess: each file has its driver, and a qcow2 image the file that it is
based on, or none, whatever its header says. In a run the files are open already (`-add-fd`), so
what was looked at is what QEMU gets, also one that may not open it.
"""

import json
import re
from collections.abc import Iterator, Sequence

from ukcc.errors import MachineError
from ukcc.vm.hypervisor.board import Board
from ukcc.vm.storage.disks import QCOW2, Disk, Layer

_PLACE = re.compile(r"/dev/fdset/(\d+)")

# What qemu(1) says of -drive cache=: does it pass the host's cache by, does it ignore flushes, has
# the device a cache that the guest flushes.
_CACHES = {
    "writeback": (False, False, True),
    "none": (True, False, True),
    "writethrough": (False, False, False),
    "directsync": (True, False, False),
    "unsafe": (False, True, True),
}


def disk_words(disks: Sequence[Disk], board: Board) -> list[str]:
    """A full disk of the host is an error for the guest; QEMU's own way is to stop the machine."""
    words = []
    numbers = dict(_numbered(disks))
    for number, layer in numbers.items():
        if layer.fd is not None:
            words += ["-add-fd", f"fd={layer.fd},set={number}"]
    first = 0
    for index, disk in enumerate(disks):
        places = range(first, first + len(disk.chain))
        first += len(disk.chain)
        _, _, cached = _CACHES[disk.cache]
        words += [
            "-blockdev",
            _json(disk, {"node-name": f"disk{index}", **_node(disk, list(places))}),
            *board.device(
                "virtio-blk",
                *(f"drive=disk{index}", "werror=report", "rerror=report"),
                f"write-cache={'on' if cached else 'off'}",
            ),
        ]
    return words


def descriptors(disks: Sequence[Disk]) -> list[int]:
    """What QEMU inherits."""
    return [layer.fd for _, layer in _numbered(disks) if layer.fd is not None]


def with_names(text: str, disks: Sequence[Disk]) -> str:
    """What QEMU says, with the files' names for those that it knows them by."""
    numbers = dict(_numbered(disks))

    def name(match: "re.Match[str]") -> str:
        layer = numbers.get(int(match[1]))
        return layer.file if layer else match[0]

    return _PLACE.sub(name, text)


def _numbered(disks: Sequence[Disk]) -> Iterator[tuple[int, Layer]]:
    return enumerate(layer for disk in disks for layer in disk.chain)


def _node(disk: Disk, places: Sequence[int], depth: int = 0) -> "dict[str, object]":
    """The block node of the layer at that depth, with all below."""
    layer = disk.chain[depth]
    direct, no_flush, _ = _CACHES[disk.cache]
    shared = {
        "read-only": disk.readonly or depth > 0,
        "discard": "unmap",
        "cache": {"direct": direct, "no-flush": no_flush},
    }
    file = {
        "driver": "host_device" if layer.device else "file",
        "filename": layer.file if layer.fd is None else f"/dev/fdset/{places[depth]}",
        **shared,
    }
    node: dict[str, object] = {"driver": layer.format, **shared, "file": file}
    if layer.format == QCOW2:
        more = depth + 1 < len(disk.chain)
        node["backing"] = _node(disk, places, depth + 1) if more else None
    return node


def _json(disk: Disk, node: "dict[str, object]") -> str:
    try:
        text = json.dumps(node, ensure_ascii=False)
        text.encode()
    except UnicodeEncodeError:
        raise MachineError(
            f"--disk {disk.file!r}: a name that is not UTF-8, which no line can give to QEMU",
            "rename it, or leave --dry-run out",
        ) from None
    return text
