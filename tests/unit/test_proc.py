"""The one door for subprocesses. Uses only a POSIX shell."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ukcc import debian_packages, proc
from ukcc.errors import ToolFailed


def test_output_and_lines(tmp_path: Path) -> None:
    assert proc.output(["sh", "-c", "echo out; echo err >&2"]) == "out\n"
    seen: list[str] = []
    proc.run(["sh", "-c", "echo out; echo err >&2"], log=tmp_path / "log", on_line=seen.append)
    assert seen == ["out", "err"]
    assert (tmp_path / "log").read_text() == "$ sh -c 'echo out; echo err >&2'\nout\nerr\n"


def test_failure_names_program_status_log_and_last_lines(tmp_path: Path) -> None:
    with pytest.raises(proc.ProgramFailed) as caught:
        proc.run(["sh", "-c", "seq 100; exit 3"], log=tmp_path / "log")
    assert caught.value.message == "sh failed with status 3"
    assert str(tmp_path / "log") in caught.value.hint
    assert caught.value.returncode == 3
    assert caught.value.tail[-1] == "100"
    assert len(caught.value.tail) == 20


def test_failure_without_a_log_gives_a_line_to_paste(tmp_path: Path) -> None:
    with pytest.raises(proc.ProgramFailed) as caught:
        proc.output(["sh", "-c", "exit $CODE"], env={"CODE": "7 "}, cwd=tmp_path)
    line = caught.value.hint.partition(": ")[2]
    assert line == f"cd {tmp_path} && CODE='7 ' sh -c 'exit $CODE'"
    assert subprocess.run(line, shell=True).returncode == 7


def test_a_signal_is_named() -> None:
    with pytest.raises(proc.ProgramFailed, match="sh was killed by SIGKILL"):
        proc.run(["sh", "-c", "kill -KILL $$"])


def test_a_full_disk_is_recognised() -> None:
    with pytest.raises(proc.ProgramFailed, match="the disk is full"):
        proc.run(["sh", "-c", "echo 'cp: x: No space left on device'; exit 1"])


def test_a_missing_program_comes_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(debian_packages.PACKAGES, "no-such-program", "the-package")
    with pytest.raises(ToolFailed) as caught:
        proc.run(proc.isolated(["no-such-program"], {"A": "b"}, limit=60))
    assert caught.value.line("ukcc") == (
        "ukcc: error: no-such-program: no such program; apt-get install the-package"
    )


def test_a_program_is_looked_for_where_it_will_be(tmp_path: Path) -> None:
    program = tmp_path / "here"
    program.write_text("#!/bin/sh\necho $0\n")
    program.chmod(0o755)
    command = proc.isolated(["here"], {"PATH": f"{tmp_path}:{os.environ['PATH']}"}, limit=60)
    assert proc.output(command) == f"{program}\n"
    assert proc.output(proc.isolated(["./here"]), cwd=tmp_path) == "./here\n"
    with pytest.raises(ToolFailed, match="here: no such program"):
        proc.output(["here"])


def test_what_failed_is_the_program_and_not_what_limits_it(tmp_path: Path) -> None:
    (tmp_path / "Makefile").write_text("all: ; @false\nslow: ; @sleep 60\n")
    with pytest.raises(proc.ProgramFailed) as caught:
        proc.run(proc.isolated(["make"], {"A": "b c"}, limit=60), cwd=tmp_path)
    assert caught.value.message == "make failed with status 2"
    assert f"cd {tmp_path} && env -i " in caught.value.hint
    assert caught.value.hint.endswith(" 'A=b c' make")
    with pytest.raises(proc.ProgramFailed, match="make took longer than 1 s"):
        proc.run(proc.isolated(["make", "slow"], limit=1), cwd=tmp_path)


def test_additions_to_an_isolated_environment() -> None:
    assert "\nA=c\n" in proc.output(proc.isolated(["env"], {"A": "b"}), env={"A": "c"})


def test_an_isolated_program_does_not_see_the_callers_environment(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("CFLAGS", "-Wrong")
    monkeypatch.setenv("MAKEFLAGS", "-j --jobserver-auth=3,4")
    seen = proc.output(proc.isolated(["env"], {"ADDED": "a b"}))
    assert "CFLAGS" not in seen
    assert "MAKEFLAGS" not in seen
    assert "ADDED=a b\n" in seen
    assert "LC_ALL=C\n" in seen


def test_bytes_that_are_no_text_do_not_stop_a_build(tmp_path: Path) -> None:
    proc.run(["sh", "-c", r"printf '\377\n'"], log=tmp_path / "log")


def test_interruption_stops_the_whole_tree(tmp_path: Path) -> None:
    """A grandchild, as make has them, must not go on working on what we will throw away."""
    pid_file = tmp_path / "pid"
    script = (
        "from ukcc import proc\n"
        f"proc.run(['sh', '-c', 'sleep 60 & echo $! > {pid_file}.tmp;"
        f" mv {pid_file}.tmp {pid_file}; wait'])"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script],
        stderr=subprocess.DEVNULL,
        # a shell starts background jobs with SIGINT ignored, and that is inherited
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    _wait_until(pid_file.exists)
    parent.send_signal(signal.SIGINT)
    parent.wait(timeout=20)
    grandchild = int(pid_file.read_text())
    _wait_until(lambda: not _runs(grandchild))


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (ProcessLookupError, FileNotFoundError):
        return False
    return state != "Z"


def _wait_until(condition) -> None:  # type: ignore[no-untyped-def]
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.02)


def test_places_are_named_from_the_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is built runs in another directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("UKCC_HOME", "home")
    monkeypatch.setenv("TMPDIR", "../tmp")
    monkeypatch.setenv("UKCC_LOG", "")
    command = proc.isolated(["true"])
    words = {f"UKCC_HOME={tmp_path}/home", f"TMPDIR={tmp_path}/../tmp", "UKCC_LOG="}
    assert words <= set(command.started())
