"""Runs an image by `ukcc run` until what is counted has been reached."""

import contextlib
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from ukcc import proc
from ukcc.counting.counter import Counter
from ukcc.errors import UkccError

_LOOK = 0.05  # seconds
_DEADLINE = 600.0  # seconds
_PATIENCE = 5.0  # seconds for a machine to end that was told to


def run_until(
    is_reached: Callable[[], bool],
    counted: Counter,
    words: Sequence[str],
    image: Path,
    work: Path,
) -> None:
    """Boots the image with these options of `ukcc run`, and ends the machine when it is reached.

    work: a directory. Raises UkccError, with what `ukcc run` said, if the machine ends before.
    """
    command = [*proc.UKCC, "run", "--accel", "tcg", *words, str(image)]
    said = work / "said"
    with said.open("wb") as stderr:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**counted.environment, "XDG_RUNTIME_DIR": str(work)},
        )
    end = time.monotonic() + _DEADLINE
    try:
        while not is_reached():
            if time.monotonic() > end:
                raise UkccError(f"{image}: its program was not entered in {_DEADLINE:.0f} s")
            if process.poll() is not None:
                if is_reached():
                    return
                raise UkccError(_why(image, said.read_text(errors="replace")))
            time.sleep(_LOOK)
    finally:
        _end(process)


def _why(image: Path, said: str) -> str:
    """An error of `ukcc run` is ours: without its prefix, as ours gets one."""
    lines = [line for line in said.strip().splitlines() if ": error: " in line]
    if lines:
        return lines[-1].partition(": error: ")[2]
    return f"{image}: the machine ended before its program was entered"


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Twice SIGTERM ends a machine whatever its application does."""
    for _ in range(2):
        if process.poll() is None:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(_PATIENCE)
    if process.poll() is None:
        process.kill()
        process.wait()
