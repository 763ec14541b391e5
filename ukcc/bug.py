"""An exception that nobody expected is our bug, and is reported as such in one line."""

import os
import platform
import sys
import tempfile
import traceback
from pathlib import Path

from ukcc import __version__, paths

STATUS = 70  # EX_SOFTWARE of sysexits.h


def report(error: BaseException) -> str:
    """Writes the traceback to a file and returns the line to print.

    `UKCC_DEBUG=1` prints the traceback too.
    """
    text = "".join(traceback.format_exception(error))
    if os.environ.get("UKCC_DEBUG") == "1":
        sys.stderr.write(text)
    heading = f"ukcc {__version__}, Python {platform.python_version()}: {sys.argv!r}\n"
    name = type(error).__name__
    return f"ukcc: bug: {name}: {error}; please report it with {_write(heading + text)}"


def _write(text: str) -> Path:
    """Puts the report into the store, or where temporary files go when the store is no place."""
    for directory in (Path(paths.store()) / "bugs", Path(tempfile.gettempdir())):
        try:
            directory.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(prefix="ukcc-", suffix=".txt", dir=directory)
            with os.fdopen(handle, "w") as stream:
                stream.write(text)
            return Path(name)
        except OSError:
            continue
    return Path("(nowhere: no place to write to)")
