"""The plugin of QEMU that counts (count.c, calls.c), compiled for the QEMU at hand.

Each QEMU takes the versions of its plugin interface from one to another, and says only to a plugin
which these are: 7.2 takes version 1, 10.0 takes 2 to 4, 11.1 takes 7. So they are tried.
"""

import os
from pathlib import Path

from ukcc import proc
from ukcc.errors import UkccError
from ukcc.vm.hypervisor.qemu import PROGRAM
from ukcc.vm.hypervisor.qemu_probe import refusal

_SOURCES = ("count.c", "calls.c")
# Those that plugin.h knows, the newest first.
INTERFACES = (7, 3, 2, 1)


def plugin(work: Path) -> Path:
    """The plugin in the directory `work`, made if it is not there. Raises UkccError."""
    file = work / "count.so"
    if file.exists():
        return file
    refusals = []
    for interface in INTERFACES:
        made = compiled(work, interface)
        refusals.append(_refusal(made, work / "tried"))
        if not refusals[-1]:
            return made.rename(file)
    raise UkccError(
        f"{PROGRAM} does not load the plugin that counts: {refusals[0]}",
        "use a QEMU that docs/testing.md names, by PATH",
    )


def compiled(work: Path, interface: int) -> Path:
    """For that version of the interface. Raises ToolFailed."""
    made = work / f"count-{interface}.so"
    sources = [str(Path(__file__).with_name(name)) for name in _SOURCES]
    compiler = proc.find(os.environ.get("UKCC_CC", "gcc"))
    flags = ["-O2", "-shared", "-fPIC", f"-DINTERFACE={interface}"]
    proc.run([compiler, *flags, *sources, "-o", str(made)])
    return made


def _refusal(made: Path, counts: Path) -> str:
    """Why QEMU does not load it; empty if it does. counts: a file that it may write to."""
    counts.touch()
    return refusal(("-plugin", f"file={made},to={counts}", "-accel", "tcg"))
