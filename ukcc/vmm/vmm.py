"""What a VMM is to us, as data: its command line, its requests, and how its answers are read."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ukcc.vmm.description import Description

# The names of files in a VMM's own directory, which is where it works: a path of any length would
# not fit into a socket's address.
API_SOCKET, LOG = "api.sock", "log"


@dataclass(frozen=True)
class ApiRequest:
    """One request of an API. body: JSON, or None without one; without: what the machine does
    without if the VMM refuses it, empty for what it must have.
    """

    method: str
    path: str
    body: "Mapping[str, Any] | None" = None
    without: str = ""


@dataclass(frozen=True)
class Vmm:
    """One VMM.

    name: as `--vmm` has it; program: as PATH has it; command: argv, given a descriptor for events;
    boot: all requests up to the guest's first instruction; pause, save, load: those of a snapshot,
    save and load with paths as `parts` names them; version: asks for it; version_key: of the
    answer; fault: the reason in the answer to what was refused; resets: the words of an event
    that tells of a reset, after which it would boot the guest again; parts: the files of a
    snapshot, in its own directory; memory: the one with the guest's.
    """

    name: str
    program: str
    home: str
    command: Callable[[int], Sequence[str]]
    boot: Callable[[Description], tuple[ApiRequest, ...]]
    pause: ApiRequest
    save: Callable[[str], ApiRequest]
    load: Callable[[str], tuple[ApiRequest, ...]]
    version: ApiRequest
    version_key: str
    fault: Callable[[Any], str]
    parts: tuple[str, ...]
    memory: str
    resets: str = ""

    def version_in(self, answer: Any) -> str:
        """What it calls its version; empty if the answer does not say."""
        found = answer.get(self.version_key) if isinstance(answer, dict) else None
        return found if isinstance(found, str) else ""
