"""`make kvm-check`: its data, and what it makes of what machines do."""

import ast
import json
import re
import subprocess
from dataclasses import asdict
from pathlib import Path

import pytest
from kvmcheck import agent, kernel, outer, perform, report, table
from kvmcheck.perform import Place, Result
from kvmcheck.report import Outcome, Run
from kvmcheck.table import Explained, Row

from ukcc.errors import UkccError
from ukcc.image import cpio

BOOT = table.ROOT / "tests" / "boot"
KNOWN = (Explained("a-q35-1", "kvm", "no such vector", "the emulator's"),)


def programs() -> set[str]:
    return {f.stem for f in (BOOT / "programs").iterdir() if f.suffix in (".c", ".cc")}


def test_every_program_is_in_a_row_or_left_out_with_a_reason() -> None:
    data = table.load()
    used = {row.program for row in data.rows}
    assert programs() - used == set(data.left_out)
    assert all(data.left_out.values())


def test_a_program_runs_on_both_machines_with_one_and_two_cpus() -> None:
    hello = {(row.machine, row.cpus) for row in table.load().rows if row.program == "hello"}
    assert hello == {(machine, cpus) for machine in ("q35", "microvm") for cpus in (1, 2)}


@pytest.mark.parametrize("module", ["test_ring0", "test_conformance"])
def test_flags_are_those_of_the_boot_tests(module: str) -> None:
    tree = ast.parse((BOOT / f"{module}.py").read_text())
    (flags,) = (
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "PROGRAMS" and node.value
    )
    rows = {row.program: row for row in table.load().rows if not row.name}
    assert flags and {name: list(rows[name].flags) for name in flags} == flags


def test_rows_that_can_be_done() -> None:
    for row in table.load().rows:
        assert row.driver in perform.DRIVERS and row.machine in ("q35", "microvm")
        assert row.program == table.REDIS or table.source(row.program).is_file()
        assert all(table.source(name).is_file() for name in row.libraries)


def test_every_case_of_vectors_is_in_a_row() -> None:
    cases = set(re.findall(r"\bCASE\((\w+)\)", (BOOT / "programs" / "vectors.c").read_text()))
    rows = [row for row in table.load().rows if row.program == "vectors"]
    assert cases and {word for row in rows for word in row.args} == {"kernel", *cases}


def test_explanations_are_of_rows() -> None:
    titles = {row.title for row in table.load().rows}
    for one in table.explanations():
        assert one.row in titles and one.words and one.why


def test_rows_by_name() -> None:
    rows = table.load().rows
    assert [row.title for row in table.select(rows, ["no-x2apic"])] == ["no-x2apic-q35-2"]
    assert [row.title for row in table.select(rows, ["gate-q35-2"])] == ["gate-q35-2"]
    assert {row.program for row in table.select(rows, [], ci=True)} >= {"hello", "redis-server"}
    with pytest.raises(UkccError, match="nonsense: no such row"):
        table.select(rows, ["nonsense"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[rows]]\nprogramme = 'a'\n", "programme"),
        ("rows = []\n", "left_out is missing"),
        ("[[rows]]\nprogram = 'a'\n[[rows]]\nprogram = 'a'\n[left_out]\n", "rows of one name"),
    ],
)
def test_data_that_is_not_understood(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "rows.toml").write_text(text)
    with pytest.raises(UkccError, match=words):
        table.load(tmp_path / "rows.toml")


def test_an_explanation_of_no_life(tmp_path: Path) -> None:
    (tmp_path / "e").write_text("[[explained]]\nrow='a'\nlife='tcg'\nwords='x'\nwhy='y'\n")
    with pytest.raises(UkccError, match="no life 'tcg'"):
        table.explanations(tmp_path / "e")


def module(*needs: str) -> bytes:
    return b"\x7fELF\0\0license=GPL\0depends=" + ",".join(needs).encode() + b"\0retpoline=Y\0"


