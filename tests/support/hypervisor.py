"""Reads an image as a hypervisor does: program headers only, no sections."""

import itertools
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

PT_LOAD, PT_NOTE = 1, 4
PVH = (b"Xen\0", 18)
DESCRIPTOR = struct.Struct("<8sQQII")  # struct uk_archive: docs/architecture.md
CPIO_MAGIC = b"070701"


class Machine(NamedTuple):
    """What lies in memory when the kernel is entered."""

    entry: int  # physical address
    memory: "dict[int, bytes]"  # by physical address
    archive: bytes
    kernel: bytes  # the segments that hold entry and descriptor; the archive's place is in them

    def at(self, address: int, size: int) -> bytes:
        """Bytes of guest memory, which may have come from several segments."""
        found, at = b"", address
        for start, content in sorted(self.memory.items()):
            if start <= at < start + len(content):
                found += content[at - start :][: size - len(found)]
                at = address + len(found)
        assert len(found) == size, f"nothing was loaded at {at:#x}"
        return found


def load(path: Path) -> Machine:
    """Loads the image and checks what its kernel checks. Raises AssertionError."""
    data = path.read_bytes()
    memory: dict[int, bytes] = {}
    entry = 0
    for kind, offset, paddr, filesz, memsz in _headers(data):
        content = data[offset : offset + filesz]
        assert len(content) == filesz, "the file is cut off"
        if kind == PT_LOAD and filesz:
            memory[paddr] = content + bytes(min(memsz - filesz, 1 << 20))
        elif kind == PT_NOTE:
            entry = _pvh(content)  # whatever the last one says
    assert entry, "the last PT_NOTE is no PVH note"
    ends = sorted((start, start + len(content)) for start, content in memory.items())
    for (_, end), (start, _) in itertools.pairwise(ends):
        assert end <= start, "segments overlap"
    machine = Machine(entry, memory, b"", b"")
    machine.at(entry, 16)
    descriptor = _descriptor(memory)
    assert descriptor is not None, "no kernel with a place for the archive"
    _, physical, size, crc, _ = descriptor
    archive = machine.at(physical, size)
    assert zlib.crc32(archive) == crc, "the archive was changed"
    assert archive.startswith(CPIO_MAGIC)
    kernel = b"".join(
        content for start, content in sorted(memory.items()) if _is_kernel(start, content, physical)
    )
    return machine._replace(archive=archive, kernel=kernel)


def is_image(path: Path) -> bool:
    """Whether the file boots, as far as its headers say."""
    return bool(load(path).archive)


def _is_kernel(start: int, content: bytes, archive: int) -> bool:
    # The kernel lies below the archive, everything else above it.
    return start + len(content) <= archive


def _headers(data: bytes) -> "list[tuple[int, int, int, int, int]]":
    assert data[:6] == b"\x7fELF\x02\x01"
    (phoff,) = struct.unpack_from("<Q", data, 32)
    phentsize, phnum = struct.unpack_from("<HH", data, 54)
    found = []
    for number in range(phnum):
        kind, _, offset, _, paddr, filesz, memsz, _ = struct.unpack_from(
            "<IIQQQQQQ", data, phoff + number * phentsize
        )
        found.append((kind, offset, paddr, filesz, memsz))
    return found


def _pvh(notes: bytes) -> int:
    at = 0
    while at + 12 <= len(notes):
        namesz, descsz, kind = struct.unpack_from("<III", notes, at)
        body = at + 12 + namesz + -namesz % 4
        if (notes[at + 12 : at + 12 + namesz], kind) == PVH:
            return int(struct.unpack_from("<Q", notes, body)[0])
        at = body + descsz + -descsz % 4
    return 0


def _descriptor(memory: "dict[int, bytes]") -> "tuple[bytes, int, int, int, int] | None":
    for content in memory.values():
        at = content.find(b"UKARCHIV")
        while at >= 0:
            if at % 8 == 0 and at + DESCRIPTOR.size <= len(content):
                found = DESCRIPTOR.unpack_from(content, at)
                if found[1] % 4096 == 0 and found[1] in memory:
                    return found
            at = content.find(b"UKARCHIV", at + 1)
    return None
