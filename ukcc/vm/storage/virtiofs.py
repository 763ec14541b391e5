"""Directories of the host by virtiofs: one virtiofsd for each, which ends with the machine.

The daemon is QEMU 7.2's own (docs/tools/virtiofsd.rst). Its socket has a name that the kernel
chooses, in no directory; QEMU gets the connected end. The daemon ends when that is closed, so with
QEMU, and by the kernel when we are gone.

What is to be read only, it is given read-only (share_readonly.py): the kernel of the host refuses
writes, not the guest's.

It is root's, in name spaces of its own, or an ordinary user's in a user name space that knows him
only, by his own number: so the guest sees the files as his, as by 9p, and what it makes is his.
"""

import contextlib
import os
import resource
import shlex
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ukcc import proc
from ukcc.errors import MachineError, ToolFailed
from ukcc.vm.live.process import die_with_parent
from ukcc.vm.machine import AUTO, NINE_P, VIRTIOFS, Share
from ukcc.vm.storage.share_filter import LISTENER, filtered_argv, installer
from ukcc.vm.storage.share_readonly import PLACE, readonly_argv
from ukcc.vm.storage.share_rules import check_privileged, daemon_rules

WAYS = (AUTO, VIRTIOFS, NINE_P)

# QEMU's own, up to 7.2: Debian 12 has it, in the package qemu-system-common.
PROGRAM = "/usr/lib/qemu/virtiofsd"
_NOT_THERE = (
    "on Debian 12: apt-get install qemu-system-common; the virtiofsd of later QEMUs is another"
    " program, which ukcc does not start"
)

# cache=auto with no time: mappings work, as with cache=none they do not, and each use of a file
# asks the host for its size and time first. Extended attributes, as 9p has them. What a guest makes
# it log is not to fill our memory.
_OPTIONS = "cache=auto,timeout=0,xattr,log_level=err"
# Of extended attributes those that QEMU's 9p server has too, and access lists, which say no more
# than a file's mode does. The others say something to the host: to its kernel (capabilities, labels
# of SELinux, Smack and IMA) or to programs of root's that trust them (overlays, Samba). For the
# guest there are none. virtiofsd does not start without a name for security.capability, which it
# takes away itself from what is written to; to set it, it lacks the right (_LESS_CAPABLE).
_ATTRIBUTES = "".join(
    (
        ":ok:all:user.:user.:",
        ":ok:all:system.posix_acl_:system.posix_acl_:",
        ":ok:all:security.capability:security.capability:",
        ":unsupported:all:::",
    )
)
# It asks for all the capabilities that it knows a use for, and fails without one of them. These are
# those of set-uid programs and of devices (share_filter.py).
_LESS_CAPABLE = "modcaps=-mknod:-setfcap:-fsetid"
# chroot: where no name spaces can be made, as in most containers; only for root.
_NAMESPACE, _CHROOT = "namespace", "chroot"

# The vhost-user protocol (QEMU's docs/interop/vhost-user.rst): request, flags with the version,
# bytes of the payload; the answer of this one has 8.
_GET_FEATURES = struct.pack("=III", 1, 1, 0)
_ANSWER_BYTES = 12 + 8
_PATIENCE = 10.0  # seconds until the daemon answers, on a busy host
_TAIL = 4096  # bytes of its words that are kept


class ShareServers:
    """The daemons of one machine.

    shares: with the way that each of them goes; notes: for the user, where that is not the one that
    he may count on; problem: what ended one before its time, or empty.
    """

    def __init__(self, shares: tuple[Share, ...]) -> None:
        self.shares = shares
        self.notes: list[str] = []
        self.problem = ""
        self._daemons: list[_Daemon] = []

    @property
    def fds(self) -> tuple[int, ...]:
        """QEMU's ends, of the shares by virtiofs in their order."""
        return tuple(daemon.qemu_end.fileno() for daemon in self._daemons)

    def add(self, daemon: "_Daemon") -> None:
        """Takes one that serves, for the next of the shares by virtiofs."""
        self._daemons.append(daemon)

    def watch(self, end_machine: Callable[[], None]) -> None:
        """To be called when QEMU has its ends. Without a daemon a guest waits for ever."""

        def take(problem: str) -> None:
            self.problem = problem
            end_machine()

        for daemon in self._daemons:
            daemon.qemu_end.close()
            threading.Thread(target=daemon.report_end, args=(take,), daemon=True).start()

    def end(self) -> None:
        """Ends what is there still, in order."""
        for daemon in self._daemons:
            daemon.end()


