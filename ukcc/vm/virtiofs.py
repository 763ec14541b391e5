"""Directories of the host by virtiofs: one virtiofsd for each, which ends with the machine.

The daemon is QEMU 7.2's own (docs/tools/virtiofsd.rst). Its socket has a name that the kernel
chooses, in no directory; QEMU gets the connected end. The daemon ends when that is closed, so with
QEMU, and by the kernel when we are gone.
"""

import contextlib
import os
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO

from ukcc import proc
from ukcc.errors import MachineError, ToolFailed
from ukcc.vm.machine import NINE_P, VIRTIOFS, Share
from ukcc.vm.process import die_with_parent

AUTO = "auto"
WAYS = (AUTO, VIRTIOFS, NINE_P)

# Debian 12: package qemu-system-common.
PROGRAM = "/usr/lib/qemu/virtiofsd"

# cache=auto with no time: mappings work, as with cache=none they do not, and each use of a file
# asks the host for its size and time first. Extended attributes, as 9p has them.
_OPTIONS = "cache=auto,timeout=0,xattr"

# The vhost-user protocol (QEMU's docs/interop/vhost-user.rst): request, flags with the version,
# bytes of the payload; the answer of this one has 8.
_GET_FEATURES = struct.pack("=III", 1, 1, 0)
_ANSWER_BYTES = 12 + 8
_PATIENCE = 10.0  # seconds until the daemon answers, on a busy host


class Served:
    """The daemons of one machine.

    shares: with the way that each of them goes; problem: what ended one before its time, or empty.
    """

    def __init__(self, shares: tuple[Share, ...]) -> None:
        self.shares = shares
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
def served(shares: Sequence[Share], way: str) -> Iterator[Served]:
    """Starts a daemon for each share that goes by virtiofs.

    way: `virtiofs` raises MachineError where that does not work, `auto` takes 9p then.
    """
    serving = Served(tuple(shares))
    try:
        if way != NINE_P:
            serving.shares = tuple(_served(share, way, serving) for share in shares)
        yield serving
    finally:
        serving.end()


def _served(share: Share, way: str, serving: Served) -> Share:
    try:
        check_way(share)
        serving.add(_Daemon(share))
    except MachineError:
        if way == VIRTIOFS:
            raise
        return replace(share, by=NINE_P)
    return replace(share, by=VIRTIOFS)


def way_for(way: str, kernel_config: str) -> str:
    """The way for a guest with a kernel of this configuration, empty if that is not known."""
    if way == NINE_P or "\nCONFIG_VIRTIO_FS=y\n" in kernel_config:
        return way
    if way == VIRTIOFS and kernel_config:
        raise MachineError(
            "--share-by virtiofs: the image's kernel has no virtio-fs", "link the image again"
        )
    return NINE_P if way == AUTO else way


def planned(shares: Sequence[Share], way: str) -> tuple[Share, ...]:
    """The same without a daemon, as far as it can be told without one."""
    found = []
    for share in shares:
        by = NINE_P if way == NINE_P else VIRTIOFS
        try:
            if by == VIRTIOFS:
                check_way(share)
        except MachineError:
            if way == VIRTIOFS:
                raise
            by = NINE_P
        found.append(replace(share, by=by))
    return tuple(found)


def check_way(share: Share) -> None:
    """Raises MachineError for a share that cannot go by virtiofs here."""
    where = f"-v {share.host}:{share.guest}"
    if share.readonly:
        # the guest would only have been asked not to write
        raise MachineError(
            f"{where}:ro: virtiofsd cannot refuse writes", "leave --share-by virtiofs out"
        )
    if not os.access(PROGRAM, os.X_OK):
        raise MachineError(
            f"{where}: {PROGRAM}: no such program", "apt-get install qemu-system-common"
        )
    if "," in share.host:
        raise MachineError(
            f"{where}: virtiofsd takes no comma in a path", "leave --share-by virtiofs out"
        )


def daemon_argv(share: Share, socket_word: str) -> list[str]:
    """The command of one daemon. socket_word: `--fd=N`, which listens, or `--socket-path=PATH`.

    Without root's rights it has those of a user name space, in which the caller is root.
    """
    argv = [PROGRAM, "-f", socket_word, "-o", f"source={share.host},{_OPTIONS}"]
    return argv if os.geteuid() == 0 else ["unshare", "-r", *argv]


class _Daemon:
    """One virtiofsd that has answered, and QEMU's end of its connection."""

    def __init__(self, share: Share) -> None:
        self._where = f"-v {share.host}:{share.guest}"
        self._said = os.fdopen(os.memfd_create("virtiofsd"), "w+b", 0)
        self.qemu_end = socket.socket(socket.AF_UNIX)
        self._ending = False
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind("")
            listener.listen(1)
            self.qemu_end.connect(listener.getsockname())
            argv = daemon_argv(share, f"--fd={listener.fileno()}")
            self._process = _start(argv, listener.fileno(), self._said)
        if not self._answers():
            self.end()
            raise MachineError(f"{self._where}: virtiofsd: {self._last_words()}", "use 9p")

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
            on_end(f"{self._where}: virtiofsd ended: {self._last_words()}")

    def end(self) -> None:
        """Its connection is gone with QEMU; what does not end then is killed."""
        self._ending = True
        self.qemu_end.close()
        try:
            self._process.wait(_PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _last_words(self) -> str:
        self._said.seek(0)
        lines = self._said.read().decode(errors="replace").splitlines()
        return lines[-1] if lines else "it said nothing"


def _start(argv: Sequence[str], listener: int, said: IO[bytes]) -> "subprocess.Popen[bytes]":
    try:
        program = proc.find(argv[0])
    except ToolFailed as error:
        raise MachineError(error.message, error.hint) from None
    return subprocess.Popen(
        argv,
        executable=program,
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=said,
        pass_fds=[listener],
        # a Ctrl-C is for the guest
        start_new_session=True,
        preexec_fn=die_with_parent,
    )


def paste_prefix(shares: Sequence[Share], directory: Path, name: str) -> "tuple[str, list[str]]":
    """What has to run before QEMU in a line that can be pasted, and where it is, for QEMU."""
    words, places = [], []
    for index, share in enumerate(shares):
        if share.by == VIRTIOFS:
            path = str(directory / f"{name}.{index}.socket")
            command = proc.paste_line(daemon_argv(share, f"--socket-path={path}"))
            words.append(f"{command} & until [ -S {path} ]; do sleep 0.1; done; ")
            places.append(f"path={path}")
    return "".join(words), places
