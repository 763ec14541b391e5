"""Names of users and groups as the machine will know them, for the owners of an image's files.

Part of a link that adds files, so: the standard library only.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH118, PTH123
import os

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_MOST = 0xFFFFFFFE  # the last uid_t; the one behind it means "as it was" to chown(2)


class Accounts(Record):
    """users: name -> (uid, gid); groups: name -> gid."""

    users: dict[str, tuple[int, int]]
    groups: dict[str, int]


def parse_accounts(passwd: str, group: str) -> Accounts:
    """From the text of passwd(5) and group(5); lines that are none are skipped, as by glibc."""
    users: dict[str, tuple[int, int]] = {}
    for line in passwd.splitlines():
        fields = line.split(":")
        if len(fields) >= 7 and _is_id(fields[2]) and _is_id(fields[3]):
            users.setdefault(fields[0], (int(fields[2]), int(fields[3])))
    groups: dict[str, int] = {}
    for line in group.splitlines():
        fields = line.split(":")
        if len(fields) >= 4 and _is_id(fields[2]):
            groups.setdefault(fields[0], int(fields[2]))
    return Accounts(users, groups)


def _is_id(text: str) -> bool:
    """Whether it is a number that a user or group can have; the file may be a stranger's."""
    return text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _MOST


def accounts_of(files: Mapping[str, bytes]) -> Accounts:
    """The accounts of an image with these files (by path): its own, or those that init writes."""
    texts = []
    for name in ("passwd", "group"):
        data = files.get(f"etc/{name}")
        if data is None:
            # the very file that sysroot/init/etc.c has in it
            with open(os.path.join(paths.data_dir("sysroot"), "init", f"{name}.txt"), "rb") as file:
                data = file.read()
        texts.append(data.decode("utf-8", "surrogateescape"))
    return parse_accounts(*texts)


def parse_owner(text: str, accounts: Accounts) -> tuple[int, int]:
    """`USER[:GROUP]`, names or numbers -> (uid, gid); a user's own group is the default.

    Raises UkccError for a name that the image does not know.
    """
    user, colon, group = text.partition(":")
    known = accounts.users.get(user)
    uid = known[0] if known else _number(user, "user", text)
    if not colon:
        # a number without an account has no group of its own
        return uid, known[1] if known else uid
    gid = accounts.groups.get(group)
    return uid, _number(group, "group", text) if gid is None else gid


def _number(word: str, kind: str, text: str) -> int:
    if _is_id(word):
        return int(word)
    raise UkccError(
        f"owner {text!r}: the image knows no {kind} {word!r}",
        f"give a number, or add an /etc/{'passwd' if kind == 'user' else kind} that has the name",
    )
