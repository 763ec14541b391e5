"""The words of `ukcc run`'s options as data. Each parser names the word it did not understand."""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass

from ukcc.errors import MachineError
from ukcc.vm.boot.guest import PLAIN, Guest
from ukcc.vm.boot.init_archive import variable
from ukcc.vm.machine import AUTO, PLAIN_HARDWARE, Forward, Hardware, Share
from ukcc.vm.net.options import NetOption
from ukcc.vm.storage.disks import Disk
from ukcc.vm.storage.host_path import host_path

LOOPBACK = "127.0.0.1"
_PORT_LIMIT = 65535
_READ_ONLY, _PRIVILEGED = ":ro", ":privileged"
_SHARE_MODES = (_READ_ONLY, ":rw", _PRIVILEGED)


@dataclass(frozen=True)
class TraceOption:
    """`--trace`: filter as for strace's -e, empty for all; output: a file, empty for stderr."""

    filter: str = ""
    output: str = ""


@dataclass(frozen=True)
class RunOptions:
    """Everything that `ukcc run` was told.

    memory_mib: None for the image's own default; timeout: seconds, None for no limit;
    arguments and environment: bytes, since they may be anything but NUL;
    trace: None, or what to show of the system calls; guest: what init does before the application;
    detach: run in the background; name: None for one that is made from the image's;
    resume_from: what `--from` names, or empty.
    """

    image: str
    arguments: tuple[bytes, ...] = ()
    environment: tuple[tuple[bytes, bytes], ...] = ()
    memory_mib: "int | None" = None
    hardware: Hardware = PLAIN_HARDWARE
    accel: str = "auto"
    forwards: tuple[Forward, ...] = ()
    shares: tuple[Share, ...] = ()
    nets: tuple[NetOption, ...] = (NetOption("user"),)
    timeout: "float | None" = None
    trace: "TraceOption | None" = None
    guest: Guest = PLAIN
    detach: bool = False
    name: "str | None" = None
    disks: tuple[Disk, ...] = ()
    share_by: str = AUTO
    resume_from: str = ""
    machine_type: str = "auto"
    vmm: str = "qemu"
    qemu_user: str = "auto"  # of `--qemu-user`


def parse_forward(text: str) -> Forward:
    """`[ADDR:]HOST:GUEST[/udp]` -> Forward. Without an address it is loopback."""
    ports, slash, protocol = text.partition("/")
    if ports.startswith("["):
        # hostfwd of QEMU's user mode, 10.0 included
        raise MachineError(f"-p {text}: QEMU's user mode does not listen on IPv6 addresses")
    words = ports.rsplit(":", 2)
    if len(words) == 2:
        words = [LOOPBACK, *words]
    numbers = [int(word) for word in words[1:] if word.isascii() and word.isdigit()]
    if len(numbers) != 2 or not all(0 < number <= _PORT_LIMIT for number in numbers):
        raise _not_understood("-p", text, "[ADDR:]HOST:GUEST[/udp], ports 1 to 65535")
    if slash and protocol not in ("tcp", "udp"):
        raise _not_understood("-p", text, "/tcp or /udp after the ports")
    try:
        address = str(ipaddress.IPv4Address(words[0]))
    except ValueError:
        raise _not_understood("-p", text, "an IPv4 address before the ports") from None
    return Forward(address, numbers[0], numbers[1], protocol or "tcp")


def parse_share(text: str) -> Share:
    """`HOSTDIR:GUESTDIR[:ro|:rw|:privileged]` -> Share. Only GUESTDIR must be absolute."""
    paths, mode = text, ""
    for word in _SHARE_MODES:
        if text.endswith(word):
            paths, mode = text[: -len(word)], word
    host, found, guest = paths.rpartition(":/")
    if not found or not host:
        raise _not_understood("-v", text, "HOSTDIR:/GUESTDIR[:ro|:privileged]")
    guest = "/" + guest
    if ":" in guest or "," in guest:
        # most likely a mistyped word, which would make a directory of that name, writable
        raise _not_understood("-v", text, "HOSTDIR:/GUESTDIR and one of :ro, :rw, :privileged")
    if "\n" in guest or "\0" in guest:
        raise _not_understood("-v", text, "a guest directory without line breaks")
    return Share(host_path("-v", host), guest, mode == _READ_ONLY, privileged=mode == _PRIVILEGED)


def parse_environment(word: str, host: Mapping[bytes, bytes]) -> "tuple[bytes, bytes] | None":
    """As `variable`. Raises MachineError for one without a name."""
    if not word or word.startswith("="):
        raise _not_understood("-e", word, "NAME=VALUE or NAME")
    return variable(word, host)


def parse_trace(wanted: bool, expression: "str | None", output: "str | None") -> TraceOption | None:
    """The three options as one; None when none of them was given."""
    for option, text in (("--trace-filter", expression), ("--trace-output", output)):
        if text == "":
            raise MachineError(f"{option} '': it takes a word that is not empty")
    if not wanted and expression is None and output is None:
        return None
    return TraceOption(expression or "", output or "")


def _not_understood(option: str, text: str, wanted: str) -> MachineError:
    return MachineError(f"{option} {text!r} is not understood", f"it takes {wanted}")
