"""What an image may say about its own run: for each key, what a stranger's could do to its host.

A link leaves out of the image what is refused here, and a run refuses it, unless its user says the
same key: what the user says counts fully. Part of a link, see `document`.
"""

from __future__ import annotations

import os

from ukcc.light.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

_MOST_PORTS = 64  # each is a socket that listens
_FEW_CPUS = 4  # more than the host has are slow, but no burden
_MIB = 1 << 20


class ForeignRule(Record):
    """cannot: what an image cannot do, behind "an image cannot"; empty if all of it is harmless.

    may: which values, or items of a list, it can have nevertheless; None for none. fits: which of
    these depend on the host, so that only a run can tell; most: items of a list.
    """

    cannot: str = ""
    may: Callable[[Any], bool] | None = None
    fits: Callable[[Any], bool] | None = None
    most: int = 0


def _is_of_loopback(word: str) -> bool:
    """Of `[ADDR:]HOST:GUEST[/udp]`; what is no such word is refused later, by its own parser."""
    address = word.partition("/")[0].split(":")[:-2]
    return not address or (len(address) == 1 and address[0].startswith("127."))


def _stays_in_user_mode(word: str) -> bool:
    """Of `KIND[=IF][,KEY=VALUE…]`."""
    kind, *pairs = word.split(",")
    opens = [pair for pair in pairs if pair.partition("=")[0] == "host" and pair != "host=no"]
    return kind in ("user", "none") and not opens


def host_memory_mib() -> int:
    """What the host has, in MiB."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // _MIB


def host_cpus() -> int:
    """Those that we may use."""
    return len(os.sched_getaffinity(0))


def _fits_memory(mib: int) -> bool:
    return mib <= host_memory_mib()


def _fits_cpus(count: int) -> bool:
    return count <= max(host_cpus(), _FEW_CPUS)


_INSIDE = ForeignRule()

RULES: Mapping[str, ForeignRule] = {
    # of the machine alone: its hardware's kind, its names and addresses, its users and limits
    "add-host": _INSIDE,
    "args": _INSIDE,
    "argv0": _INSIDE,
    "dns": _INSIDE,
    "dns-search": _INSIDE,
    "env": _INSIDE,  # NAME=VALUE; a variable of the host's is refused by parse_carried
    "hostname": _INSIDE,
    "init": _INSIDE,
    "ip": _INSIDE,
    "kernel": _INSIDE,  # its features; options, which name files, are refused by parse_carried
    "machine": _INSIDE,
    "read-only": _INSIDE,
    "share-by": _INSIDE,  # only how; what is shared, the user says
    "timeout": _INSIDE,
    "tz": _INSIDE,  # a name below /usr/share/zoneinfo (guest.parse_zone)
    "ulimit": _INSIDE,
    "user": _INSIDE,
    "workdir": _INSIDE,
    # of the host, as far as it is harmless
    "memory": ForeignRule("ask for more memory than the host has", lambda _: True, _fits_memory),
    "net": ForeignRule("reach a network of the host", _stays_in_user_mode),
    "publish": ForeignRule(
        f"open a port of the host other than on loopback, {_MOST_PORTS} at most",
        _is_of_loopback,
        most=_MOST_PORTS,
    ),
    "smp": ForeignRule("ask for more CPUs than the host has", lambda _: True, _fits_cpus),
    # of the host
    "accel": ForeignRule("choose how the host runs it"),
    "trace": ForeignRule("have strace built and started"),
    "disk": ForeignRule("ask for files of the host"),
    "files": ForeignRule("ask for files of the host"),
    "name": ForeignRule("choose its name on the host"),
    "qemu-user": ForeignRule("choose who QEMU is"),
    "trace-filter": ForeignRule("give words to programs of the host"),  # to strace, which checks it
    "trace-output": ForeignRule("ask for files of the host"),
    "volume": ForeignRule("ask for files of the host"),
    "vsock": ForeignRule("have a socket to the host"),
}


def refused(key: str, value: Any, here: bool = True) -> str:
    """What an image cannot do that says this, with the value in question; empty if it may.

    here: at a run, on the host that it is about; not at a link. A key without a rule is refused.
    """
    rule = RULES.get(key, ForeignRule(f"say {key}"))
    if not rule.cannot:
        return ""
    items = value if isinstance(value, list) else [value]
    for item in items:
        if not (rule.may and rule.may(item)) or (here and rule.fits and not rule.fits(item)):
            return f"{rule.cannot} ({item!r})"
    return rule.cannot if rule.most and len(items) > rule.most else ""
