"""A path of the host, as a user gives it."""

from pathlib import Path

from ukcc.errors import MachineError


def host_path(option: str, path: str) -> str:
    """From the root, so that QEMU's directory does not matter. Raises MachineError."""
    if Path(path).is_absolute():
        return str(Path(path))
    try:
        return str(Path.cwd() / path)
    except FileNotFoundError:
        raise MachineError(
            f"{option} {path}: the working directory has been removed", "give a path from the root"
        ) from None
