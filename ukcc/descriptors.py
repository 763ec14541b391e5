"""File descriptors: all of some bytes into one, files in memory, and how a program opens them."""

import contextlib
import os


def write_all(fd: int, data: "bytes | memoryview") -> None:
    """Write every byte. Raises OSError."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def memory_file(stack: contextlib.ExitStack, name: str, data: bytes) -> int:
    """A file without a name in any directory, so that nothing has to be cleaned up."""
    fd = os.memfd_create(f"ukcc-{name}")
    stack.callback(os.close, fd)
    write_all(fd, data)
    return fd


def path_of(fd: int) -> str:
    """The name by which a program opens a descriptor that it was handed."""
    return f"/proc/self/fd/{fd}"
