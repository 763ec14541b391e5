"""The words of options that a link checks as well as a run. Part of a link, see `document`."""

import re

from ukcc.errors import MachineError
from ukcc.settings.limits import parse_limit

# RFC 1123, 2.1; the length is the kernel's (__NEW_UTS_LEN)
_HOSTNAME = re.compile(r"(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*(?<!-)")
_MOST_HOSTNAME = 64
_USER = re.compile(r"[^:\s]+(:[^:\s]+)?")


def parse_hostname(text: str) -> str:
    """A name for the machine. Raises MachineError."""
    if len(text) > _MOST_HOSTNAME or not _HOSTNAME.fullmatch(text):
        raise MachineError(
            f"--hostname {text!r} is not a host name",
            f"it takes letters, digits, hyphens and dots, {_MOST_HOSTNAME} at most",
        )
    return text


def parse_argv0(text: str) -> str:
    """A name for the program. Raises MachineError."""
    if not text or "\0" in text:
        raise MachineError(f"--argv0 {text!r}: it takes a name that is not empty")
    return text


def parse_user(text: str) -> str:
    """`NAME|UID[:GROUP]`; the machine looks the names up. Raises MachineError."""
    if not _USER.fullmatch(text):
        raise MachineError(f"--user {text!r} is not understood", "it takes NAME|UID[:GROUP]")
    return text


def parse_workdir(text: str) -> str:
    """An absolute directory of the guest. Raises MachineError."""
    if not text.startswith("/") or "\n" in text:
        raise MachineError(f"--workdir {text!r}: it takes an absolute directory of the guest")
    return text


# By key; the others' words are looked at when the image is run.
PARSERS = {
    "argv0": parse_argv0,
    "hostname": parse_hostname,
    "ulimit": parse_limit,
    "user": parse_user,
    "workdir": parse_workdir,
}
