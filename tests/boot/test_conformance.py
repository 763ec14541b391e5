"""What Linux promises a program, held in one ring: restarts, signals, memory, processes, events.

Each program is a list of named cases that run in processes of their own (`programs/cases.h`). It
says `right` at its end only, and must do so as a Linux process too, which shows that the cases ask
for what Linux gives.
"""

import subprocess
from pathlib import Path

import pytest
from support.boots import FACTOR, GATE, Boot, Build

HERE = Path(__file__).parent / "programs"
CPUS = ["1", "2", "4"]
DEADLINE = 240.0  # seconds; most take five
MEMORY = "512"  # MiB; the kernel allows as many threads as fit into an eighth of it

# Name -> flags.
PROGRAMS: dict[str, list[str]] = {
    "restarts_files": [],
    "restarts_waits": [],
    "restarts_sockets": [],
    "restarts_events": [],
    "vectors": [],
    "storm": ["-pthread"],
    "signal_frames": [],
    "signal_stacks": [],
    "stack_limits": ["-pthread"],
    "fpu": ["-pthread"],
    "memory": [],
    "protection": ["-mfsgsbase"],
    "processes": ["-pthread"],
    "locks": ["-pthread"],
    "events": ["-pthread"],
    "ipc": [],
    "uring": [],
    "exceptions": ["-fnon-call-exceptions", "-pthread"],
}


def build(build_image: Build, name: str) -> Path:
    source = next(HERE.glob(f"{name}.c*"))
    language = "c" if source.suffix == ".c" else "c++"
    flags = [GATE, "-I", str(HERE), *PROGRAMS[name]]
    return build_image(source.read_text(), *flags, name=name, language=language)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("cpus", CPUS)
def test_unikernel(build_image: Build, boot: Boot, name: str, cpus: str) -> None:
    image = build(build_image, name)
    status, stdout, _ = boot(
        image, "kernel", timeout=DEADLINE, options=["-m", MEMORY, "--smp", cpus]
    )
    assert (status, stdout.splitlines()[-1:]) == (0, [b"right"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_process(build_image: Build, name: str) -> None:
    image = build(build_image, name)
    argv = [image, "process"]
    done = subprocess.run(argv, capture_output=True, timeout=DEADLINE * FACTOR)
    print(done.stdout.decode())
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, [b"right"])
