"""What init is told: the second archive, which the VMM gives as initrd.

The formats are those of docs/architecture.md, the reader is sysroot/init/config.c.
"""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ukcc.vm.boot.init_network import network_lines
from ukcc.vm.hypervisor.qemu import port_names
from ukcc.vm.machine import Machine
from ukcc.vm.storage.volumes import volume_lines


@dataclass(frozen=True)
class Terminal:
    """The host's end of the console.

    interactive: a person sits there; size: (rows, columns), zeros when unknown;
    term: the value of TERM, or empty.
    """

    interactive: bool = False
    size: tuple[int, int] = (0, 0)
    term: str = ""


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """Each entry ended by a NUL, so that empty ones and any other bytes work."""
    return b"".join(entry + b"\0" for entry in entries)


def variable(word: str, host: Mapping[bytes, bytes]) -> "tuple[bytes, bytes] | None":
    """`K=V`, or `K` for the host's own value (None when the host has none)."""
    name, equals, value = os.fsencode(word).partition(b"=")
    if equals:
        return name, value
    return (name, host[name]) if name in host else None


def encode_environment(pairs: Iterable[tuple[bytes, bytes]]) -> bytes:
    """`NAME=value` entries, each ended by a NUL."""
    return encode_entries(name + b"=" + value for name, value in pairs)


def settings_lines(machine: Machine, terminal: Terminal) -> tuple[str, ...]:
    """`key=value` lines; sorted by nothing but the order in which they are explained."""
    lines = [f"tty={'cooked' if terminal.interactive else 'raw'}"]
    rows, columns = terminal.size
    if terminal.interactive and rows and columns:
        lines += [f"rows={rows}", f"columns={columns}"]
    if terminal.interactive and terminal.term:
        lines.append(f"term={terminal.term}")
    if not terminal.interactive:
        lines.append(f"stdin={'port' if machine.ports.stdin_port else 'null'}")
    if machine.ports.output_ports:
        lines.append("output=port")
    lines += network_lines(machine)
    lines += volume_lines(machine)
    return tuple(lines)


def _answers(terminal: Terminal) -> list[bytes]:
    """The reports that init may wait for an answer to (ukcc/vm/live/watch.py)."""
    return [b"clock", b"stopped"] if terminal.interactive else [b"clock"]


def settings_files(
    machine: Machine,
    terminal: Terminal,
    arguments: Iterable[bytes],
    environment: Iterable[tuple[bytes, bytes]],
    more: Iterable[str] = (),
    *,
    attended: bool = False,
    argv0: bytes = b"",
) -> dict[str, bytes]:
    """The files of the archive: path without the leading slash -> contents.

    more: further lines of the settings; attended: the machine runs now, and we answer what its init
    reports; argv0: empty for the program's path.
    """
    text = "".join(line + "\n" for line in (*settings_lines(machine, terminal), *more))
    named = {".uk/argv0": argv0 + b"\0"} if argv0 else {}
    return {
        **named,
        ".uk/answers": encode_entries(_answers(terminal) if attended else []),
        ".uk/ports": encode_entries(
            name.encode() for name in port_names(machine, attended=attended)
        ),
        ".uk/args": encode_entries(arguments),
        ".uk/env": encode_environment(environment),
        ".uk/settings": text.encode("utf-8", "surrogateescape"),
    }
