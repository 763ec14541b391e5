"""A run in the background without a machine: what the starter hears, what is left on disk."""

import contextlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support.machine_samples import FACTS

from ukcc.errors import MachineError
from ukcc.lifecycle import client, supervise
from ukcc.lifecycle.entry import MachineEntry
from ukcc.lifecycle.logs import LogReader
from ukcc.lifecycle.registry import Registry, default_directory
from ukcc.lifecycle.supervise import Hooks


@pytest.fixture
def machines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "store"))
    (tmp_path / "runtime").mkdir()
    return Registry(default_directory())


def detached(start: Callable[[Hooks], int]) -> int:
    return supervise.run(FACTS, True, start)


def speaks(hooks: Hooks) -> None:
    # not print(): pytest has put something else there
    os.write(1, b"words\n")
    os.write(2, b"complaints\n")


def only(machines: Registry) -> MachineEntry:
    (entry,) = machines.entries()
    return entry


def ended(machines: Registry) -> MachineEntry:
    """The only machine, when it has ended."""
    assert client.wait(only(machines))
    return only(machines)


def test_a_run_that_ends_at_once_has_run(
    machines: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    def start(hooks: Hooks) -> int:
        speaks(hooks)
        return 3

    assert detached(start) == 0 and capfd.readouterr() == ("web\n", "")
    entry = ended(machines)
    assert (entry.state, entry.facts) == ("exited 3", FACTS)
    assert sorted(LogReader(entry.path).read()) == [(1, b"words\n"), (2, b"complaints\n")]


def test_a_start_that_fails_is_the_starter_s_error_and_leaves_nothing(
    machines: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    def start(hooks: Hooks) -> int:
        speaks(hooks)
        raise MachineError("it does not start", "mend it", status=123)

    with pytest.raises(MachineError) as caught:
        detached(start)
    error = caught.value
    assert (error.message, error.hint, error.status) == ("it does not start", "mend it", 123)
    assert capfd.readouterr() == ("words\n", "complaints\n")
    assert machines.entries() == []


def test_a_bug_is_one_line_with_a_report(machines: Registry, tmp_path: Path) -> None:
    with pytest.raises(MachineError) as caught:
        detached(lambda hooks: 1 // 0)
    assert caught.value.status == 70 and "bug: ZeroDivisionError" in caught.value.message
    (report,) = (tmp_path / "store" / "bugs").iterdir()
    assert "1 // 0" in report.read_text() and str(report) in caught.value.message


def test_a_supervisor_that_is_killed_in_its_start_is_no_success(machines: Registry) -> None:
    def start(hooks: Hooks) -> int:
        os.kill(os.getpid(), 9)
        return 0

    with pytest.raises(MachineError, match="the supervisor ended without a word"):
        detached(start)
    assert machines.entries() == []


def test_the_name_of_another_is_left_alone(
    machines: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    place = machines.claim(FACTS)
    (place / "log.1").write_bytes(b"\1\4\0\0\0mine")
    with pytest.raises(MachineError, match="a machine of that name is running"):
        detached(lambda hooks: 0)
    assert capfd.readouterr() == ("", "") and only(machines).is_running
    assert (place / "log.1").exists()


def test_the_supervisor_has_left_its_caller(machines: Registry) -> None:
    read_end, write_end = os.pipe()
    os.set_inheritable(write_end, True)

    def start(hooks: Hooks) -> int:
        with contextlib.suppress(OSError):
            os.write(write_end, b"it was kept")
        source = Path("/proc/self/fd/0").readlink()
        os.write(1, f"{os.getsid(0) == os.getpid()} {source}".encode())
        return 0

    assert detached(start) == 0
    os.close(write_end)
    assert os.read(read_end, 1) == b""
    os.close(read_end)
    assert list(LogReader(ended(machines).path).read()) == [(1, b"True /dev/null")]


def test_one_in_the_foreground_is_noted_while_it_runs(machines: Registry) -> None:
    seen: list[MachineEntry] = []

    def start(hooks: Hooks) -> int:
        seen.append(only(machines))
        return 9

    assert supervise.run(replace(FACTS, detached=False), False, start) == 9
    assert seen[0].is_running and machines.entries() == []


def test_one_that_cannot_be_noted_runs_all_the_same_unless_it_was_named(
    machines: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    machines.root.parent.mkdir()
    machines.root.write_text("in the way")
    facts = replace(FACTS, detached=False)
    assert supervise.run(facts, False, lambda hooks: 9) == 9
    assert "`ukcc ps` does not show this one: " in capfd.readouterr().err
    for wanted in (facts, FACTS):
        with pytest.raises(MachineError):
            supervise.run(wanted, True, lambda hooks: 9)
