"""The kernel's half of an image: `kernel.json` beside `kernel.bin`, in a sysroot or the store."""

from __future__ import annotations

# Importing pathlib would cost every link 5 ms:
# ruff: noqa: PTH118, PTH123
import os
import struct

from ukcc.errors import SysrootMissing, UkccError
from ukcc.light import quickjson
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

# How to mend a kernel of the store.
MAKE_AGAIN = "make the kernel again: ukcc specialise"


# struct uk_archive of the kernel: magic, physical address, size, zlib.crc32, reserved.
DESCRIPTOR = struct.Struct("<8sQQII")
DESCRIPTOR_MAGIC = b"UKARCHIV"

# Bytes that a kernel and init need beside what is counted (memory.py), where kernel.json does not
# say it: what the general kernel takes for page tables, slabs, the first struct pages, devices'
# rings and two CPUs' data.
ALLOWANCE = 10 << 20
_MOST_ALLOWANCE = 1 << 30

_MADE = 16  # hexadecimal digits
_DIGITS = frozenset("0123456789abcdef")
_LETTERS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
_MOST_FEATURES, _LONGEST_FEATURE = 64, 32


class KernelSegment(Record):
    """A piece of `kernel.bin`: `offset` and `filesz` in bytes, `paddr` where it must be loaded."""

    name: str
    paddr: int
    offset: int
    filesz: int


class PackedKernel(Record):
    """`kernel.json`, checked. Addresses are physical; `end_paddr` is behind BSS and brk.

    one_copy: it unpacks the archive without a second copy (`CONFIG_UK_ONE_COPY`). allowance: bytes,
    see ALLOWANCE. offers: the features of a specialised kernel; None: the general one, which has
    all. made: a specialised kernel's id in the store.
    """

    release: str
    source: str
    config_sha256: str
    entry_paddr: int
    end_paddr: int
    segments: tuple[KernelSegment, ...]
    descriptor_offset: int
    one_copy: bool = False
    allowance: int = ALLOWANCE
    offers: tuple[str, ...] | None = None
    made: str = ""

    @property
    def facts(self) -> dict[str, str]:
        """What an image's metadata say of it."""
        return {
            "release": self.release,
            "source": self.source,
            "config_sha256": self.config_sha256,
            **({} if self.offers is None else {"offers": " ".join(self.offers)}),
            **({"made": self.made} if self.made else {}),
        }

    @property
    def size(self) -> int:
        """The bytes of `kernel.bin` that the segments need."""
        return max((s.offset + s.filesz for s in self.segments), default=0)


# What a thin image carries: `ukcc run` brings the kernel.
NO_KERNEL = PackedKernel("", "", "", 0, 0, (), 0)


def directory_of(sysroot: str, kernel_directory: str = "") -> str:
    """Where a kernel's files are: in a directory of its own, else in the sysroot."""
    return kernel_directory or os.path.join(sysroot, "kernel")


def read_kernel(sysroot: str, kernel_directory: str = "") -> PackedKernel:
    """The kernel of the sysroot in that directory, or the one in `kernel_directory`.

    Raises SysrootMissing if a sysroot has none, UkccError if there is none, or if its description
    cannot be understood.
    """
    path = os.path.join(directory_of(sysroot, kernel_directory), "kernel.json")
    try:
        return parse_kernel(read_json(path))
    except OSError as error:
        if kernel_directory:
            raise UkccError(f"{path}: {error.strerror}", MAKE_AGAIN) from None
        raise SysrootMissing(
            f"{path}: {error.strerror}", "build the sysroot with: ukcc sysroot build"
        ) from None
    except (ValueError, KeyError, TypeError) as error:
        mend = MAKE_AGAIN if kernel_directory else "build the sysroot again"
        raise UkccError(f"{path}: cannot be understood ({error!r})", mend) from None


def parse_kernel(facts: dict[str, Any]) -> PackedKernel:
    """Builds a Kernel from the decoded JSON. Raises KeyError, TypeError or ValueError."""
    segments = tuple(
        KernelSegment(str(s["name"]), int(s["paddr"]), int(s["offset"]), int(s["filesz"]))
        for s in facts["segments"]
    )
    if not segments:
        raise ValueError("no segments")
    if int(facts["descriptor"]["size"]) != DESCRIPTOR.size:
        raise ValueError("descriptor of another size")
    return PackedKernel(
        release=str(facts["release"]),
        source=str(facts["source"]),
        config_sha256=str(facts["config_sha256"]),
        entry_paddr=int(facts["entry_paddr"]),
        end_paddr=int(facts["end_paddr"]),
        segments=segments,
        descriptor_offset=int(facts["descriptor"]["offset"]),
        one_copy=facts.get("one_copy") is True,
        allowance=_allowance(facts.get("allowance", ALLOWANCE)),
        offers=_offers(facts.get("offers")),
        made=_made(facts.get("made", "")),
    )


def is_made(text: str) -> bool:
    """Whether it is the id of a specialised kernel: it becomes part of a path."""
    return len(text) == _MADE and _DIGITS.issuperset(text)


def are_features(words: Sequence[str]) -> bool:
    """Whether they are names of features: a few short words of [a-z0-9-]."""
    return len(words) <= _MOST_FEATURES and all(
        0 < len(word) <= _LONGEST_FEATURE and _LETTERS.issuperset(word) for word in words
    )


def _allowance(value: Any) -> int:
    if type(value) is not int or not 0 < value <= _MOST_ALLOWANCE:
        raise ValueError("allowance is not a number of bytes up to 1 GiB")
    return value


def _offers(value: Any) -> tuple[str, ...] | None:
    if value is None:
        return None
    is_list = isinstance(value, list) and all(isinstance(word, str) for word in value)
    if not is_list or not are_features(value):
        raise ValueError("offers is not a list of features")
    return tuple(sorted(set(value)))


def _made(value: Any) -> str:
    if value and not (isinstance(value, str) and is_made(value)):
        raise ValueError("made is not 16 hexadecimal digits")
    return value or ""


def read_json(path: str) -> Any:
    """The decoded file. Raises OSError, ValueError."""
    with open(path, encoding="utf-8") as file:
        return quickjson.loads(file.read())
