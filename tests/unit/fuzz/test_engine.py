"""How the runner takes what fuzzers do: findings, ends without one, and what it prints."""

import json
from pathlib import Path

import pytest
from fuzz import __main__ as command
from fuzz import report
from fuzz.engine import Fuzzer, Result
from fuzz.hours import Place, counted
from fuzz.ledger import Ledger
from fuzz.table import find

# Writes a finding of the kind that its state says, as libFuzzer would, then is done.
SCRIPT = r"""
for word; do case $word in -artifact_prefix=*) place=${word#*=} ;; esac; done
count=$(cat COUNT 2>/dev/null || echo 0)
echo $((count + 1)) >COUNT
echo "#100 NEW cov: 10 ft: 20 corp: 3/9b exec/s: 0"
echo "stat::number_of_executed_units: 100"
case $count in
0) echo one >"${place}crash-1"
   echo "SUMMARY: AddressSanitizer: heap-buffer-overflow a.c:1"
   exit 77 ;;
1) echo two >"${place}timeout-2"; exit 70 ;;
*) exit LAST ;;
esac
"""


def run(tmp_path: Path, last: int) -> Result:
    script = tmp_path / "script"
    script.write_text(SCRIPT.replace("COUNT", f"{tmp_path}/count").replace("LAST", str(last)))
    return Fuzzer(find(["router"])[0], ["sh", str(script)], tmp_path / "state").run(30)


def test_findings_are_kept_and_the_run_goes_on(tmp_path: Path) -> None:
    result = run(tmp_path, 0)
    assert [finding.what for finding in result.findings] == [
        "AddressSanitizer: heap-buffer-overflow a.c:1",
        "timeout",
    ]
    assert [finding.input.read_text() for finding in result.findings] == ["one\n", "two\n"]
    assert "heap-buffer-overflow" in result.findings[0].log.read_text()
    assert (result.executions, result.coverage, result.features, result.corpus) == (300, 10, 20, 3)
    assert not result.problem


def test_a_fuzzer_that_ends_without_a_finding_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / "count").write_text("2")
    result = run(tmp_path, 1)
    assert not result.findings and "ended with status 1: see " in result.problem


def test_a_run_with_a_seed_begins_anew_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "state/corpus/router").mkdir(parents=True)
    (tmp_path / "state/corpus/router/learned").write_text("x")
    script = tmp_path / "script"
    script.write_text(
        f'echo "$*" >{tmp_path}/words\n'
        f'for word; do [ ! -d "$word" ] || ls -A "$word" >>{tmp_path}/seen; done\n'
        'echo "#100 NEW cov: 10 ft: 20 corp: 3/9b exec/s: 0"; sleep 1\n'
    )
    (router,) = find(["router"])
    argv = ["sh", str(script)]
    place = Place(tmp_path / "state", Ledger(tmp_path / "ledger"), lambda _: argv, seed=7)
    result, now = counted(place, router, 1)
    assert result.executions and not now.executions
    assert " -seed=7 " in (tmp_path / "words").read_text()
    seen = (tmp_path / "seen").read_text().split()
    assert seen == sorted(path.name for path in router.seeds.iterdir())
    assert not (tmp_path / "ledger").exists()


@pytest.mark.parametrize(("last", "status"), [(0, 0), (1, 1)])
def test_the_status_and_the_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], last: int, status: int
) -> None:
    (tmp_path / "count").write_text("2")
    script = tmp_path / "script"
    script.write_text(SCRIPT.replace("COUNT", f"{tmp_path}/count").replace("LAST", str(last)))
    target = find(["router"])[0]
    argv = ["sh", str(script)]
    place = Place(tmp_path / "state", Ledger(tmp_path / "ledger"), lambda _: argv)
    assert command._run(place, [target], 5, as_json=True) == status
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["target"], row["executions"], row["findings"]) == ("router", 100, [])


def test_a_finding_is_told_with_the_line_that_shows_it_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report.tell(run(tmp_path, 0))
    said = capsys.readouterr().err
    assert f"make fuzz-input TARGET=router INPUT={tmp_path}/state/findings/router/crash-1" in said


def test_an_unknown_target(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["run", "nosuch"]) == 2
    assert "no target 'nosuch'" in capsys.readouterr().err


def test_a_seed_is_for_a_run_of_all_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["run", "--seed", "1", "cpio"]) == 2
    assert "--seed goes with --total" in capsys.readouterr().err
