"""What keeps a VMM small on its host: a user of its own when root starts it, limits, no new rights.

Firecracker and Cloud Hypervisor filter their own system calls (seccomp) as they start; that is left
on. What QEMU does after it has opened all, they cannot do: they start as the user that they stay.
So each file that they get is looked at before: can that user open it? docs/security.md.
"""

import contextlib
import ctypes
import os
import resource
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc.vm.hypervisor.confine import AUTO, Host, RootNeeds, choose_user
from ukcc.vm.live.process import die_with_parent
from ukcc.vm.machine import Machine
from ukcc.vm.storage.disks import Disk

_KVM, _TUN = "/dev/kvm", "/dev/net/tun"
_PR_SET_NO_NEW_PRIVS = 38  # linux/prctl.h
_MOST_FILES = 4096
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class OpenedFile:
    """A file that the VMM opens: as an error names it, its stat, and whether it is written to."""

    name: str
    status: os.stat_result
    writable: bool = False


@dataclass(frozen=True)
class VmmUser:
    """Who the VMM runs as. ids: None for who starts it; groups: beside the ids' own, for devices;
    note: why it is root, or empty.
    """

    ids: "tuple[int, int] | None" = None
    groups: tuple[int, ...] = ()
    note: str = ""


def user_for(
    program: str,
    wanted: str,
    machine: Machine,
    places: Sequence[OpenedFile],
    host: "Host | None" = None,
) -> VmmUser:
    """Who the VMM runs as, for `--qemu-user`. Raises MachineError."""
    chosen = choose_user(wanted, host or Host(), RootNeeds())
    if chosen.ids is None:
        return VmmUser(note=f"{program} runs as root: {chosen.reason}" if chosen.reason else "")
    groups = tuple(place.status.st_gid for place in places if _by_group(place, chosen.ids))
    if wanted == AUTO:
        closed = next((p.name for p in places if not _is_open(p, chosen.ids, groups)), "")
        closed = closed or next((f"--net tap={n}" for n in _owned_taps(machine)), "")
        if closed:
            why = f"{closed} is closed to others; --qemu-user NAME chooses who may open it"
            return VmmUser(note=f"{program} runs as root: {why}")
    return VmmUser(chosen.ids, groups)


def places_of(machine: Machine) -> list[OpenedFile]:
    """Devices and disks that the machine needs, as far as they are there."""
    devices = [_KVM, *([_TUN] if machine.attached.networks else [])]
    found = [OpenedFile(name, Path(name).stat(), True) for name in devices if Path(name).exists()]
    return [*found, *(_disk_place(disk) for disk in machine.attached.disks)]


def _disk_place(disk: Disk) -> OpenedFile:
    (layer, *_) = disk.chain
    status = Path(disk.file).stat() if layer.fd is None else os.fstat(layer.fd)
    return OpenedFile(f"--disk {disk.file}", status, not disk.readonly)


def _owned_taps(machine: Machine) -> list[str]:
    """Those that belong to a user or a group: nobody else may have them."""
    found = []
    for network in machine.attached.networks:
        place = Path("/sys/class/net") / network.interface
        with contextlib.suppress(OSError):
            if any((place / name).read_text().strip() != "-1" for name in ("owner", "group")):
                found.append(network.interface)
    return found


def _is_open(place: OpenedFile, ids: tuple[int, int], groups: Sequence[int]) -> bool:
    """By owner, group and mode; an access list may allow more, which does not count here."""
    need = 6 if place.writable else 4
    mode = place.status.st_mode
    if place.status.st_uid == ids[0]:
        return (mode >> 6) & need == need
    if place.status.st_gid in (ids[1], *groups):
        return (mode >> 3) & need == need
    return mode & need == need


def _by_group(place: OpenedFile, ids: tuple[int, int]) -> bool:
    """A device that a group of its own may use, as Debian's kvm; never root's group."""
    return (
        stat.S_ISCHR(place.status.st_mode)
        and place.status.st_gid != 0
        and not _is_open(place, ids, ())
        and _is_open(place, ids, (place.status.st_gid,))
    )


def preparation(user: VmmUser, directory: int) -> Callable[[], None]:
    """What the child does before it becomes the VMM. directory: a descriptor, where it works."""

    def prepare() -> None:
        os.fchdir(directory)
        # the guest's memory is nothing for a core
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        files = _MOST_FILES if most == resource.RLIM_INFINITY else min(most, _MOST_FILES)
        resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        if user.ids:
            os.setgroups(user.groups)
            os.setresgid(user.ids[1], user.ids[1], user.ids[1])
            os.setresuid(user.ids[0], user.ids[0], user.ids[0])
        _LIBC.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
        # after the change of the user, at which the kernel forgets it
        die_with_parent()

    return prepare
