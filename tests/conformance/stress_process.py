"""The same jobs as Linux processes on this host: the column beside the unikernel's.

The host is not the job's to break: it runs as nobody (or as who we are), in a PID name space whose
end takes every process along, in an IPC name space of its own, with a limit on address space; from
root its files are on a tmpfs of its own, as in the guest, and cannot fill a disk.
"""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from conformance.stress_lines import Job
from ukcc import proc

_NOBODY = 65534
_ADDRESS_SPACE = 4 << 30  # bytes for one process: the host has other work
_FILES = 2 << 30  # bytes
_PROCESSES = 4000  # of this user; the unikernel has no such limit
_TIMED_OUT = 124  # timeout(1)'s own
_KILLED = 137  # 128 + SIGKILL: timeout(1) had to

_MOUNT = f"mount -t tmpfs -o size={_FILES},uid={_NOBODY},gid={_NOBODY} stress ."
_MOUNTED = ("sh", "-c", f'{_MOUNT} && cd "$PWD" && exec "$@"', "sh")


def run(name: str, words: Sequence[str], limit: int) -> Job:
    """Runs one command in an empty directory; limit: seconds. Raises UkccError."""
    with tempfile.TemporaryDirectory(prefix="ukcc-stress-", ignore_cleanup_errors=True) as place:
        as_root = os.geteuid() == 0
        said: list[str] = []
        try:
            command = [*enclosed(limit, as_root), *words]
            proc.run(command, cwd=Path(place), on_line=said.append)
        except proc.ProgramFailed as error:
            return Job(name, how(error.returncode), tuple(said))
    return Job(name, "exit 0", tuple(said))


def enclosed(limit: int, as_root: bool) -> list[str]:
    """The words before a command: unshare(1), timeout(1), mount(8), setpriv(1) and prlimit(1).

    timeout is the first process of the name space, so that with it all the others end.
    """
    names = ["unshare", "--pid", "--ipc", "--fork", "--kill-child", "--mount-proc"]
    names += ["--mount"] if as_root else ["--user", "--map-current-user"]
    ends = ["timeout", "--foreground", "--kill-after=10", str(limit)]
    user = [f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups"] if as_root else []
    limits = [f"--as={_ADDRESS_SPACE}", f"--nproc={_PROCESSES}", "--core=0"]
    return [
        *names,
        *ends,
        *(_MOUNTED if as_root else ()),
        "setpriv",
        *user,
        "prlimit",
        *limits,
        "nice",
    ]


def how(returncode: int) -> str:
    """As `Job.how` has it, from the status that timeout(1) ends with."""
    if returncode in (_TIMED_OUT, _KILLED):
        return "timeout"
    if returncode < 0 or returncode > 128:
        return f"signal {-returncode if returncode < 0 else returncode - 128}"
    return f"exit {returncode}"
