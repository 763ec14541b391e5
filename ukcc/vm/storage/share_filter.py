"""Starts a program that serves a guest's file system calls, without the rights to do harm by them.

What is set here is inherited by what the process runs later. Standard library only, and a program
of its own as well (`python3 -I -S share_filter.py RULE... [listen=PATH] -- PROGRAM WORD...`), so
that a line which `--dry-run` prints does the same as a run.

A file that a guest makes in a shared directory is a file of the host. There a set-uid program runs
with its owner's rights (root's, in a share of root's), a device node is the host's device, and file
capabilities are set-uid by another name. The guest has no use of them: it mounts shares nosuid and
nodev. So they are refused, with EPERM. Everything else is the program's own business: this is no
sandbox against a program that has been taken over.
"""

import ctypes
import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

# Rules. set-uid: set-uid bits and device nodes are refused; set-gid: set-gid bits as well (which
# directories have for good reasons); one-owner: to change one's identity or a file's owner does
# nothing, and does not fail (for a program that knows one user only).
SET_UID, SET_GID, ONE_OWNER = "set-uid", "set-gid", "one-owner"
RULES = (SET_UID, SET_GID, ONE_OWNER)

LISTENER = 3  # the first descriptor after the standard ones, as systemd passes sockets
_LISTEN = "listen="
_FAILED = 125

# linux/prctl.h, linux/seccomp.h, linux/audit.h, linux/capability.h
_PR_SET_SECCOMP, _PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS = 22, 24, 38
_MODE_FILTER = 2
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000
_X86_64 = 0xC000003E
_CAPABILITIES = (4, 27, 31)  # CAP_FSETID, CAP_MKNOD, CAP_SETFCAP

# arch/x86/entry/syscalls/syscall_64.tbl: the call's number -> which argument is the file's mode.
# Those of directories are left out, for the kernel takes no such bits there.
_MODES = {
    2: 2,  # open
    85: 1,  # creat
    90: 1,  # chmod
    91: 1,  # fchmod
    133: 1,  # mknod
    257: 3,  # openat
    259: 2,  # mknodat
    268: 2,  # fchmodat
    452: 2,  # fchmodat2
}
_NODES = (133, 259)
_IDENTITIES = (92, 93, 94, 117, 119, 260)  # chown, fchown, lchown, setresuid, setresgid, fchownat

_TYPE, _TYPES_OF_DEVICES = 0o170000, (0o020000, 0o060000)
_BITS = {SET_UID: 0o4000, SET_GID: 0o2000}

# linux/bpf_common.h, and where struct seccomp_data has its members
_LOAD, _EQUAL, _ANY_BIT, _AND, _RETURN = 0x20, 0x15, 0x45, 0x54, 0x06
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16

_Step = tuple[int, int, int, int]  # code, jump if true, jump if false, operand


def program(rules: Iterable[str]) -> bytes:
    """The filter of these rules, as an array of struct sock_filter."""
    wanted = set(rules)
    bits = sum(bit for rule, bit in _BITS.items() if rule in wanted)
    steps: list[_Step] = [
        (_LOAD, 0, 0, _ARCHITECTURE),
        (_EQUAL, 1, 0, _X86_64),
        (_RETURN, 0, 0, _FAIL | errno.ENOSYS),  # other numbers for the same calls
        (_LOAD, 0, 0, _NUMBER),
    ]
    if bits:
        for number, index in _MODES.items():
            check = _check_mode(index, bits, number in _NODES)
            # the number is there again for the next one
            steps += [(_EQUAL, 0, len(check), number), *check]
    if ONE_OWNER in wanted:
        for number in _IDENTITIES:
            steps += [(_EQUAL, 0, 1, number), (_RETURN, 0, 0, _FAIL | 0)]
    steps.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *step) for step in steps)


def _check_mode(index: int, bits: int, node: bool) -> list[_Step]:
    """Of a call that was found: refuses, or allows."""
    refuse = (_RETURN, 0, 0, _FAIL | errno.EPERM)
    steps: list[_Step] = [
        (_LOAD, 0, 0, _ARGUMENTS + 8 * index),  # the low half: a mode has no more
        (_ANY_BIT, 0, 1, bits),
        refuse,
    ]
    if node:
        steps.append((_AND, 0, 0, _TYPE))
        for kind in _TYPES_OF_DEVICES:
            steps += [(_EQUAL, 0, 1, kind), refuse]
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def installer(rules: Sequence[str]) -> Callable[[], None]:
    """To be called in the process that is to obey: between fork and exec, or before exec.

    What it needs is made here, for between fork and exec there is little that one may do. The call
    raises OSError.
    """
    if not rules:
        return lambda: None
    libc = ctypes.CDLL(None, use_errno=True)
    code = program(rules)
    buffer = ctypes.create_string_buffer(code, len(code))
    # struct sock_fprog
    described = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    zeros = (ctypes.c_ulong(0),) * 3

    def install(_kept: object = buffer) -> None:
        for capability in _CAPABILITIES:
            # without CAP_SETPCAP there is none of them
            libc.prctl(_PR_CAPBSET_DROP, ctypes.c_ulong(capability), *zeros)
        mode = ctypes.c_ulong(_MODE_FILTER)
        if libc.prctl(_PR_SET_NO_NEW_PRIVS, ctypes.c_ulong(1), *zeros) or libc.prctl(
            _PR_SET_SECCOMP, mode, ctypes.c_char_p(described), *zeros[:2]
        ):
            raise OSError(ctypes.get_errno(), "the kernel takes no seccomp filter")

    return install


def filtered_argv(rules: Sequence[str], words: Sequence[str], listen: str = "") -> list[str]:
    """The command that starts `words` so; listen: where descriptor LISTENER is to listen."""
    own = [*rules, *([_LISTEN + listen] if listen else [])]
    if not own:
        return list(words)
    return [sys.executable, "-I", "-S", str(Path(__file__).resolve()), *own, "--", *words]


def _listen(path: str) -> None:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(1)
    fd = listener.detach()
    if fd != LISTENER:
        os.dup2(fd, LISTENER, inheritable=False)
        os.close(fd)
    os.set_inheritable(LISTENER, True)


def main(words: Sequence[str]) -> int:
    """Becomes the program; returns a status only if that cannot be."""
    end = words.index("--")
    rules, command = list(words[:end]), words[end + 1 :]
    try:
        if rules and rules[-1].startswith(_LISTEN):
            _listen(rules.pop().removeprefix(_LISTEN))
        if not set(rules) <= set(RULES):
            raise OSError(errno.EINVAL, f"rules are {', '.join(RULES)}, not {' '.join(rules)}")
        installer(rules)()
        os.execvp(command[0], list(command))
    except OSError as error:
        print(f"{command[0]}: {error.strerror}", file=sys.stderr)
        return _FAILED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
