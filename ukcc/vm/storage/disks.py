"""Disks of a machine: the words of `--disk` and `--create` as data."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace

from ukcc.errors import MachineError
from ukcc.vm.storage.host_path import host_path

RAW, QCOW2 = "raw", "qcow2"
FSTYPE = "ext4"  # the one that the kernel has (sysroot/linux/config/blk.config)
CACHES = ("writeback", "none", "writethrough", "directsync", "unsafe")  # qemu(1), -drive cache=
MOST = 16  # init has room for so many mounts (sysroot/init/init.h)

FORMATS = (RAW, QCOW2)
_FORM = (
    "FILE[:/GUESTDIR[:ext4]][,ro][,create=SIZE][,cache=MODE][,format=raw|qcow2][,backing=FILE]..."
)
_OPTION = re.compile(
    r"(?P<rest>.+),(?P<name>ro|rw|create|cache|format|backing)(?:=(?P<value>[^,]*))?", re.S
)
_WITHOUT_VALUE = ("ro", "rw")
_QCOW2_NAME = ".qcow2"
_SIZE = re.compile(r"(?P<number>[1-9][0-9]{0,5})(?P<unit>[MGT])", re.I)
_UNITS = {"M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
# mkfs.ext4 leaves the journal out of a smaller file system.
_SMALLEST = 16 << 20


@dataclass(frozen=True)
class Layer:
    """One file of a disk as it was looked at: the disk's own, or one that it is based on.

    format: `raw` or `qcow2`; device: it is a block device; fd: open, or None for one that QEMU is
    to open by its name.
    """

    file: str
    format: str
    device: bool = False
    fd: "int | None" = None


@dataclass(frozen=True)
class Disk:
    """A file of the host (absolute path) as a disk.

    guest: where its file system is mounted, or empty for none; create: bytes to make it of if it is
    not there, or 0; cache: what QEMU does with writes; format: `raw` or `qcow2` as the user has
    said it, or empty until it was looked at; backing: the files that it is based on, as far as the
    user names them, the nearest first; layers: its own file and those, once they were looked at.
    """

    file: str
    guest: str = ""
    readonly: bool = False
    create: int = 0
    cache: str = CACHES[0]
    format: str = ""
    backing: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()

    @property
    def is_qcow2(self) -> bool:
        """By the user's words alone, his name for the file among them.

        Never by what is in the file: that of a raw disk is written by the guest.
        """
        return self.format == QCOW2 or (not self.format and named_qcow2(self.file))

    @property
    def chain(self) -> tuple[Layer, ...]:
        """Its layers; of one that was not looked at, its own file."""
        return self.layers or (Layer(self.file, QCOW2 if self.is_qcow2 else RAW),)

    @property
    def fstype(self) -> str:
        """The file system that is on it, if it is to be mounted."""
        return FSTYPE if self.guest else ""


def named_qcow2(file: str) -> bool:
    """Whether the name says that the file is a qcow2 image."""
    return file.lower().endswith(_QCOW2_NAME)


def parse_disk(text: str) -> Disk:
    """`FILE[:/GUESTDIR[:ext4]][,ro][,create=SIZE]...` -> Disk. FILE may be relative."""
    place, given, backing = _options(text)
    file, found, guest = place.rpartition(":/")
    if not found:
        file, guest = place, ""
    guest, colon, fstype = guest.partition(":")
    if not file or (found and not guest) or {"\n", ","} & set(guest + fstype) or "\0" in text:
        raise _not_understood(text)
    if colon and fstype != FSTYPE:
        raise MachineError(
            f"--disk {text}: {fstype or 'an empty word'} is not a supported file system",
            f"it is {FSTYPE}; without GUESTDIR the disk is only a block device",
        )
    if "ro" in given and "create" in given:
        raise MachineError(
            f"--disk {text}: a new disk that is read-only has no use", "leave ro out"
        )
    cache = given.get("cache", CACHES[0])
    if cache not in CACHES:
        raise MachineError(f"--disk {text}: cache={cache}: no such mode", f"it is {_or(CACHES)}")
    disk_format = given.get("format", "")
    if disk_format and disk_format not in FORMATS:
        raise MachineError(
            f"--disk {text}: format={disk_format}: no such format",
            f"it is {_or(FORMATS)}; qemu-img convert makes either of other images",
        )
    if disk_format == RAW and named_qcow2(file):
        # without format=raw, some day, what the guest has written there would be an image's header
        raise MachineError(
            f"--disk {text}: a raw disk must not be named {_QCOW2_NAME}", "rename it, to .img"
        )
    disk = Disk(
        host_path("--disk", file),
        f"/{guest}" if found else "",
        "ro" in given,
        parse_size(given["create"], f"--disk {text}") if "create" in given else 0,
        cache,
        disk_format,
        tuple(host_path("--disk backing", name) for name in backing),
    )
    if backing and not disk.is_qcow2:
        raise MachineError(
            f"--disk {text}: only a qcow2 image is based on another file",
            "add ,format=qcow2 if it is one",
        )
    return disk


def parse_size(text: str, where: str) -> int:
    """`512M`, `4G`, `1T` -> bytes. `where` begins the message of what is no such word."""
    match = _SIZE.fullmatch(text)
    size = int(match["number"]) * _UNITS[match["unit"].upper()] if match else 0
    if size < _SMALLEST:
        raise MachineError(
            f"{where}: invalid disk size {text!r}",
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


def _options(text: str) -> tuple[str, dict[str, str], tuple[str, ...]]:
    """What stands before the options; these; and the files of `backing`, which may be several.

    A comma may be in the first file's name as well.
    """
    given: dict[str, str] = {}
    backing: list[str] = []
    rest = text
    while match := _OPTION.fullmatch(rest):
        name, value = match["name"], match["value"]
        if name in given or (value is None) != (name in _WITHOUT_VALUE):
            raise _not_understood(text)
        if name != "backing":
            given[name] = value or ""
        elif value:
            backing.insert(0, value)
        else:
            raise _not_understood(text)
        rest = match["rest"]
    if "ro" in given and "rw" in given:
        raise _not_understood(text)
    return rest, given, tuple(backing)


def _not_understood(text: str) -> MachineError:
    return MachineError(f"--disk {text!r} is not understood", f"it takes {_FORM}")


def _or(words: Iterable[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} or {last}"