@contextlib.contextmanager
def serve_shares(shares: Sequence[Share], way: str) -> Iterator[ShareServers]:
    """Starts a daemon for each share that goes by virtiofs.

    way: `virtiofs` raises MachineError where that does not work, `auto` takes 9p then.
    """
    serving = ShareServers(tuple(shares))
    try:
        if way != NINE_P:
            serving.shares = tuple(_serve(share, way, serving) for share in shares)
        check_privileged(serving.shares)
        yield serving
    finally:
        serving.end()


def _serve(share: Share, way: str, serving: ShareServers) -> Share:
    share, why = _plan(share, way)
    if share.by == VIRTIOFS:
        try:
            serving.add(_start_daemon(share))
        except MachineError as error:
            if way == VIRTIOFS:
                message = f"{_where(share)}: {error.message}"
                raise MachineError(message, "--share-by 9p does without") from None
            share, why = replace(share, by=NINE_P), error.message
    serving.notes += note_losses([share], why) if why else []
    return share


def _start_daemon(share: Share) -> "_Daemon":
    try:
        return _Daemon(share, _NAMESPACE)
    except MachineError:
        if os.geteuid() != 0:
            raise
        return _Daemon(share, _CHROOT)


def note_losses(shares: Sequence[Share], why: str) -> list[str]:
    """Lines for the user about shares that go by 9p though he has not asked for it."""
    return [
        f"{_where(share)} goes by 9p: {why}. Processes that append to one file at "
        "once lose data there; --share-by 9p accepts that"
        for share in shares
        if not share.readonly
    ]


def way_for(way: str, kernel_has_it: bool) -> str:
    """The way for a guest with such a kernel. `auto` becomes `9p` where that is the only one."""
    if way == VIRTIOFS and not kernel_has_it:
        raise MachineError(
            "--share-by virtiofs: the image's kernel has no virtio-fs", "link the image again"
        )
    return way if kernel_has_it else NINE_P


def plan_shares(shares: Sequence[Share], way: str) -> ShareServers:
    """The same without a daemon, as far as it can be told without one."""
    serving = ShareServers(())
    for share in shares:
        found, why = _plan(share, way)
        serving.shares += (found,)
        serving.notes += note_losses([found], why) if why else []
    check_privileged(serving.shares)
    return serving


def _plan(share: Share, way: str) -> tuple[Share, str]:
    """With its way; and why that is not virtiofs, if `auto` would have had it so."""
    if way == NINE_P:
        return replace(share, by=NINE_P), ""
    why, mend = _obstacle(share)
    if why and way == VIRTIOFS:
        raise MachineError(f"{_where(share)}: {why}", mend)
    return replace(share, by=NINE_P if why else VIRTIOFS), why


def _obstacle(share: Share) -> tuple[str, str]:
    """Why a share cannot go by virtiofs here, and what helps; empty if it can."""
    if not os.access(PROGRAM, os.X_OK):
        return f"{PROGRAM}: no such program", _NOT_THERE
    if "," in share.host and not share.readonly:
        return "virtiofsd takes no comma in a path", "leave --share-by virtiofs out"
    return "", ""


def _where(share: Share) -> str:
    return f"-v {share.host}:{share.guest}{':ro' if share.readonly else ''}"


