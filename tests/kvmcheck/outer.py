"""The outer guest: a stock kernel under the emulator, with this host's files as its root.

Its initramfs has busybox, the kernel's modules in the order in which they are loaded, and `init`
(init.sh). The host's `/` comes by 9p, read-only, below a file system in memory; a second 9p
directory brings jobs in and results out (agent.py).
"""

import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from kvmcheck.kernel import KVM, Kernel, module_order
from kvmcheck.perform import Place, Result
from kvmcheck.table import HERE, ROOT, Row
from ukcc.errors import UkccError
from ukcc.image import cpio
from ukcc.vm.hypervisor.qemu import PROGRAM
from ukcc.vm.hypervisor.tsc import host_tsc_khz
from ukcc.vm.live.process import die_with_parent

_BUSYBOX = Path("/bin/busybox")
_MEMORY = "4G"
_START = 900.0  # seconds until the agent has answered, on a busy host
_LOOK_AGAIN = 0.5  # seconds
_UP = "up"
NO_KVM = "none"  # nested page tables: Y or N, or this where the module is not loaded


@dataclass(frozen=True)
class Outer:
    """One that runs. process: its emulator; jobs: the directory that both have."""

    process: "subprocess.Popen[bytes]"
    jobs: Path
    log: Path

    def do(self, row: Row, place: Place, limit: float) -> Result:
        """Has the row done there. limit: seconds after which it counts as lost."""
        work = {"row": asdict(row), "place": asdict(place)}
        write(self.jobs / f"{row.title}.json", json.dumps(work))
        answer = self.jobs / f"{row.title}.result"
        began = time.monotonic()
        while not answer.exists():
            self.check()
            if time.monotonic() - began > limit:
                return Result(f"no answer of the outer guest after {limit:g} s", limit)
            time.sleep(_LOOK_AGAIN)
        return Result(**json.loads(answer.read_text()))

    def check(self) -> None:
        """Raises UkccError when it has ended."""
        if self.process.poll() is not None:
            raise UkccError(f"the outer guest has ended: {_tail(self.log)}", f"see {self.log}")

    def cpu_seconds(self) -> float:
        """What its emulator has used so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def write(file: Path, text: str) -> None:
    """Appears whole."""
    fresh = file.with_name(f"{file.name}.new")
    fresh.write_text(text)
    fresh.rename(file)


def initramfs(kernel: Kernel, kvm_words: str) -> bytes:
    """kvm_words: of the module, `npt=0` for one. Raises UkccError without busybox."""
    if not _BUSYBOX.is_file():
        raise UkccError(f"{_BUSYBOX} is not there", "as root: apt-get install busybox-static")
    entries = [
        cpio.regular("init", (HERE / "init.sh").read_bytes(), 0o755),
        cpio.regular("bin/busybox", _BUSYBOX.read_bytes(), 0o755),
    ]
    listed = []
    for name, data in module_order(kernel):
        entries.append(cpio.regular(f"modules/{name}.ko", data))
        listed.append(f"{name} {kvm_words if name == KVM else ''}".strip())
    entries.append(cpio.regular("modules.list", "".join(f"{one}\n" for one in listed).encode()))
    return cpio.archive(cpio.with_parents(entries))


@dataclass(frozen=True)
class Wanted:
    """What the outer guest is to be. kvm_words: the module's; emulator: the QEMU that it is in."""

    cpus: int
    kvm_words: str = ""
    emulator: str = PROGRAM


def _argv(kernel: Kernel, initrd: Path, jobs: Path, log: Path, wanted: Wanted) -> list[str]:
    words = ["console=ttyS0", "quiet", "panic=-1", "mitigations=off", "nokaslr"]
    # on a busy host its own measurements of the timer and the counter go wrong
    words += ["no_timer_check"]
    words += [f"tsc_early_khz={khz}"] if (khz := host_tsc_khz()) else []
    argv = [wanted.emulator, "-accel", "tcg,thread=multi", "-cpu", "max", "-machine", "q35"]
    argv += [
        "-smp",
        str(wanted.cpus),
        "-m",
        _MEMORY,
        "-nodefaults",
        "-no-user-config",
        "-no-reboot",
    ]
    argv += ["-display", "none", "-serial", f"file:{log}", "-device", "virtio-rng-pci"]
    argv += ["-kernel", str(kernel.image), "-initrd", str(initrd), "-append", " ".join(words)]
    shares = (("root", "/", ",readonly=on,multidevs=remap"), ("jobs", str(jobs), ""))
    for tag, path, more in shares:
        argv += ["-fsdev", f"local,id={tag},path={path},security_model=none{more}"]
        argv += ["-device", f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"]
    return argv


def _script(workers: int) -> str:
    """What init runs in the root: the agent, in an environment like ours."""
    kept = ("HOME", "PATH", "UKCC_SYSROOT", "UKCC_HOME")
    settings = {name: os.environ[name] for name in kept if name in os.environ}
    settings |= {"PYTHONPATH": str(ROOT / "tests"), "PYTHONDONTWRITEBYTECODE": "1"}
    settings |= {"XDG_RUNTIME_DIR": "/run/user", "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8"}
    words = [f"{name}={value}" for name, value in settings.items()]
    argv = ["env", "-i", *words, sys.executable, "-m", "kvmcheck.agent", "/jobs", str(workers)]
    return f"cd {shlex.quote(str(ROOT))} && exec {shlex.join(argv)}\n"


@contextlib.contextmanager
def started(kernel: Kernel, work: Path, wanted: Wanted) -> Iterator[Outer]:
    """Up and ready for jobs; ended with the context. Raises UkccError."""
    jobs, log, initrd = work / "jobs", work / "outer.log", work / "initramfs"
    shutil.rmtree(jobs, ignore_errors=True)
    jobs.mkdir(parents=True)
    write(jobs / "agent.sh", _script(wanted.cpus))
    initrd.write_bytes(initramfs(kernel, wanted.kvm_words))
    log.write_text("")
    said = work / "outer-qemu.log"
    with said.open("wb") as sink:
        try:
            process = subprocess.Popen(
                _argv(kernel, initrd, jobs, log, wanted),
                stdin=subprocess.DEVNULL,
                stdout=sink,
                stderr=sink,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise UkccError(f"{wanted.emulator}: {error.strerror}", "see --emulator") from None
    outer = Outer(process, jobs, log)
    try:
        end = time.monotonic() + _START
        while not (jobs / _UP).exists():
            if process.poll() is not None and said.stat().st_size:
                raise UkccError(f"QEMU failed: {_tail(said)}")
            outer.check()
            if time.monotonic() > end:
                raise UkccError(f"the outer guest is not up after {_START:g} s", f"see {log}")
            time.sleep(_LOOK_AGAIN)
        if facts(outer)["npt"] == NO_KVM:
            raise UkccError(f"the outer guest has not loaded {KVM}: {_tail(log)}", f"see {log}")
        yield outer
    finally:
        process.kill()
        process.wait()


def facts(outer: Outer) -> "dict[str, str]":
    """What the agent has said of itself: kernel, QEMU, the module's parameters."""
    found = json.loads((outer.jobs / _UP).read_text())
    return {str(name): str(value) for name, value in found.items()}


def _tail(file: Path) -> str:
    lines: Sequence[str] = file.read_text(errors="replace").strip().splitlines()
    return lines[-1] if lines else "it has said nothing"
