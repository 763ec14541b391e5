"""What keeps QEMU small on its host: a filter of system calls, a user of its own, no loopback.

QEMU opens all that a machine has as the user who started it, then changes to another one (-runas),
so that files, devices and low ports work as they did. docs/security.md explains the choices.
"""

import contextlib
import os
import pwd
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.vm.hypervisor import guard
from ukcc.vm.hypervisor.confinement import Confinement
from ukcc.vm.hypervisor.qemu_probe import SANDBOX, Abilities, abilities
from ukcc.vm.machine import NINE_P, Forward, Machine

AUTO, ROOT = "auto", "root"

# No distribution gives these to anybody (systemd's docs/UIDS-GIDS.md); a process id is no larger.
_OWN_USERS = 0x70000000
_NOBODY = 65534

# linux/capability.h: what changing the user, and ending a process of another one, needs
_NEEDED = {5: "CAP_KILL", 6: "CAP_SETGID", 7: "CAP_SETUID"}

_USUAL = (7, 2)  # Debian 12's
_RUN_WITH = (9, 1)  # QEMU's version that has -run-with user=, and begins to complain of -runas


@dataclass(frozen=True)
class User:
    """Who QEMU becomes: None for who started it; reason: why that is root, where it is; usual: it
    comes of what the user asked for, and not of what the host lacks.
    """

    ids: "tuple[int, int] | None" = None
    reason: str = ""
    usual: bool = False


@dataclass(frozen=True)
class RootNeeds:
    """Why a VMM may have to stay root, once it has opened what it gets at its start.

    outlives: as another user it would outlive ukcc; port: `-p` of one that it opens later, and only
    root can; share: the directory that it serves itself; empty where there is none.
    """

    outlives: bool = False
    port: str = ""
    share: str = ""


@dataclass(frozen=True)
class Host:
    """What the choice of a user depends on: our ids, our capabilities, and which ids exist here."""

    euid: int = field(default_factory=os.geteuid)
    pid: int = field(default_factory=os.getpid)
    capabilities: int = field(default_factory=lambda: _capabilities())
    id_ranges: "tuple[tuple[int, int], ...]" = field(default_factory=lambda: _id_ranges())

    def has(self, number: int) -> bool:
        """Whether there is a user, and a group, of that number in our name space."""
        return any(first <= number < first + count for first, count in self.id_ranges)


@contextlib.contextmanager
def confine_qemu(
    machine: Machine, user: str, later: Sequence[Forward] = ()
) -> Iterator[Confinement]:
    """For one run. machine: with its shares settled; user: of `--qemu-user`; later: ports that
    QEMU opens while the machine runs. Says on standard error what is weaker than usual.
    Raises MachineError.
    """
    able = abilities()
    chosen = choose_user(user, Host(), root_needs(machine, able, later))
    closed = closes_loopback(machine)
    if closed and not able.guarded:
        raise MachineError(
            "--net user: QEMU ignores LD_PRELOAD, which would keep it from the host's loopback",
            "use --net user,host=yes, which leaves the loopback open, or --net none",
        )
    for note in notes(able, chosen, sys.stderr.isatty()):
        print(f"ukcc run: {note}", file=sys.stderr, flush=True)
    words = (*sandbox_words(able, chosen), *user_words(able, chosen))
    if not closed and chosen.ids is None:
        yield Confinement(words)
        return
    with guard.open_library() as library:
        yield Confinement(words, guard.environment(library, loopback=not closed), (library,))


def pasted_words(machine: Machine, user: str) -> tuple[tuple[str, ...], list[str]]:
    """Words for the line that `--dry-run` prints, and the notes on it. Raises MachineError."""
    if any(
        network.kind == "bridge" and network.fd is None for network in machine.attached.networks
    ):
        return (), []  # QEMU itself starts its setuid helper for the tap, which the filter forbids
    try:
        able = abilities()
    except MachineError:
        able = Abilities(_USUAL)  # it may be meant for another host
    chosen = choose_user(user, Host(), root_needs(machine, able))
    words = (*sandbox_words(able, chosen), *user_words(able, chosen))
    return words, notes(able, chosen, usual=True)


def closes_loopback(machine: Machine) -> bool:
    """Whether the guest has user mode networks, and none that may reach the host's loopback."""
    users = [network for network in machine.attached.networks if network.kind == "user"]
    return bool(users) and not any(network.host for network in users)


def root_needs(machine: Machine, able: Abilities, later: Sequence[Forward] = ()) -> RootNeeds:
    """QEMU's. later: ports that it opens while the machine runs."""
    low = [str(forward) for forward in later if forward.host_port < _first_open_port()]
    shares = [share.host for share in machine.attached.shares if share.by == NINE_P]
    return RootNeeds(not able.guarded, next(iter(low), ""), next(iter(shares), ""))