def test_modules_come_after_what_they_need(tmp_path: Path) -> None:
    needs = {"kvm_amd": ["kvm", "ccp"], "kvm": ["irq-bypass"], "ccp": [], "irq_bypass": []}
    for name, others in needs.items():
        (tmp_path / name).write_bytes(module(*others))
    found = kernel.Kernel("6.1", tmp_path, {name: tmp_path / name for name in needs})
    order = [name for name, _ in kernel.module_order(found, ["kvm_amd", "builtin", "kvm"])]
    assert order == ["irq_bypass", "kvm", "ccp", "kvm_amd"]
    assert kernel.depends(b"no module") == []


@pytest.mark.parametrize(
    ("problem", "expected"),
    [
        ("", ("right", "")),
        ("status 1: no such vector", ("explained", "the emulator's")),
        ("another failure", ("wrong", "another failure")),
    ],
)
def test_verdicts_of_a_row(problem: str, expected: "tuple[str, str]") -> None:
    outcome = Outcome("a-q35-1", Result(problem, 1.0))
    assert report.verdict(outcome, "kvm", KNOWN) == expected
    assert report.verdict(outcome, "control", KNOWN) == ("-", "")
    # an explanation is for one life only
    other = Outcome("a-q35-1", control=Result("no such vector", 1.0))
    assert report.verdict(other, "control", KNOWN)[0] == "wrong"


def test_the_nests_reasons_are_none_on_a_host() -> None:
    assert report.holding({report.KVM: report.IN_NEST}, KNOWN) == KNOWN
    assert report.holding({report.KVM: report.ON_HOST}, KNOWN) == ()


def a_run(*problems: str, whole: bool = True) -> Run:
    rows = [Outcome(f"{n}-q35-1", Result(p, 2.0), Result("", 1.0)) for n, p in enumerate(problems)]
    return Run({"KVM": "of a test"}, tuple(rows), 10.0, 5.0, whole)


def test_a_run_is_good_when_all_is_right_and_whole() -> None:
    assert report.is_good(a_run("", ""), KNOWN)
    assert not report.is_good(a_run("", "it failed"), KNOWN)
    assert not report.is_good(a_run("", whole=False), KNOWN)


def test_what_is_kept_is_what_was_found(tmp_path: Path) -> None:
    run = a_run("", "a | b")
    report.keep(run, tmp_path / "last.json")
    assert report.read(tmp_path / "last.json") == run
    assert "| `1-q35-1` | wrong | right | a \\| b |" in report.markdown(run, ())
    assert "kvm: 1 right, 1 wrong; control: 2 right" in report.plain(run, ())
    assert '"kvm": "wrong"' in report.as_json(run, ())
    (tmp_path / "last.json").write_text("{")
    with pytest.raises(UkccError, match="no results of a run"):
        report.read(tmp_path / "last.json")


def fake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str) -> Place:
    """A program in the place of `ukcc`."""
    program = tmp_path / "ukcc"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(0o755)
    monkeypatch.setattr(perform, "_UKCC", str(program))
    return Place("kvm", 1.0, str(tmp_path))


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("echo x; echo right; exit 3", ""),
        ("echo right; exit 4", "status 4"),
        ("echo wrong; exit 3", "status 3: wrong"),
        ("echo why >&2; exit 125", "status 125: why"),
        ("exec sleep 60", "run: no end after 1 s"),
    ],
)
def test_what_a_row_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, problem: str
) -> None:
    place = fake(tmp_path, monkeypatch, body)
    result = perform.perform(Row("hello", status=3, seconds=1), place)
    assert result.problem.startswith(problem) and bool(result.problem) == bool(problem)


def test_what_a_row_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fake(tmp_path, monkeypatch, 'for w; do d=$w; done; echo kept >"$d/kept"; echo right')
    row = Row("files", args=(), options=("{work}",), leaves={"kept": "kept\n"})
    assert perform.perform(row, place).problem.startswith("kept: not there")
    place = fake(tmp_path, monkeypatch, 'echo kept >"${9}/kept"; echo right')
    assert "--accel kvm --smp 2" in subprocess.list2cmdline(
        perform.Doing(row, place, tmp_path).machine_words
    )
    assert perform.perform(row, place).problem == ""


