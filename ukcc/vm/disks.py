"""Disks of a machine: the words of `--disk` and `--create` as data."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ukcc.errors import MachineError
from ukcc.vm.host_path import host_path

RAW, QCOW2 = "raw", "qcow2"
FSTYPE = "ext4"  # the one that the kernel has (sysroot/linux/config/blk.config)
CACHES = ("writeback", "none", "writethrough", "directsync", "unsafe")  # qemu(1), -drive cache=
MOST = 16  # init has room for so many mounts (sysroot/init/init.h)

_FORM = "FILE[:/GUESTDIR[:ext4]][,ro][,create=SIZE][,cache=MODE]"
_OPTION = re.compile(r"(?P<rest>.+),(?P<name>ro|rw|create|cache)(?:=(?P<value>[^,=]*))?", re.S)
_SIZE = re.compile(r"(?P<number>[1-9][0-9]{0,5})(?P<unit>[MGT])", re.I)
_UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# mkfs.ext4 leaves the journal out of a smaller file system.
_SMALLEST = 16 << 20


@dataclass(frozen=True)
class Disk:
    """A file of the host (absolute path) as a disk.

    guest: where its file system is mounted, or empty for none; create: bytes to make it of if it is
    not there, or 0; cache: what QEMU does with writes; format: the file's, `raw` or `qcow2`.
    """

    file: str
    guest: str = ""
    readonly: bool = False
    create: int = 0
    cache: str = CACHES[0]
    format: str = RAW

    @property
    def fstype(self) -> str:
        """The file system that is on it, if it is to be mounted."""
        return FSTYPE if self.guest else ""


def parse_disk(text: str) -> Disk:
    """`FILE[:/GUESTDIR[:ext4]][,ro][,create=SIZE][,cache=MODE]` -> Disk. FILE may be relative."""
    place, given = _options(text)
    file, found, guest = place.rpartition(":/")
    if not found:
        file, guest = place, ""
    guest, colon, fstype = guest.partition(":")
    if not file or (found and not guest) or "\n" in guest or "\0" in text:
        raise _not_understood(text)
    if colon and fstype != FSTYPE:
        raise MachineError(
            f"--disk {text}: {fstype or 'an empty word'} is no file system that is mounted",
            f"it is {FSTYPE}; without GUESTDIR the disk is only a block device",
        )
    if "ro" in given and "create" in given:
        raise MachineError(
            f"--disk {text}: a new disk that is read-only has no use", "leave ro out"
        )
    cache = given.get("cache", CACHES[0])
    if cache not in CACHES:
        raise MachineError(f"--disk {text}: cache={cache}: no such mode", f"it is {_or(CACHES)}")
    return Disk(
        host_path("--disk", file),
        f"/{guest}" if found else "",
        "ro" in given,
        parse_size(given["create"], f"--disk {text}") if "create" in given else 0,
        cache,
    )


def parse_size(text: str, where: str) -> int:
    """`512M`, `4G`, `1T` -> bytes. `where` begins the message of what is no such word."""
    match = _SIZE.fullmatch(text)
    size = int(match["number"]) * _UNITS[match["unit"].upper()] if match else 0
    if size < _SMALLEST:
        raise MachineError(
            f"{where}: {text or 'nothing'} is no size of a disk",
            f"a number of M, G or T, at least {_SMALLEST >> 20}M, as in create=1G",
        )
    return size


def with_create(disks: "tuple[Disk, ...]", size: "str | None") -> "tuple[Disk, ...]":
    """`--create SIZE` is `create=SIZE` of the only disk."""
    if size is None:
        return disks
    wanted = parse_size(size, "--create")
    if len(disks) != 1:
        raise MachineError(
            f"--create {size}: there are {len(disks)} disks, and it goes with one",
            "say it of each: --disk FILE:/GUESTDIR,create=SIZE",
        )
    if disks[0].readonly or disks[0].create not in (0, wanted):
        raise MachineError(f"--create {size}: --disk says otherwise", "leave one of them out")
    return (replace(disks[0], create=wanted),)


def size_word(size: int) -> str:
    """Bytes in the largest unit that makes them a whole number: `512M`; else `N bytes`."""
    for unit, factor in reversed(_UNITS.items()):
        if size and size % factor == 0:
            return f"{size // factor}{unit}"
    return f"{size} bytes"


def _options(text: str) -> tuple[str, dict[str, str]]:
    """What stands before the options, and these. A comma may be in the file's name as well."""
    given: dict[str, str] = {}
    rest = text
    while match := _OPTION.fullmatch(rest):
        name, value = match["name"], match["value"]
        if name in given or (value is None) == (name in ("create", "cache")):
            raise _not_understood(text)
        given[name] = value or ""
        rest = match["rest"]
    if "ro" in given and "rw" in given:
        raise _not_understood(text)
    return rest, given


def _not_understood(text: str) -> MachineError:
    return MachineError(f"--disk {text!r} is not understood", f"it takes {_FORM}")


def _or(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"
