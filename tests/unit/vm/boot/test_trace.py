"""What `--trace` puts into the second archive, and what it says when it cannot."""

from pathlib import Path

import pytest

from ukcc.errors import MachineError
from ukcc.image.memory import second_archive, second_archive_mib
from ukcc.vm.boot import trace
from ukcc.vm.live.process import STDERR
from ukcc.vm.options import TraceOption


def test_members_of_the_archive(tmp_path: Path) -> None:
    program = tmp_path / "strace"
    program.write_bytes(b"\x7fELF" + bytes(1 << 20))
    tracer = trace.Tracer(program, ("-e", "network"))
    members = {entry.path: (entry.mode & 0o777, entry.data) for entry in tracer.entries()}
    assert members == {
        ".uk/trace/strace": (0o755, program.read_bytes()),
        ".uk/trace/words": (0o644, b"-e\0network\0"),
    }
    # packed and unpacked: a little more than 2 MiB, of which the image counts one
    assert second_archive_mib(tracer.entries(), second_archive(loads_locale=True)) == 2


def test_without_a_sysroot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    assert trace.prepare(None) is None
    with pytest.raises(MachineError) as caught:
        trace.prepare(TraceOption())
    assert caught.value.status == 125 and "ukcc sysroot build" in caught.value.hint


def test_where_the_trace_goes(tmp_path: Path) -> None:
    with trace.open_output(None) as fd:
        assert fd is None
    with trace.open_output(TraceOption()) as fd:
        assert fd == STDERR
    with trace.open_output(TraceOption(output=str(tmp_path / "t"))) as fd:
        assert fd is not None and fd > STDERR
    with (
        pytest.raises(MachineError) as caught,
        trace.open_output(TraceOption(output=str(tmp_path / "no" / "t"))),
    ):
        pass
    assert "--trace-output" in caught.value.message
