"""The fuzzers' ledger: what counts, for which code, and what becomes of a damaged file."""

import json
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import ClassVar

import pytest
from fuzz import __main__ as command
from fuzz import digest as digests
from fuzz import hours, report
from fuzz.engine import Finding, Result
from fuzz.hours import Hours, Place
from fuzz.ledger import Account, Damaged, Ledger
from fuzz.table import HERE, ROOT, TARGETS, find

WORK = Account(10.5, 100, 7, 8, 9, ("timeout",))


def test_work_adds_up(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "not" / "there")
    ledger.add("cpio", "a", WORK)
    now = ledger.add("cpio", "a", Account(1.0, 1, 5, 10, 2, ("timeout", "oom")))
    assert (now.seconds, now.executions, now.findings) == (11.5, 101, ("timeout", "oom"))
    assert (now.coverage, now.features, now.corpus) == (7, 10, 9)
    assert Ledger(tmp_path / "not" / "there").account("cpio", "a") == now


def test_changed_code_starts_from_zero_and_code_that_comes_back_goes_on(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    ledger.add("cpio", "a", WORK)
    assert ledger.account("cpio", "b") == Account()
    ledger.add("cpio", "b", WORK)
    assert ledger.add("cpio", "a", WORK).seconds == 21.0
    assert ledger.account("nosuch", "a") == Account()


def test_another_machine_goes_on_from_what_is_kept(tmp_path: Path) -> None:
    kept = tmp_path / "hours.json"
    first = Ledger(tmp_path / "first", kept)
    first.add("cpio", "a", WORK)
    first.add("elf", "old", WORK)
    first.keep({"cpio": "a", "elf": "new"})
    assert list(json.loads(kept.read_text())) == ["cpio"]  # nothing was done for elf's new code
    assert first.account("cpio", "a").seconds == 10.5  # here and kept is the same time
    second = Ledger(tmp_path / "second", kept)
    assert second.account("cpio", "a").seconds == 10.5
    assert second.account("cpio", "b") == Account()
    second.add("cpio", "a", WORK)
    second.add("elf", "new", WORK)
    second.keep({"cpio": "a"})
    assert Ledger(tmp_path / "third", kept).account("cpio", "a").seconds == 21.0
    kept.write_text("{")
    with pytest.raises(Damaged, match=r"hours\.json is damaged"):
        second.add("cpio", "a", WORK)
    assert not list(tmp_path.glob("*/*.damaged"))


def test_accounts_of_old_code_are_dropped_in_the_end(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for code in range(40):
        ledger.add("cpio", str(code), WORK)
    assert len(json.loads((tmp_path / "cpio.json").read_text())) == 16
    assert ledger.account("cpio", "39").seconds == 10.5


@pytest.mark.parametrize(
    "content",
    [
        '{"a": {"seconds": 10.5, "execu',
        "",
        "[]",
        '{"a": 1}',
        '{"a": {"seconds": "10"}}',
        '{"a": {"seconds": NaN}}',
        '{"a": {"seconds": -1}}',
        '{"a": {"executions": 1.5}}',
        '{"a": {"findings": "x"}}',
        '{"a": {"hours": 1}}',
        "[" * 100_000,
    ],
)
def test_a_torn_file_is_named_and_set_aside(tmp_path: Path, content: str) -> None:
    ledger = Ledger(tmp_path)
    (tmp_path / "cpio.json").write_text(content)
    with pytest.raises(Damaged, match=r"cpio\.json is damaged"):
        ledger.account("cpio", "a")
    assert hours.account(ledger, find(["cpio"])[0], "a") == Account()
    assert ledger.add("cpio", "a", WORK).seconds == 10.5
    assert (tmp_path / "cpio.damaged").read_text() == content
    assert ledger.account("cpio", "a").seconds == 10.5


def test_two_that_add_at_once_lose_nothing(tmp_path: Path) -> None:
    def add() -> None:
        for _ in range(20):
            Ledger(tmp_path).add("cpio", "a", Account(1.0, 1))

    threads = [threading.Thread(target=add) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Ledger(tmp_path).account("cpio", "a").seconds == 80.0


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tree of our code that a test may change."""
    shutil.copytree(ROOT / "ukcc", tmp_path / "ukcc", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(HERE, tmp_path / "fuzz", ignore=shutil.ignore_patterns("corpus"))
    shutil.copytree(ROOT / "sysroot" / "init", tmp_path / "sysroot" / "init")
    monkeypatch.setattr(digests, "HERE", tmp_path / "fuzz")
    places = {"ukcc": tmp_path / "ukcc", "fuzz": tmp_path / "fuzz"}
    monkeypatch.setattr(digests, "_PACKAGES", places)
    monkeypatch.setattr(digests.paths, "data_dir", lambda name: str(tmp_path / name))
    return tmp_path


def changed(copy: Path, file: str, old: str, new: str) -> "set[str]":
    """The targets whose digest is another after an edit."""
    before = {target.name: digests.digest(target) for target in TARGETS}
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    return {target.name for target in TARGETS if digests.digest(target) != before[target.name]}


def test_a_change_counts_for_the_targets_that_run_it(copy: Path) -> None:
    qcow2 = "ukcc/vm/storage/qcow2.py"
    assert changed(copy, qcow2, "def read_qcow2", "X = 1\n\n\ndef read_qcow2") == {"qcow2"}
    python = {target.name for target in TARGETS if not target.is_c}
    assert changed(copy, "fuzz/checking.py", "2 << 20, 64", "2 << 20, 65") == python
    assert changed(copy, "sysroot/init/dhcp_message.c", "{", "{ ;") == {"dhcp_answer"}
    in_c = {target.name for target in TARGETS if target.is_c}
    assert changed(copy, "sysroot/init/init.h", "#include", "#define X 1\n#include") == in_c
    assert changed(copy, "fuzz/building.py", '"-O1"', '"-O2"') == in_c


def test_what_is_imported_late_counts(copy: Path) -> None:
    before = digests.digest(find(["qcow2"])[0])
    (copy / "ukcc" / "late.py").write_text("A = 1\n")
    with (copy / "ukcc/vm/storage/qcow2.py").open("a") as file:
        file.write("\n\ndef f():\n    from ... import late\n")
    with_it = digests.digest(find(["qcow2"])[0])
    (copy / "ukcc" / "late.py").write_text("A = 21\n")
    assert len({before, with_it, digests.digest(find(["qcow2"])[0])}) == 3


def test_words_for_readers_change_nothing(copy: Path) -> None:
    old = "def read_qcow2"
    assert not changed(copy, "ukcc/vm/storage/qcow2.py", old, f"# why\n\n\n{old}")
    assert not changed(copy, "ukcc/vm/storage/qcow2.py", '"""', '"""Other words: ')
    assert not changed(copy, "sysroot/init/dhcp_message.c", "{", "{ /* why */ // and\n")


def test_a_comment_in_a_string_of_c_is_no_comment() -> None:
    assert digests._uncommented('a = "/* b */"; // c\nd') == 'a = "/* b */"; d'
    assert digests._uncommented("a = '\"'; /* ' */ b") == "a = '\"'; b"


class Clocked:
    """Stands for the engine: each slice takes its seconds at once."""

    slices: ClassVar[list[tuple[str, int]]] = []
    bad: ClassVar[tuple[str, ...]] = ()

    def __init__(self, target, argv, state, stop, seed) -> None:  # type: ignore[no-untyped-def]
        self._target = target

    def run(self, seconds: int) -> Result:
        name = self._target.name
        Clocked.slices.append((name, seconds))
        if name in Clocked.bad:
            found = [Finding("timeout", Path("x"), Path("y"))]
            return Result(name, "x", 1.0, 5, findings=found, ended_early=True)
        return Result(name, "x", float(seconds), 10 * seconds, 1, 2, 3)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    monkeypatch.setattr(hours, "Fuzzer", Clocked)
    monkeypatch.setattr(Clocked, "slices", [])
    monkeypatch.setattr(Clocked, "bad", ())
    return Place(tmp_path, Ledger(tmp_path / "ledger"), lambda target: [])


def run(place: Place, wanted: int, *names: str) -> "list[Result]":
    return Hours(place, find(list(names)), wanted).run(lambda result, now: None)


def test_the_least_fuzzed_comes_first_until_each_has_enough(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hours, "AT_A_TIME", 1)
    cpio, qmp = find(["cpio", "qmp"])
    place.ledger.add("cpio", digests.digest(cpio), Account(500.0))
    results = run(place, 700, "cpio", "qmp")
    assert Clocked.slices == [("qmp", 300), ("qmp", 300), ("cpio", 200), ("qmp", 100)]
    assert [(r.target, r.seconds) for r in results] == [("cpio", 200.0), ("qmp", 700.0)]
    assert place.ledger.account("qmp", digests.digest(qmp)).executions == 7000
    assert not run(place, 700, "cpio", "qmp")


def test_a_target_that_ends_early_is_left_for_this_run(place: Place) -> None:
    Clocked.bad = ("cpio",)
    results = run(place, 600, "cpio", "qmp")
    assert [name for name, _ in Clocked.slices].count("cpio") == 1
    assert [len(result.findings) for result in results] == [1, 0]
    (cpio,) = find(["cpio"])
    assert place.ledger.account("cpio", digests.digest(cpio)).findings == ("timeout",)


def test_a_slice_during_which_the_code_changed_does_not_count(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = iter("abbbbbb")
    monkeypatch.setattr(hours, "digest", lambda target: next(codes))
    _, now = hours.counted(place, find(["cpio"])[0], 300)
    assert now == Account()
    assert hours.counted(place, find(["cpio"])[0], 300)[1].seconds == 300.0


def test_a_fuzzer_that_did_nothing_has_no_hours(place: Place) -> None:
    assert hours.work(Result("cpio", "x", 60.0, problem="ended with status 1")) == Account()


# As a fuzzer that goes on until it is asked to end, and then says what it did.
ENDLESS = r"""
end() {
    echo "#700 DONE cov: 3 ft: 4 corp: 5/9b"
    echo "stat::number_of_executed_units: 700"
    exit 0
}
trap end TERM
echo started >STARTED
while :; do sleep 0.05; done
"""

RUN = """
import sys
from pathlib import Path
from fuzz import __main__ as command
command._argv = lambda target: ["sh", sys.argv[1]]
sys.exit(command.main(["run", *sys.argv[2:], "cpio"]))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("words", [["--seconds", "900"], ["--total", "900"]])
def test_an_interrupted_slice_counts_as_far_as_it_got(
    tmp_path: Path, number: int, words: "list[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    script, started = tmp_path / "script", tmp_path / "started"
    script.write_text(ENDLESS.replace("STARTED", str(started)))
    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", f"{HERE.parent}:{ROOT}")
    process = subprocess.Popen([sys.executable, "-c", RUN, script, *words])
    try:
        while not started.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait() == 128 + number
    finally:
        process.kill()
        process.wait()
    (cpio,) = find(["cpio"])
    now = Ledger(tmp_path / "fuzz" / "ledger").account("cpio", digests.digest(cpio))
    assert 0 < now.seconds < 900 and (now.executions, now.coverage) == (700, 3)


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ledger:
    monkeypatch.setenv("UKCC_HOME", str(tmp_path))
    return Ledger(tmp_path / "fuzz" / "ledger")


def test_the_status_in_three_forms(store: Ledger, capsys: pytest.CaptureFixture[str]) -> None:
    (cpio,) = find(["cpio"])
    store.add("cpio", digests.digest(cpio), Account(3723.0, 1234567, 7, 8, 9, ("timeout in x",)))
    assert command.main(["status"]) == 0
    said = capsys.readouterr().out
    assert "1:02:03" in said and "cpio: timeout in x" in said
    assert len(said.splitlines()) == 2 + len(TARGETS)
    assert command.main(["status", "--markdown", "cpio"]) == 0
    row = f"| `cpio` | {cpio.reads} | 1:02:03 | 1,234,567 | 7 | 8 | 9 | 1 |\n"
    assert capsys.readouterr().out.endswith(row)
    assert command.main(["status", "--json", "cpio"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert (row["target"], row["seconds"], row["findings"]) == ("cpio", 3723.0, ["timeout in x"])


def test_the_status_names_what_it_cannot_use(
    store: Ledger, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    store.add("gone", "a", WORK)  # a target of another time
    (tmp_path / "fuzz" / "ledger" / "cpio.json").write_text("{")
    assert command.main(["status", "cpio", "qmp"]) == 1
    said = capsys.readouterr()
    assert "gone" not in said.out and said.out.count("0:00:00") == 2
    assert "cpio.json is damaged" in said.err
    assert command.main(["status", "nosuch"]) == 2


def test_hours_are_not_cut_at_a_day() -> None:
    assert report.clock(90061) == "25:01:01"
