"""`UKCC_KERNEL`, or `[kernel] class` of the settings: a kernel of the store for the program.

What a program needs is found by other packages than the standard library, which a link does not
load; so a process of its own looks for the kernel. Nothing is compiled.
"""

import os
import sys

from ukcc.cc import log
from ukcc.cc.toolchain import AUTO, GENERAL
from ukcc.errors import UkccError
from ukcc.light import child
from ukcc.light import tool as process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any


_NOT_READY = 3  # ukcc/specialise/program.py, NOT_READY

# With the packages of this installation, whatever lies in the directory of the build.
_UKCC = "import sys; sys.path.insert(0, sys.argv.pop(1)); from ukcc.cli import main; main()"


def is_wanted(chosen: str, settings: "Mapping[str, Any] | None") -> bool:
    """Whether a program is to get a kernel of its own. chosen: UKCC_KERNEL, which comes first."""
    if chosen:
        return chosen == AUTO
    kind = (settings or {}).get("kernel", {}).get("class", "")
    return kind not in ("", GENERAL)


def take(image: str, environ: "Mapping[str, str]", name: str) -> None:
    """Gives an image the smallest kernel of the store that has what it needs.

    It keeps the one that it has where there is none; UKCC_LOG says which it was, and why. What is
    wrong beside that is a warning. name: our own, for that.
    """
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # noqa: PTH100,PTH120
    words = ["specialise", "--ready", "--config", "", image]
    command = [sys.executable, "-I", "-c", _UKCC, os.path.dirname(package), *words]  # noqa: PTH120
    status, out, err = child.capture(command, environ)
    said = os.fsdecode(err if status else out).strip().partition("\n")[0]
    log.record(environ, "kernel", (said or f"status {status}",))
    if status not in (0, _NOT_READY):
        reason = said.removeprefix("ukcc: error: ") or f"ukcc specialise ended with {status}"
        error = UkccError(f"the general kernel stays: {reason}")
        process.complain(error.warning(name))