def choose_user(wanted: str, host: Host, needs: RootNeeds) -> User:
    """Who the VMM becomes. Raises MachineError for what `--qemu-user` cannot have."""
    if wanted not in (AUTO, ROOT):
        return User(_named(wanted, host, needs))
    if host.euid != 0:
        if wanted == ROOT:
            raise MachineError(f"--qemu-user {ROOT}: only root can choose it", "leave it out")
        return User()
    if wanted == ROOT:
        return User()
    reason = _why_root(host, needs)
    if reason:
        return User(None, reason)
    if needs.share:
        return User(None, f"-v {needs.share} goes by 9p, so it opens root's files", usual=True)
    own = _OWN_USERS + host.pid
    number = own if host.has(own) else _NOBODY
    if not host.has(number):
        return User(None, "this user namespace has no other user")
    return User((number, number))


def _why_root(host: Host, needs: RootNeeds) -> str:
    missing = [name for bit, name in _NEEDED.items() if not host.capabilities >> bit & 1]
    if missing:
        return f"ukcc has no {missing[0]}"
    if needs.outlives:
        return "it ignores LD_PRELOAD, so as another user it would outlive ukcc"
    return f"-p {needs.port} is a port that only root can open" if needs.port else ""


def _named(wanted: str, host: Host, needs: RootNeeds) -> tuple[int, int]:
    """`UID`, `UID:GID` or a name of the host's."""
    if host.euid != 0:
        raise MachineError(f"--qemu-user {wanted}: only root can choose another", "leave it out")
    user, colon, group = wanted.partition(":")
    digits = (user, group) if colon else (user,)
    if all(word.isascii() and word.isdigit() and len(word) < 11 for word in digits):
        uid = int(user)
        gid = int(group) if colon else _group_of(uid)
    else:
        try:
            entry = pwd.getpwnam(wanted)
        except (KeyError, ValueError):
            raise MachineError(
                f"--qemu-user {wanted!r}: no such user",
                f"it takes {AUTO}, {ROOT}, a name of the host, or UID[:GID]",
            ) from None
        uid, gid = entry.pw_uid, entry.pw_gid
    if not (host.has(uid) and host.has(gid)):
        raise MachineError(f"--qemu-user {wanted}: there is no such ID in this user namespace")
    if needs.outlives:
        raise MachineError(
            f"--qemu-user {wanted}: this QEMU ignores LD_PRELOAD, so it would outlive ukcc",
            "leave it out",
        )
    return uid, gid


def _group_of(uid: int) -> int:
    try:
        return pwd.getpwuid(uid).pw_gid
    except KeyError:
        return uid


def notes(able: Abilities, user: User, usual: bool) -> list[str]:
    """A sentence for each thing that is weaker. usual: what was asked for as well."""
    found = []
    if able.no_sandbox:
        found.append(f"QEMU runs without a system call filter: {able.no_sandbox}")
    if user.reason and (usual or not user.usual):
        found.append(f"QEMU runs as root: {user.reason}")
    return found


def sandbox_words(able: Abilities, user: User) -> tuple[str, ...]:
    """The filter. It is there before QEMU changes its user, which it would forbid; afterwards no
    privilege is left, and libseccomp has had the kernel promise that none comes (no_new_privs).
    """
    if able.no_sandbox:
        return ()
    if user.ids is None:
        return ("-sandbox", SANDBOX)
    return ("-sandbox", SANDBOX.replace("elevateprivileges=deny", "elevateprivileges=allow"))


def user_words(able: Abilities, user: User) -> tuple[str, ...]:
    """The option that changes QEMU's user when it has opened all that it needs."""
    if user.ids is None:
        return ()
    numbers = "{}:{}".format(*user.ids)
    if able.version >= _RUN_WITH:
        return ("-run-with", f"user={numbers}")
    return ("-runas", numbers)


def _capabilities() -> int:
    """The effective ones, as a mask."""
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, value = line.partition(":")
        if name == "CapEff":
            return int(value, 16)
    return 0


def _id_ranges() -> "tuple[tuple[int, int], ...]":
    """(first, count) of the users that our name space has; of groups the same is expected."""
    lines = Path("/proc/self/uid_map").read_text().splitlines()
    return tuple((int(first), int(count)) for first, _, count in map(str.split, lines))


def _first_open_port() -> int:
    """The first port that needs no privilege."""
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except (OSError, ValueError):
        return 1024
