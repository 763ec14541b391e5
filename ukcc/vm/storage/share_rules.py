"""What a guest may not make of the host's files: rules (share_filter.py) of who serves a share."""

import os
from collections.abc import Sequence

from ukcc.errors import MachineError
from ukcc.vm.machine import NINE_P, Machine, Share
from ukcc.vm.storage.share_filter import ONE_OWNER, SET_GID, SET_UID


def daemon_rules(share: Share) -> tuple[str, ...]:
    """Of a virtiofsd. An ordinary user's knows no user but him, so that all files are his."""
    rules = () if share.privileged else _bits()
    return rules if _is_root() else (*rules, ONE_OWNER)


def qemu_rules(machine: Machine) -> tuple[str, ...]:
    """Of QEMU, which serves the shares by 9p."""
    shares = [
        share for share in machine.attached.shares if share.by == NINE_P and not share.readonly
    ]
    if not shares or shares[0].privileged:
        return ()
    return _bits()


def check_privileged(shares: Sequence[Share]) -> None:
    """Raises MachineError for shares that QEMU cannot serve at once."""
    mixed = [share for share in shares if share.by == NINE_P and not share.readonly]
    if len({share.privileged for share in mixed}) > 1:
        one = next(share for share in mixed if share.privileged)
        raise MachineError(
            f"-v {one.host}:{one.guest}:privileged: by 9p, all shares are privileged or none",
            "say privileged of each, or of none",
        )


def _bits() -> tuple[str, ...]:
    """An ordinary user's set-gid bit gives away a group of his; directories do need it."""
    return (SET_UID, SET_GID) if _is_root() else (SET_UID,)


def _is_root() -> bool:
    return os.geteuid() == 0
