"""Starts a program to which one directory, with all that is mounted below it, cannot be written.

A program of its own (`python3 -I -S share_readonly.py DIRECTORY -- PROGRAM WORD...`), since it has
to run in the name spaces that unshare(1) makes for an ordinary user. Standard library only.

The program finds the directory at PLACE, in a mount name space of its own. The kernel refuses there
what would change it, with EROFS, whoever asks; so it holds for a guest that mounts its side to
write, and for one that speaks to virtiofsd by itself. PLACE and not the directory's own name,
because the owner of that name's directory could put another one there, between the mount and the
program's own look. What the host mounts below the directory later does not come through: it would
not be read-only.
"""

import ctypes
import os
import struct
import sys
from collections.abc import Sequence
from pathlib import Path

# Directories of root's, on any system; they are covered for this program only.
_PLACES = ("/mnt", "/tmp")
PLACE = next((place for place in _PLACES if Path(place).is_dir()), _PLACES[0])

_FAILED = 125

# sched.h, linux/mount.h, linux/fcntl.h
_NEW_MOUNTS = 0x00020000
_RECURSIVELY, _SLAVE, _PRIVATE = 1 << 14, 1 << 19, 1 << 18
_CLONE, _CLOSE_ON_EXEC = 1, 0o2000000
_FROM_EMPTY_PATH, _TO_LINKS = 0x4, 0x10
_READ_ONLY = 0x1
_AT_CWD, _AT_EMPTY_PATH, _AT_RECURSIVE = -100, 0x1000, 0x8000

# arch/x86/entry/syscalls/syscall_64.tbl; glibc 2.36 and the kernel have them, older ones do not.
_OPEN_TREE, _MOVE_MOUNT, _MOUNT_SETATTR = 428, 429, 442


def readonly_argv(directory: str, words: Sequence[str]) -> list[str]:
    """The command that starts `words` so."""
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), directory, "--", *words]


def enter(directory: str) -> None:
    """Moves this process where PLACE is the directory, read-only. Raises OSError."""
    libc = ctypes.CDLL(None, use_errno=True)

    def call(result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, f"cannot be made read-only: {os.strerror(number)}")
        return result

    def syscall(number: int, *words: "int | bytes | ctypes.Array[ctypes.c_char]") -> int:
        return call(
            libc.syscall(*[ctypes.c_long(w) if isinstance(w, int) else w for w in (number, *words)])
        )

    call(libc.unshare(_NEW_MOUNTS))
    # nothing of this goes to the host's name space
    call(libc.mount(None, b"/", None, ctypes.c_ulong(_RECURSIVELY | _SLAVE), None))
    flags = _CLONE | _CLOSE_ON_EXEC | _AT_RECURSIVE
    tree = syscall(_OPEN_TREE, _AT_CWD, os.fsencode(directory), flags)
    # struct mount_attr: to set, to clear, propagation, a user name space
    attributes = struct.pack("=4Q", _READ_ONLY, 0, _PRIVATE, 0)
    flags = _AT_EMPTY_PATH | _AT_RECURSIVE
    syscall(_MOUNT_SETATTR, tree, b"", flags, attributes, len(attributes))
    flags = _FROM_EMPTY_PATH | _TO_LINKS
    syscall(_MOVE_MOUNT, tree, b"", _AT_CWD, os.fsencode(PLACE), flags)
    os.close(tree)


def main(words: Sequence[str]) -> int:
    """Becomes the program; returns a status only if that cannot be."""
    directory, _, *command = words
    subject = directory
    try:
        enter(directory)
        subject = command[0]
        os.execvp(command[0], command)
    except OSError as error:
        print(f"{subject}: {error.strerror}", file=sys.stderr)
        return _FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
