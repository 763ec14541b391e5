"""Places of the guest that are given from outside: shares and disks together."""

import os
import posixpath
from collections.abc import Iterable, Sequence
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.image.files import lies_in
from ukcc.vm.machine import NINE_P, VIRTIOFS, Machine, Share, disk_device, share_tag
from ukcc.vm.storage.disks import MOST, Disk
from ukcc.vm.storage.trail import check_apart

# What init makes itself, and would lose under a mount.
_OURS = ("/proc", "/sys", "/dev", "/.uk")

# The settings' keys (sysroot/init/config.c).
_KEYS = {NINE_P: "mount", VIRTIOFS: "virtiofs"}


def check_places(shares: Sequence[Share], disks: Sequence[Disk], program: str = "") -> None:
    """Raises MachineError for places that hide something, or are wanted twice.

    program: the application's path in the image, or empty when that is not known.
    """
    places = [("-v", s.host, s.guest) for s in shares]
    places += [("--disk", d.file, d.guest) for d in disks if d.guest]
    taken: dict[str, str] = {}
    for option, host, guest in places:
        said = f"{option} {host}:{guest}"
        place = _plain(guest)
        if place == "/":
            raise MachineError(f"{said}: the root is the image's own", "choose a directory in it")
        for ours in _OURS:
            if lies_in(place, [ours]):
                raise MachineError(f"{said}: {ours} is the kernel's", "choose another place")
        if program and lies_in(program, [place]):
            raise MachineError(f"{said}: it would hide the program, {program}", "choose another")
        if place in taken:
            raise MachineError(f"{said}: {taken[place]} is there already", "one of them may move")
        taken[place] = f"{option} {host}"
    if len(places) > MOST or len(disks) > MOST:
        raise MachineError(f"{max(len(places), len(disks))} shares and disks: {MOST} are the most")
    _check_files(disks)
    check_apart(shares, disks)


def _check_files(disks: Iterable[Disk]) -> None:
    seen: dict[str, Disk] = {}
    for disk in disks:
        # not Path.resolve(), which raises for links that lead to themselves
        before = seen.setdefault(os.path.realpath(disk.file), disk)
        if before is not disk and not (before.readonly and disk.readonly):
            raise MachineError(f"--disk {disk.file}: given twice", "two may only read it, by ,ro")


def check_shares(shares: Iterable[Share]) -> None:
    """Raises MachineError for what is no directory of the host."""
    for share in shares:
        path = Path(share.host)
        try:
            if path.is_file():
                raise MachineError(f"-v {share.host}: a file", "share the directory that it is in")
            if not path.is_dir():
                raise MachineError(f"-v {share.host}: no such directory", "make it first")
        except OSError as error:
            raise MachineError(f"-v {share.host}: {error.strerror}", "share another one") from None


def volume_lines(machine: Machine) -> list[str]:
    """Lines of the settings, a place before those that are within it."""
    found = [
        (share.guest, f"{_KEYS[share.by]}={share_tag(index)}", share.readonly)
        for index, share in enumerate(machine.attached.shares)
    ]
    found += [
        (disk.guest, f"disk={disk_device(index)}", disk.readonly)
        for index, disk in enumerate(machine.attached.disks)
        if disk.guest
    ]
    found.sort(key=lambda volume: _plain(volume[0]).count("/"))
    lines = [f"{what}:{guest}:{'ro' if readonly else 'rw'}" for guest, what, readonly in found]
    return [*lines, *(["root=ro"] if machine.hardware.readonly_root else [])]


def _plain(guest: str) -> str:
    return posixpath.normpath("/" + guest.lstrip("/"))