def test_words_are_put_behind_those_of_qemu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    qemu = tmp_path / "real" / perform.PROGRAM
    qemu.parent.mkdir()
    qemu.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    qemu.chmod(0o755)
    monkeypatch.setenv("PATH", str(qemu.parent), prepend=":")
    row = Row("hello", cpu=",-x2apic", machine_words=",kernel-irqchip=split")
    doing = perform.Doing(row, Place("kvm", 1.0, ""), tmp_path)
    words = ["-machine", "q35,smm=off", "-cpu", "host", "-append", "a b", "-machine", "memory=ram"]
    done = subprocess.run(
        [perform.PROGRAM, *words], env=doing.environment(), capture_output=True, text=True
    )
    changed = ["q35,smm=off,kernel-irqchip=split", "-cpu", "host,-x2apic", "-append", "a b"]
    assert done.stdout.splitlines() == ["-machine", *changed, "-machine", "memory=ram"]


def test_a_command_that_fails_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = fake(tmp_path, monkeypatch, "printf 'one\\ntwo\\n'; exit 1")
    assert perform.perform(Row("hello"), place).problem == "status 1: one two"
    place = fake(tmp_path, monkeypatch, "echo first; seq 9999; echo last; exit 1")
    problem = perform.perform(Row("hello"), place).problem
    assert problem.startswith("status 1: first 1 2") and problem.endswith("9999 last")
    assert len(problem) < 900


def test_the_agent_does_what_the_host_has_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = fake(tmp_path, monkeypatch, "echo right; exit 42")
    row = next(row for row in table.load().rows if row.program == "hello")
    (tmp_path / "a.json").write_text(json.dumps({"row": asdict(row), "place": asdict(place)}))
    agent._do(tmp_path / "a.json")
    assert json.loads((tmp_path / "a.result").read_text())["problem"] == ""
    (tmp_path / "b.json").write_text("{}")
    agent._do(tmp_path / "b.json")
    assert "the agent failed" in json.loads((tmp_path / "b.result").read_text())["problem"]


def test_the_outer_guest_gets_its_modules_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files = {"kvm_amd": module("kvm"), "kvm": module(), "9p": module(), "floppy": module()}
    for name, data in files.items():
        (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(outer, "_BUSYBOX", tmp_path / "kvm")
    found = kernel.Kernel("6.1", tmp_path, {name: tmp_path / name for name in files})
    entries = {one.path: one.data for one in cpio.members(outer.initramfs(found, "npt=0"))}
    assert entries["modules.list"] == b"9p\nkvm\nkvm_amd npt=0\n"
    assert entries["modules/kvm.ko"] == files["kvm"] and "modules/floppy.ko" not in entries
    monkeypatch.setattr(outer, "_BUSYBOX", tmp_path / "none")
    with pytest.raises(UkccError, match="none is not there"):
        outer.initramfs(found, "")


def test_an_outer_guest_that_does_not_start(tmp_path: Path) -> None:
    """By a program in the place of its emulator; the first line of a failure is told."""
    for name in ("kvm_amd", "image"):
        (tmp_path / name).write_bytes(module())
    found = kernel.Kernel("6.1", tmp_path / "image", {"kvm_amd": tmp_path / "kvm_amd"})
    emulator = tmp_path / "qemu"
    emulator.write_text("#!/bin/sh\necho no such machine >&2\nexit 1\n")
    emulator.chmod(0o755)
    if not outer._BUSYBOX.is_file():
        pytest.skip("no busybox here")
    wanted = outer.Wanted(1, "", str(emulator))
    with (
        pytest.raises(UkccError, match="QEMU failed: no such machine"),
        outer.started(found, tmp_path / "work", wanted),
    ):
        pass
    subprocess.run(["sh", "-n", tmp_path / "work" / "jobs" / "agent.sh"], check=True)
    with (
        pytest.raises(UkccError, match="nowhere: No such file"),
        outer.started(found, tmp_path / "work", outer.Wanted(1, "", "/nowhere")),
    ):
        pass


def test_the_shell_of_the_outer_guest_parses() -> None:
    subprocess.run(["sh", "-n", table.HERE / "init.sh"], check=True)
