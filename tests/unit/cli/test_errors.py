"""The `ukcc` command: one line for what went wrong, the right status, never a traceback."""

import subprocess
import sys
from pathlib import Path

import click
import pytest

from ukcc import bug, cli
from ukcc.errors import MachineError, UkccError
from ukcc.proc import ProgramFailed


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):  # type: ignore[no-untyped-def]
    """Runs `ukcc try` with a body of the test's own; returns status, stdout and stderr."""
    monkeypatch.setenv("UKCC_HOME", str(tmp_path / "store"))
    monkeypatch.delenv("UKCC_DEBUG", raising=False)

    def run_body(body):  # type: ignore[no-untyped-def]
        command = click.Command("try", callback=body)
        monkeypatch.setattr(cli.Ukcc, "get_command", lambda self, ctx, name: command)
        with pytest.raises(SystemExit) as caught:
            cli.main(["try"])
        captured = capsys.readouterr()
        return caught.value.code, captured.out, captured.err

    return run_body


def raising(error: BaseException):  # type: ignore[no-untyped-def]
    def body() -> None:
        raise error

    return body


def test_a_users_problem_is_one_line_with_its_status(run) -> None:  # type: ignore[no-untyped-def]
    assert run(raising(UkccError("what", "mend"))) == (1, "", "ukcc: error: what; mend\n")
    assert run(raising(MachineError("what"))) == (125, "", "ukcc: error: what\n")


def test_a_failed_programs_last_lines_are_shown(run) -> None:  # type: ignore[no-untyped-def]
    failed = ProgramFailed("make failed with status 2", "log: x", 2, ["fatal: no flux"])
    status, _, err = run(raising(failed))
    assert status == 1
    assert err == "  | fatal: no flux\nukcc: error: make failed with status 2; log: x\n"


def test_an_integer_result_is_the_status(run) -> None:  # type: ignore[no-untyped-def]
    assert run(lambda: 42)[0] == 42
    assert run(lambda: None)[0] == 0


def test_interruption_is_130_and_silent(run) -> None:  # type: ignore[no-untyped-def]
    status, out, err = run(raising(KeyboardInterrupt()))
    assert (status, out, err.strip()) == (130, "", "")


def test_an_unexpected_exception_is_our_bug(run, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    status, _, err = run(raising(ZeroDivisionError("oops")))
    assert status == bug.STATUS
    assert err.count("\n") == 1
    assert "bug: ZeroDivisionError: oops" in err
    (report,) = (tmp_path / "store" / "bugs").iterdir()
    assert str(report) in err
    assert "Traceback" in report.read_text()


def test_debugging_shows_the_traceback(run, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setenv("UKCC_DEBUG", "1")
    assert "Traceback" in run(raising(ZeroDivisionError("oops")))[2]


def ukcc(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    program = "import sys; from ukcc.cli import main; main(sys.argv[1:], prog_name='ukcc')"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={"PATH": "/usr/bin:/bin", **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_an_unknown_subcommand_is_a_usage_error() -> None:
    done = ukcc("nonsense")
    assert done.returncode == 2
    assert "No such command 'nonsense'" in done.stderr


def test_no_sysroot_is_said_with_the_mend(tmp_path: Path) -> None:
    done = ukcc("sysroot", "path", UKCC_HOME=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "ukcc: error: no sysroot has been built; run: ukcc sysroot build\n"


def test_an_empty_store_lists_nothing(tmp_path: Path) -> None:
    assert ukcc("sysroot", "list", UKCC_HOME=str(tmp_path)).stdout == ""
    assert ukcc("sysroot", "list", "--json", UKCC_HOME=str(tmp_path)).stdout == "[]\n"
    assert ukcc("sysroot", "clean", UKCC_HOME=str(tmp_path / "none")).returncode == 0


def test_a_subcommand_loads_only_what_it_needs(tmp_path: Path) -> None:
    program = (
        "import sys; from ukcc.cli import main\n"
        "try: main(['sysroot', 'list'], prog_name='ukcc')\n"
        "except SystemExit: print(sorted(m for m in sys.modules if '.' not in m))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={"UKCC_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    for heavy in ("plumbum", "rich", "elftools", "capstone"):
        assert f"'{heavy}'" not in done.stdout
