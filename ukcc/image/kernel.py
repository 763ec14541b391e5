"""The kernel's half of an image, as a sysroot offers it: `kernel.json` beside `kernel.bin`."""

from __future__ import annotations

# Importing pathlib would cost every link 5 ms:
# ruff: noqa: PTH118, PTH123
import os
import struct

from ukcc import quickjson
from ukcc.errors import SysrootMissing, UkccError
from ukcc.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

# struct uk_archive of the kernel: magic, physical address, size, zlib.crc32, reserved.
DESCRIPTOR = struct.Struct("<8sQQII")
DESCRIPTOR_MAGIC = b"UKARCHIV"


class Segment(Record):
    """A piece of `kernel.bin`: `offset` and `filesz` in bytes, `paddr` where it must be loaded."""

    name: str
    paddr: int
    offset: int
    filesz: int


class Kernel(Record):
    """`kernel.json`, checked. Addresses are physical; `end_paddr` is behind BSS and brk.

    one_copy: it unpacks the archive without a second copy (`CONFIG_UK_ONE_COPY`).
    """

    release: str
    source: str
    config_sha256: str
    entry_paddr: int
    end_paddr: int
    segments: tuple[Segment, ...]
    descriptor_offset: int
    one_copy: bool = False

    @property
    def size(self) -> int:
        """The bytes of `kernel.bin` that the segments need."""
        return max((s.offset + s.filesz for s in self.segments), default=0)


# What a thin image carries: `ukcc run` brings the kernel.
NO_KERNEL = Kernel("", "", "", 0, 0, (), 0)


def read_kernel(sysroot: str) -> Kernel:
    """The kernel of the sysroot in that directory.

    Raises SysrootMissing if it has none, UkccError if its description cannot be understood.
    """
    path = os.path.join(sysroot, "kernel", "kernel.json")
    try:
        return parse_kernel(read_json(path))
    except OSError as error:
        raise SysrootMissing(
            f"{path}: {error.strerror}", "build the sysroot with: ukcc sysroot build"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        raise UkccError(
            f"{path}: cannot be understood ({error!r})", "build the sysroot again"
        ) from None


def parse_kernel(facts: dict[str, Any]) -> Kernel:
    """Builds a Kernel from the decoded JSON. Raises KeyError, TypeError or ValueError."""
    segments = tuple(
        Segment(str(s["name"]), int(s["paddr"]), int(s["offset"]), int(s["filesz"]))
        for s in facts["segments"]
    )
    if not segments:
        raise ValueError("no segments")
    if int(facts["descriptor"]["size"]) != DESCRIPTOR.size:
        raise ValueError("descriptor of another size")
    return Kernel(
        release=str(facts["release"]),
        source=str(facts["source"]),
        config_sha256=str(facts["config_sha256"]),
        entry_paddr=int(facts["entry_paddr"]),
        end_paddr=int(facts["end_paddr"]),
        segments=segments,
        descriptor_offset=int(facts["descriptor"]["offset"]),
        one_copy=facts.get("one_copy") is True,
    )


def read_json(path: str) -> Any:
    """The decoded file. Raises OSError, ValueError."""
    with open(path, encoding="utf-8") as file:
        return quickjson.loads(file.read())
