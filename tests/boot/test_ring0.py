"""What ring 0 could have broken: the gate, signals, stacks, fork, threads, tracing, filters.

Each program checks itself, as a Linux process too, and says `right` only at its end.
"""

import subprocess
from pathlib import Path

import pytest
from support.boots import GATE, Boot, Build

HERE = Path(__file__).parent / "programs"

# Name -> flags.
PROGRAMS: dict[str, list[str]] = {
    "gate": [],
    "restart": [],
    "redzone": [],
    "stacks": [],
    "limits": [],
    "privileged": [],
    "threads": ["-pthread"],
    "ptrace": [],
    "ptrace_step": [],
    "ptrace_calls": [],
    "ptrace_break": [],
    "ptrace_stops": [],
    "ptrace_attach": [],
    "ptrace_wild": [],
    "seccomp": ["-pthread"],
    "sampled": [],
    "callchains": ["-fno-omit-frame-pointer", "-fno-shrink-wrap"],
    "wild_stack": [],
    "stepping": [],
    "signals": [],
}


def build(build_image: Build, name: str) -> Path:
    source = (HERE / f"{name}.c").read_text()
    return build_image(source, GATE, "-I", str(HERE), *PROGRAMS[name], name=name)


@pytest.mark.parametrize("name", PROGRAMS)
@pytest.mark.parametrize("cpus", ["1", "2"])
def test_unikernel(build_image: Build, boot: Boot, name: str, cpus: str) -> None:
    image = build(build_image, name)
    status, stdout, _ = boot(image, "kernel", options=["--smp", cpus])
    assert (status, stdout.splitlines()[-1:]) == (0, [b"right"])


@pytest.mark.parametrize("name", PROGRAMS)
def test_process(build_image: Build, name: str) -> None:
    image = build(build_image, name)
    done = subprocess.run([image, "process"], capture_output=True, timeout=60)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, [b"right"])
