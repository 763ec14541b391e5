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
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import MachineError
from ukcc.vm import findings, probe_guest
from ukcc.vm.process import die_with_parent
from ukcc.vm.qemu import MACHINE, PROGRAM, accel_words

DEADLINE = 3.0  # seconds; a KVM that works needs a tenth of one
_DEVICE = "/dev/kvm"
_BROKEN = b"KVM internal error"  # what QEMU says before it stops the guest, and waits
_WORKS = "works"


@dataclass(frozen=True)
class Verdict:
    """Whether KVM works; if not, `reason` says why, and `fresh` that it was found just now."""

    works: bool
    reason: str = ""
    fresh: bool = False


def choose(wanted: str) -> str:
    """`kvm` or `tcg` for `--accel auto|kvm|tcg`. Says on stderr when a KVM that is there is bad."""
    if wanted == "tcg":
        return "tcg"
    if wanted == "kvm":
        reason = cannot_open()
        if reason:
            raise MachineError(f"--accel kvm: {reason}", "use --accel tcg")
        return "kvm"
    verdict = probe()
    if verdict.fresh and not verdict.works and Path(_DEVICE).exists():
        line = f"KVM does not work here ({verdict.reason}); using TCG, which is slower"
        print(f"ukcc run: {line}", file=sys.stderr, flush=True)
    return "kvm" if verdict.works else "tcg"


def probe() -> Verdict:
    """Whether KVM works here, asked once for each start of the host and each QEMU."""
    reason = cannot_open()
    cache = findings.file_for("kvm", PROGRAM, probe_guest.CODE, reason)
    known = findings.read(cache)
    if known:
        return Verdict(known == _WORKS, "" if known == _WORKS else known)
    reason = reason or boot_guest("kvm", DEADLINE)
    findings.write(cache, reason or _WORKS)
    return Verdict(not reason, reason, fresh=True)


def cannot_open() -> str:
    """Why /dev/kvm cannot be opened, or nothing."""
    try:
        os.close(os.open(_DEVICE, os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"{_DEVICE}: {error.strerror}"
    return ""


def boot_guest(accel: str, deadline: float) -> str:
    """Boots the guest under an accelerator. Returns what is wrong with it, or nothing.

    deadline: seconds, after which it is killed.
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
        try:
            answer, said, ended = _collect(guest, time.monotonic() + deadline)
        finally:
            guest.kill()
            guest.communicate()
    return _judge(guest.returncode, answer, said, ended)


def _guest_argv(accel: str, image: str) -> list[str]:
    """The same kind of machine as for an image (qemu.py), with a port to end it."""
    return [
        *(PROGRAM, "-machine", MACHINE, *accel_words(accel), "-m", "32M"),
        *("-nodefaults", "-no-user-config", "-no-reboot", "-display", "none"),
        *("-serial", "stdio", "-device", "isa-debug-exit,iobase=0xf4,iosize=1"),
        *("-kernel", image),
    ]


def _collect(guest: "subprocess.Popen[bytes]", end: float) -> tuple[bytes, bytes, bool]:
    """What the guest wrote, what QEMU wrote, and whether both ended before the time `end`."""
    assert guest.stdout is not None and guest.stderr is not None  # they are pipes
    answer, said = guest.stdout.fileno(), guest.stderr.fileno()
    texts = {answer: b"", said: b""}
    poll = select.poll()
    for fd in texts:
        poll.register(fd, select.POLLIN)
    waiting = set(texts)
    while waiting and _BROKEN not in texts[said]:
        left = end - time.monotonic()
        ready = poll.poll(left * 1000) if left > 0 else []
        if not ready:
            break
        for fd, _ in ready:
            data = os.read(fd, 4096)
            texts[fd] += data
            if not data:
                poll.unregister(fd)
                waiting.discard(fd)
    if not waiting:
        with contextlib.suppress(subprocess.TimeoutExpired):
            guest.wait(max(0.0, end - time.monotonic()))
    return texts[answer], texts[said], not waiting


def _judge(returncode: int, answer: bytes, said: bytes, ended: bool) -> str:
    if _BROKEN in said:
        return "a test guest stopped with an internal error"
    if not ended:
        return "a test guest hung"
    if returncode == probe_guest.EXIT_STATUS and answer == probe_guest.answer():
        return ""
    if returncode == probe_guest.EXIT_STATUS:
        return "a test guest calculated wrongly"
    lines = said.decode(errors="replace").strip().splitlines()
    return lines[-1] if lines else f"a test guest ended with status {returncode}"
