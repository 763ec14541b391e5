"""Shuts this process in before it reads what a guest, or a stranger's image, has made.

A C library (libdw) reads debug information of a stranger's program here, and it was not written for
that. So limits on memory, time and files, and a seccomp filter: from then on the process can read
files, compute, and write to what is open. It cannot open a file for writing, make or remove one,
run a program, start a process, signal one, or have a socket, so nothing can be sent anywhere.

seccomp and not name spaces or Landlock: it needs no rights and no new kernel (Linux 3.5), works in
containers, and the one filter covers files and network. By ctypes, since there is no other use for
a binding here.
"""

import ctypes
import errno
import os
import platform
import resource
import struct

from ukcc.errors import UkccError

# Bytes; what an image of some size needs more is added. Address space counts files that are mapped.
_DATA, _ADDRESSES, _FILE = 1 << 30, 4 << 30, 64 << 20
_SECONDS = 30

# Numbers of system calls of x86-64 (asm/unistd_64.h) that the process may make.
_ALLOWED = (
    0, 1, 3, 5, 8, 9, 10, 11, 12,  # read write close fstat lseek mmap mprotect munmap brk
    4, 6, 7, 271,  # stat lstat poll ppoll
    13, 14, 15, 131,  # rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack
    17, 18, 19, 20, 25, 28,  # pread64 pwrite64 readv writev mremap madvise
    21, 269, 439,  # access faccessat faccessat2
    24, 35, 230, 202, 219,  # sched_yield nanosleep clock_nanosleep futex restart_syscall
    32, 33, 292, 40, 72, 77,  # dup dup2 dup3 sendfile fcntl ftruncate
    39, 102, 104, 107, 108, 110, 186,  # getpid getuid getgid geteuid getegid getppid gettid
    60, 231,  # exit exit_group
    63, 79, 89, 267, 78, 217,  # uname getcwd readlink readlinkat getdents getdents64
    96, 201, 228, 229, 98, 99,  # gettimeofday time clock_gettime clock_getres getrusage sysinfo
    204, 309,  # sched_getaffinity getcpu
    137, 138, 262, 332,  # statfs fstatfs newfstatat statx
    218, 273, 334,  # set_tid_address set_robust_list rseq
    318, 319,  # getrandom memfd_create
)  # fmt: skip
_OPEN, _OPENAT, _IOCTL = 2, 257, 16

# Each of these with one argument of which some bits may be set: (call, argument, mask, value).
_TCGETS = 0x5401  # Python asks every file that it opens whether it is a terminal
_CHECKED = (
    (_OPEN, 1, os.O_ACCMODE | os.O_CREAT | os.O_TRUNC, 0),
    (_OPENAT, 2, os.O_ACCMODE | os.O_CREAT | os.O_TRUNC, 0),
    (_IOCTL, 1, 0xFFFFFFFF, _TCGETS),
)

# linux/bpf_common.h: load a word at an offset, AND, jump if equal or if not below, return.
_LD, _AND, _JEQ, _JGE, _RET = 0x20, 0x54, 0x15, 0x35, 0x06
_INSTRUCTION = struct.Struct("<HBBI")
# linux/seccomp.h, struct seccomp_data: the call's number, the architecture, six arguments.
_NUMBER_AT, _ARCH_AT, _ARGUMENTS_AT = 0, 4, 16
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_ARCH_X86_64, _X32_BIT = 0xC000003E, 0x40000000

_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS, _MODE_FILTER = 22, 38, 2  # linux/prctl.h


class _Program(ctypes.Structure):
    _fields_ = (("count", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def limit(image_size: int) -> None:
    """Limits on memory, processor time and written files, for an image of so many bytes."""
    wanted = {
        resource.RLIMIT_DATA: _DATA + 3 * image_size,
        resource.RLIMIT_AS: _ADDRESSES + 6 * image_size,
        resource.RLIMIT_FSIZE: _FILE + 2 * image_size,
        resource.RLIMIT_CPU: _SECONDS,
        resource.RLIMIT_CORE: 0,
    }
    for what, most in wanted.items():
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        resource.setrlimit(what, (most, most))


def confine() -> None:
    """Installs the filter, for good. Raises UkccError where this kernel has none."""
    if platform.machine() != "x86_64":
        raise UkccError(f"no filter of system calls is known for {platform.machine()}")
    code = filter_program()
    program = _Program(len(code) // _INSTRUCTION.size, code)
    libc = ctypes.CDLL(None, use_errno=True)
    one, zero = ctypes.c_ulong(1), ctypes.c_ulong(0)
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, one, zero, zero, zero) or libc.prctl(
        _PR_SET_SECCOMP, ctypes.c_ulong(_MODE_FILTER), ctypes.byref(program), zero, zero
    ):
        reason = os.strerror(ctypes.get_errno())
        raise UkccError(f"the kernel takes no filter of system calls (seccomp): {reason}")


def filter_program() -> bytes:
    """The filter, as instructions of classic BPF. A call that is not allowed fails with ENOSYS.

    ENOSYS, since for a call that a kernel does not have, libraries know another one.
    """
    refuse, denied = _returns(_ERRNO | errno.ENOSYS), _returns(_ERRNO | errno.EACCES)
    code = [
        _op(_LD, _ARCH_AT), _op(_JEQ, _ARCH_X86_64, 1, 0), refuse,
        _op(_LD, _NUMBER_AT), _op(_JGE, _X32_BIT, 0, 1), refuse,
    ]  # fmt: skip
    for call, argument, mask, value in _CHECKED:
        code += [
            _op(_JEQ, call, 0, 5),
            _op(_LD, _ARGUMENTS_AT + 8 * argument), _op(_AND, mask),
            _op(_JEQ, value, 0, 1), _returns(_ALLOW), denied,
        ]  # fmt: skip
    for call in _ALLOWED:
        code += [_op(_JEQ, call, 0, 1), _returns(_ALLOW)]
    return b"".join([*code, refuse])


def _op(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    """One instruction; a jump passes over so many of those that follow."""
    return _INSTRUCTION.pack(code, if_true, if_false, value)


def _returns(action: int) -> bytes:
    return _op(_RET, action)
