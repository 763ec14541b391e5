"""A machine as `ukcc ps` lists it, and one as it is planned."""

from dataclasses import replace
from typing import Any

from ukcc.lifecycle.entry import MachineInfo
from ukcc.vm.machine import Machine

FACTS = MachineInfo("web", "/img/web", ("-p",), 1000.0, ("127.0.0.1:80:80",), "tcg", 128, 1, True)


def make_machine(**changes: Any) -> Machine:
    """A small machine with these changes."""
    return change_machine(Machine("app", 128, "tcg"), **changes)


def change_machine(machine: Machine, **changes: Any) -> Machine:
    """With these changes; a field of one of its parts goes by its own name."""
    for name in ("hardware", "attached", "ports"):
        part = getattr(machine, name)
        own = {key: changes.pop(key) for key in vars(part) if key in changes}
        machine = replace(machine, **{name: replace(part, **own)})
    return replace(machine, **changes)
