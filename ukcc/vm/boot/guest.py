"""How the machine is initialised before the application: name, user, limits, files, steps.

The reader of all this is sysroot/init/ (config.c, account.c, limits.c, steps.c, seed.c).
"""

import os
import stat
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import MachineError, UkccError
from ukcc.image import cpio
from ukcc.image.archive_file import open_archive
from ukcc.image.files import FileSpec, check_places, file_entries
from ukcc.image.headers import open_headers, reader
from ukcc.settings.document import InitStep
from ukcc.settings.limits import Limit
from ukcc.vm.boot.init_archive import encode_entries, encode_environment, variable

ZONES = Path("/usr/share/zoneinfo")

_ACCOUNTS = ("etc/passwd", "etc/group")
_LARGEST_ACCOUNTS = 16 << 20
_SEED_BYTES = 64


@dataclass(frozen=True)
class Guest:
    """What init is told beside the machine's own shape. An empty text: init's default.

    argv0: the application's argv[0]; user: `NAME|UID[:GROUP]`; workdir: absolute; zone: a name
    below ZONES; files_from: who asked for the files, as an error names it.
    """

    hostname: str = ""
    user: str = ""
    workdir: str = ""
    limits: tuple[Limit, ...] = ()
    zone: str = ""
    files: tuple[FileSpec, ...] = ()
    files_from: str = "--file"
    steps: tuple[InitStep, ...] = ()
    argv0: str = ""


PLAIN = Guest()


def parse_zone(text: str) -> str:
    """A time zone that the host has the rules of. Raises MachineError."""
    if ".." in text.split("/") or text.startswith("/") or not _is_zone(ZONES / text):
        mend = "it takes a name like Europe/Berlin or UTC"
        if not ZONES.is_dir():
            mend = f"there is no {ZONES}: install tzdata"
        raise MachineError(f"--tz {text!r}: no such time zone here", mend)
    return text


def settings_lines(guest: Guest) -> list[str]:
    """Lines for `/.uk/settings`."""
    lines = [
        f"{key}={value}"
        for key, value in (
            ("hostname", guest.hostname),
            ("user", guest.user),
            ("cwd", guest.workdir),
        )
        if value
    ]
    return [*lines, *(f"ulimit={limit.line}" for limit in guest.limits)]


def entries(
    guest: Guest, image: str, program: str, host: Mapping[bytes, bytes]
) -> list[cpio.Entry]:
    """Members of the second archive. host: the environment, for variables that are passed on.

    image: the whole one; program: the application's path in it. Raises MachineError.
    """
    try:
        files = file_entries(guest.files, accounts_files(image)) if guest.files else []
        check_places(files, program)
    except UkccError as error:
        raise MachineError(f"{guest.files_from}: {error.message}", error.hint) from None
    if guest.zone:
        files.append(cpio.regular("etc/localtime", (ZONES / guest.zone).read_bytes()))
        files.append(cpio.regular("etc/timezone", f"{guest.zone}\n".encode()))
    return [*files, *_steps(guest.steps, host)]


def seed() -> list[cpio.Entry]:
    """Randomness for the guest's kernel. Another one for each machine, or two would be alike."""
    return [cpio.regular(".uk/seed", os.urandom(_SEED_BYTES), 0o600)]


def _is_zone(path: Path) -> bool:
    try:
        return path.is_file() and path.read_bytes().startswith(b"TZif")  # tzfile(5)
    except OSError:
        return False


def _steps(steps: Sequence[InitStep], host: Mapping[bytes, bytes]) -> list[cpio.Entry]:
    """`/.uk/steps/N/{args,env,settings}`, N from 1."""
    members = []
    for number, step in enumerate(steps, start=1):
        lines = [
            f"{key}={value}\n"
            for key, value in (("user", step.user), ("cwd", step.workdir))
            if value
        ]
        if step.optional:
            lines.append("optional=1\n")
        parts = {
            "args": encode_entries(os.fsencode(word) for word in step.run),
            "env": encode_environment(pair for word in step.env if (pair := variable(word, host))),
            "settings": os.fsencode("".join(lines)),
        }
        place = f".uk/steps/{number}"
        members += [cpio.regular(f"{place}/{name}", data) for name, data in parts.items()]
    return members


def archive_of(image: str, wanted: Callable[[cpio.Member], bool]) -> list[cpio.Entry]:
    """Members of an image's own archive; with the data of those only that are wanted.

    Raises UkccError for a damaged archive.
    """
    fd, headers = open_headers(image)
    try:
        archive = open_archive(reader(fd), headers, image)
        return [
            cpio.Entry(m.path, m.mode, archive.data(m) if wanted(m) else b"", m.uid, m.gid)
            for m in archive.members()
        ]
    finally:
        os.close(fd)


def accounts_files(image: str) -> list[cpio.Entry]:
    """The users and groups that the image has."""
    found = archive_of(image, lambda m: m.path in _ACCOUNTS and m.size <= _LARGEST_ACCOUNTS)
    return [entry for entry in found if entry.path in _ACCOUNTS]


def directories(image: str) -> dict[str, cpio.Entry]:
    """The directories of an image's archive, by path, for a second one to leave as they are."""
    entries = archive_of(image, lambda member: False)
    return {entry.path: entry for entry in entries if stat.S_ISDIR(entry.mode)}