def daemon_argv(share: Share, listener: int, sandbox: str = _NAMESPACE) -> list[str]:
    """The command of one daemon. listener: the descriptor of a socket that listens."""
    # fuse_opt(3) reads a backslash as C does: `\\057` would be a slash.
    source = PLACE if share.readonly else share.host.replace("\\", "\\\\")
    options = [f"source={source}", f"sandbox={sandbox}", _OPTIONS]
    options += [] if share.privileged else [f"xattrmap={_ATTRIBUTES}", _LESS_CAPABLE]
    argv = [PROGRAM, "-f", f"--fd={listener}", "-o", ",".join(options)]
    if share.readonly:
        argv = readonly_argv(share.host, argv)
    if os.geteuid() == 0:
        return argv
    who = [f"--map-user={os.geteuid()}", f"--map-group={os.getegid()}"]
    return ["unshare", *who, "--keep-caps", *argv]


class _Daemon:
    """One virtiofsd that has answered, and QEMU's end of its connection."""

    def __init__(self, share: Share, sandbox: str) -> None:
        self._share = share
        self._said = b""
        self.qemu_end = socket.socket(socket.AF_UNIX)
        self._ending = False
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("")
            listener.listen(1)
            self.qemu_end.connect(listener.getsockname())
            argv = daemon_argv(share, listener.fileno(), sandbox)
            self._process = _start(argv, listener.fileno(), daemon_rules(share))
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._listening.start()
        if not self._answers():
            self.end()
            raise MachineError(f"virtiofsd: {self._last_words()}")

    def _answers(self) -> bool:
        """Whether it came as far as to serve: it has shut itself in by then, or could not."""
        self.qemu_end.settimeout(_PATIENCE)
        missing = _ANSWER_BYTES
        try:
            self.qemu_end.sendall(_GET_FEATURES)
            # it comes in two pieces
            while missing and (piece := self.qemu_end.recv(missing)):
                missing -= len(piece)
        except OSError:
            return False
        self.qemu_end.settimeout(None)
        return not missing

    def report_end(self, on_end: Callable[[str], None]) -> None:
        """Waits for its end; says so if that is not ours."""
        status = self._process.wait()
        if status and not self._ending:
            on_end(f"{_where(self._share)}: virtiofsd ended: {self._last_words()}")

    def end(self) -> None:
        """Its connection is gone with QEMU; what does not end then is killed."""
        self._ending = True
        self.qemu_end.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _listen(self) -> None:
        assert self._process.stdout is not None  # it is a pipe
        with self._process.stdout as said:
            while piece := said.read(_TAIL):
                self._said = (self._said + piece)[-_TAIL:]

    def _last_words(self) -> str:
        """After its end."""
        self._listening.join(_PATIENCE)
        lines = self._said.decode(errors="replace").splitlines()
        return lines[-1] if lines else "it printed nothing"


def _start(argv: Sequence[str], listener: int, rules: Sequence[str]) -> "subprocess.Popen[bytes]":
    try:
        program = proc.find(argv[0])
    except ToolFailed as error:
        raise MachineError(error.message, error.hint) from None
    install = installer(rules)

    # two for each file that the guest has open; an ordinary user's daemon cannot raise it itself
    _, most_files = resource.getrlimit(resource.RLIMIT_NOFILE)

    def prepare() -> None:
        die_with_parent()
        resource.setrlimit(resource.RLIMIT_NOFILE, (most_files, most_files))
        install()

    return subprocess.Popen(
        argv,
        executable=program,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        bufsize=0,
        pass_fds=[listener],
        # a Ctrl-C is for the guest
        start_new_session=True,
        preexec_fn=prepare,
    )


def commands(shares: Sequence[Share], directory: Path, name: str) -> "dict[str, list[str]]":
    """What is to run beside a QEMU that we do not start: the socket's path -> the daemon's argv."""
    found = {}
    for index, share in enumerate(shares):
        if share.by == VIRTIOFS:
            path = str(directory / f"{name}.{index}.socket")
            argv = daemon_argv(share, LISTENER)
            found[path] = filtered_argv(daemon_rules(share), argv, path)
    return found


def paste_prefix(commands: "Mapping[str, Sequence[str]]") -> str:
    """The same as what comes before QEMU in a line for a shell, and waits until they serve."""
    words = []
    for path, argv in commands.items():
        place = shlex.quote(path)
        start = f"rm -f {place}; {proc.paste_line(argv)} &"
        words.append(f"{start} until [ -S {place} ]; do sleep 0.1; done; ")
    return "".join(words)
