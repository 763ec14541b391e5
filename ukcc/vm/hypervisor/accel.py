"""KVM or TCG: found out by booting a guest, not by looking at /dev/kvm.

A /dev/kvm can be there, open, even create a machine, and still not run a kernel: nested set-ups
offer ones that stop at the first instruction out of the ordinary. So a tiny guest (probe_guest.py)
is booted under KVM, and KVM is taken when the guest's answer is right and comes in time.
"""

import contextlib
import os
import select
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

from ukcc.errors import MachineError
from ukcc.vm.hypervisor import findings, probe_guest
from ukcc.vm.hypervisor.board import Q35_WORDS
from ukcc.vm.hypervisor.qemu import PROGRAM, accel_words
from ukcc.vm.live.process import die_with_parent
from ukcc.vm.machine import PLAIN_CPU

# Seconds; a KVM that works needs a tenth of one. But the host may be a slow one (an emulated one
# takes 7 s). So after this time the same guest is booted under TCG beside it, and KVM has failed if
# there is no answer when TCG could have given it twice.
DEADLINE = 3.0
_PATIENCE = 60.0  # with TCG
_DEVICE = "/dev/kvm"
_BROKEN = b"KVM internal error"  # what QEMU says before it stops the guest, and waits
_WORKS = "works"
_NO_KVM = "KVM does not work here"


@dataclass(frozen=True)
class KvmVerdict:
    """Whether KVM works; if not, `reason` says why, and `fresh` that it was found just now."""

    works: bool
    reason: str = ""
    fresh: bool = False


def choose(wanted: str) -> str:
    """`kvm` or `tcg` for `--accel auto|kvm|tcg`. Says on stderr, once, that TCG is taken, and why.

    Raises MachineError for a KVM that is wanted and does not work.
    """
    if wanted == "tcg":
        return "tcg"
    verdict = probe()
    if wanted == "kvm":
        if not verdict.works:
            raise MachineError(f"--accel kvm: {_NO_KVM} ({verdict.reason})", "use --accel tcg")
        return "kvm"
    if verdict.fresh and not verdict.works:
        line = f"ukcc run: {_NO_KVM} ({verdict.reason}); using TCG, which is slower"
        print(line, file=sys.stderr, flush=True)
    return "kvm" if verdict.works else "tcg"


def probe() -> KvmVerdict:
    """Whether KVM works here, asked once for each start of the host and each QEMU."""
    reason = cannot_open()
    cache = findings.file_for("kvm", PROGRAM, probe_guest.CODE, reason)
    known = findings.read(cache)
    if known:
        return KvmVerdict(known == _WORKS, "" if known == _WORKS else known)
    reason = reason or boot_guest("kvm", DEADLINE, _time_under_tcg)
    findings.write(cache, reason or _WORKS)
    return KvmVerdict(not reason, reason, fresh=True)


def _time_under_tcg() -> float:
    """Seconds that the same guest takes there; `_PATIENCE` at most."""
    began = time.monotonic()
    boot_guest("tcg", _PATIENCE)
    return time.monotonic() - began


def cannot_open() -> str:
    """Why /dev/kvm cannot be opened, or nothing."""
    try:
        os.close(os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_DEVICE}: {error.strerror}"
    return ""


def boot_guest(accel: str, deadline: float, yardstick: "Callable[[], float] | None" = None) -> str:
    """Boots the guest under an accelerator. Returns what is wrong with it, or nothing.

    deadline: seconds, after which it is killed. yardstick: called then, with the guest still at
    work: how many more seconds it has from its return on.
    """
    with contextlib.ExitStack() as stack:
        image = os.memfd_create("ukcc-probe")
        stack.callback(os.close, image)
        os.write(image, probe_guest.image())
        try:
            guest = subprocess.Popen(
                _guest_argv(accel, f"/proc/self/fd/{image}"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=[image],
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            return f"{PROGRAM}: {error.strerror}"
        stack.callback(guest.communicate)
        stack.callback(guest.kill)
        hearing = _Hearing(guest)
        if not hearing.hear(deadline) and yardstick:
            hearing.hear(yardstick())
        return _judge(hearing, guest.poll())


def _guest_argv(accel: str, image: str) -> list[str]:
    """The same kind of machine as for an image (qemu.py), with a port to end it."""
    return [
        *(PROGRAM, "-machine", Q35_WORDS, *accel_words(accel, PLAIN_CPU), "-m", "32M"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
        *("-kernel", image),
    ]


class _Hearing:
    """What the guest has written, and what QEMU; `over`: both have ended."""

    def __init__(self, guest: "subprocess.Popen[bytes]") -> None:
        assert guest.stdout is not None and guest.stderr is not None  # they are pipes
        self._guest = guest
        self._answer, self._said = guest.stdout.fileno(), guest.stderr.fileno()
        self._texts = {self._answer: b"", self._said: b""}
        self._poll = select.poll()
        for fd in self._texts:
            self._poll.register(fd, select.POLLIN)
        self._open = set(self._texts)

    @property
    def answer(self) -> bytes:
        return self._texts[self._answer]

    @property
    def said(self) -> bytes:
        return self._texts[self._said]

    @property
    def over(self) -> bool:
        return not self._open and self._guest.poll() is not None

    def hear(self, seconds: float) -> bool:
        """Until all is said; False if it was not within these seconds."""
        end = time.monotonic() + seconds
        while self._open and _BROKEN not in self.said:
            left = end - time.monotonic()
            ready = self._poll.poll(left * 1000) if left > 0 else []
            if not ready:
                return False
            for fd, _ in ready:
                data = os.read(fd, 4096)
                self._texts[fd] += data
                if not data:
                    self._poll.unregister(fd)
                    self._open.discard(fd)
        if not self._open:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._guest.wait(max(0.0, end - time.monotonic()))
        return self.over or _BROKEN in self.said


def _judge(hearing: _Hearing, returncode: "int | None") -> str:
    if _BROKEN in hearing.said:
        return "a test guest stopped with an internal error"
    if not hearing.over:
        return "a test guest hung"
    if returncode == probe_guest.EXIT_STATUS and hearing.answer == probe_guest.answer():
        return ""
    if returncode == probe_guest.EXIT_STATUS:
        return "a test guest calculated wrongly"
    lines = hearing.said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"a test guest ended with status {returncode}"
