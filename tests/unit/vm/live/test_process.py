"""A machine that runs, with a shell in QEMU's place: its channels, its end, and who asks for it."""

import os
import time
from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.vm.hypervisor.confinement import Confinement
from ukcc.vm.hypervisor.qemu import Endpoints
from ukcc.vm.live import process
from ukcc.vm.live.exit_record import parse_record
from ukcc.vm.live.stopping import Stopped
from ukcc.vm.live.wiring import ArgvMaker, Wiring
from ukcc.vm.machine import GuestPorts


def shell(script: str) -> ArgvMaker:
    """Runs a script in QEMU's place; $0, $1, …: the initrd, the record, stdout, stderr, trace."""

    def make(ends: Endpoints) -> list[str]:
        places = [ends.initrd, ends.record, ends.stdout, ends.stderr, ends.trace]
        return ["sh", "-c", script, *places]

    return make


def is_there(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_what_comes_by_each_channel(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    script = (
        'cat "$0"; echo out >"$2"; echo err >"$3"; echo trace >"$4"; echo words >&2;'
        ' echo "UKCC1 exit 3" >"$1"'
    )
    with (tmp_path / "trace").open("wb") as trace:
        wiring = Wiring(
            shell(script), b"settings\n", GuestPorts(output_ports=True), trace_to=trace.fileno()
        )
        outcome = process.wait(process.start(wiring))
    assert outcome.returncode == 0 and parse_record(outcome.record).status == 3
    assert outcome.console == b"settings\n" and outcome.stderr == "words\n" and outcome.traced
    assert not (outcome.timed_out or outcome.stopped_by or outcome.unwritten)
    shown = capfd.readouterr()
    assert sorted(shown.out.split()) == ["out", "settings"] and shown.err == "err\n"
    assert (tmp_path / "trace").read_text() == "trace\n"


def test_what_is_not_to_be_shown_is_kept(capfd: pytest.CaptureFixture[str]) -> None:
    outcome = process.wait(process.start(Wiring(shell("echo here"), b"", shown=False)))
    assert outcome.console == b"here\n" and capfd.readouterr().out == ""


def test_the_time_is_over() -> None:
    begun = time.monotonic()
    outcome = process.wait(process.start(Wiring(shell("exec sleep 100"), b"")), 0.2)
    assert outcome.timed_out and outcome.returncode < 0 and time.monotonic() - begun < 10


def test_who_ends_it() -> None:
    with process.start(Wiring(shell("exec sleep 100"), b"")) as running:
        assert running.is_alive and not running.signal(15)
        running.end()
        outcome = process.wait(running)
    assert outcome.stopped_by == 9 and not running.is_alive


def test_a_machine_does_not_outlive_its_context() -> None:
    wiring = Wiring(shell("exec sleep 100"), b"", GuestPorts(stdin_port=True))
    for error in (MachineError("x"), Stopped(15)):
        with pytest.raises(type(error)), process.start(wiring) as running:
            raise error
        assert not running.is_alive and not is_there(running.pid)


def test_what_it_inherits() -> None:
    """And nothing else: a descriptor of ours is not QEMU's."""
    read_end, write_end = os.pipe()
    other = os.dup(write_end)
    os.set_inheritable(other, True)
    try:
        script = (
            f"echo passed >/proc/self/fd/{write_end}; test ! -e /proc/self/fd/{other} || echo other"
        )
        words = Confinement(environment={"PATH": os.environ["PATH"]}, fds=(write_end,))
        wiring = Wiring(shell(script), b"", shown=False, confinement=words)
        outcome = process.wait(process.start(wiring))
        assert outcome.returncode == 0 and outcome.console == b""
        assert os.read(read_end, 100) == b"passed\n"
    finally:
        for fd in (read_end, write_end, other):
            os.close(fd)


def test_a_start_that_fails_leaves_nothing() -> None:
    before = os.listdir("/proc/self/fd")  # noqa: PTH208
    with pytest.raises(MachineError):
        process.start(Wiring(lambda ends: ["no-such-qemu"], b"", GuestPorts(stdin_port=True)))
    assert os.listdir("/proc/self/fd") == before  # noqa: PTH208
