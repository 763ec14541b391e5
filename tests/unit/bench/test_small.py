"""The table of kernels: what is missed, how it is written, how the smallest memory is found."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from bench import reached, small
from bench.kernels import COLUMNS, GENERAL, Row, figures, host_line, markdown, misses
from bench.made import link_others
from bench.programs import PROGRAMS, Program
from bench.reached import Trial, smallest

from ukcc.errors import UkccError
from ukcc.pictures.boot import BootChart
from ukcc.pictures.box import Box
from ukcc.ports.recipe import load_named, recipes_directory

ROW = Row(
    program="hello",
    kernel="size",
    kernel_bytes=2_187_428,
    kernel_zstd=560_000,
    image_bytes=4_500_472,
    image_zstd=1_000_001,
    calls=112,
    calls_needed=99,
    memory=9,
    memory_attended=25,
    memory_stated=20,
    instructions=31_055_936,
    known_class=12.34,
)
TARGETS = {"kernel_bytes": 1.6e6, "kernel_zstd": 560e3, "memory": 6, "instructions": 8e6}


def test_what_is_above_its_target_is_missed_by_the_difference() -> None:
    found = {miss.field: miss for miss in misses(ROW, TARGETS)}
    assert set(found) == {"kernel_bytes", "memory", "instructions"}
    assert found["kernel_bytes"].by == 587_428
    assert str(found["kernel_bytes"]) == (
        "hello, size: kernel 2,187,428 bytes, 587,428 (37 %) above 1,600,000"
    )
    assert str(found["memory"]) == "hello, size: smallest -m 9 MiB, 3 (50 %) above 6"
    # what was not measured is not missed, nor is it met
    assert list(misses(replace(ROW, memory=None), {"memory": 6})) == []


def test_the_table_has_a_cell_for_each_column() -> None:
    unknown = Row("Redis", GENERAL, kernel_bytes=8_015_872)
    lines = markdown([ROW, unknown]).splitlines()
    assert {line.count(" | ") for line in lines} == {len(COLUMNS) + 1}
    assert lines[2] == (
        "| hello | size | 2,187,428 | 560,000 | 4,500,472 | 1,000,001 | 112 | 99 | 9 | 25 | 20"
        " | 31.1 M | — | 12 |"
    )
    assert lines[3].startswith("| Redis | general | 8,015,872 | — | — | — | — | all | — |")


def test_the_host_is_named() -> None:
    cpuinfo = "processor\t: 0\nmodel name\t: A  CPU @ 2 GHz\nprocessor\t: 1\nmodel name\t: A\n"
    assert host_line("2026-11-30", cpuinfo, 2, 2.4) == (
        "Measured on 2026-11-30, on 2 CPUs of A  CPU @ 2 GHz."
    )
    assert "others kept it busy (load 9)" in host_line("2026-11-30", cpuinfo, 2, 9.1)
    assert "a CPU without a name" in host_line("2026-11-30", "", 2, 0)


def test_figures_are_those_that_were_measured() -> None:
    found = {figure.name: figure for figure in figures(ROW, TARGETS)}
    assert len(found) == len(COLUMNS) - 1  # no new class
    kernel = found["hello, size: kernel"]
    assert (kernel.value, kernel.unit, kernel.target) == (2_187_428, "bytes", "at most 1,600,000")
    assert found["hello, size: specialise, known class"].target == ""


@pytest.mark.parametrize("right", [1, 2, 7, 99, 100])
def test_the_smallest_that_works(right: int) -> None:
    asked: list[int] = []

    def works(number: int) -> bool:
        asked.append(number)
        return number >= right

    assert smallest(works, 100) == right
    assert len(asked) <= 7 and 100 not in asked


def test_programs_are_those_of_ports_and_their_targets_are_columns() -> None:
    known = {column.field for column in COLUMNS}
    for program in PROGRAMS:
        assert set(program.targets) <= known
        assert bool(program.source) != bool(program.recipe)
        assert program.ready or program.question
        if program.recipe:
            recipe = load_named(recipes_directory(None), [program.recipe])[program.recipe]
            assert program.image in recipe.image
        assert not program.config or Path(program.config_file).is_file()


def test_targets_are_of_one_kernel_of_a_program() -> None:
    two = Program("two", source="…", goals=("size", "speed"), judged="speed")
    assert [k for k in (GENERAL, "size", "speed") if two.is_judged(k)] == ["speed"]
    one = Program("one", source="…")
    assert [k for k in (GENERAL, "size") if one.is_judged(k)] == ["size"]


def test_an_unknown_program_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UkccError, match="no such program: emacs"):
        small.measure(tmp_path, small.Options(print, ("emacs",)))


def test_a_missed_target_names_what_holds_it(tmp_path: Path) -> None:
    kernel = Box("kernel", 0, (Box("fs", 300_000), Box("mm", 0, (Box("slub.c", 500_000),))))
    archive = Box("archive", 0, (Box("/init", 700_000),))
    application = Box("application", 0, (Box("(no name)", 5, (Box("a", 30), Box("b", 25))),))
    tree = Box("hello", 0, (application, archive, kernel))
    chart = BootChart(Box("boot", 0, (Box("timers", 2_000_000), Box("init", 9_000_000))), 1, "main")
    program = Program("hello", source="…", targets={**TARGETS, "image_bytes": 1e6})
    table = small.Table()
    table.measured.append(small.Measured(program, ROW, tree, chart))
    table.problems.append("nginx: it does not boot")
    lines = list(table.lines(tmp_path / "pictures"))
    by_what = {line.split(": ")[1].split()[0]: line for line in lines[2:]}
    assert "Largest: mm 500.0 kB (slub.c 500.0 kB), fs 300.0 kB." in by_what["kernel"]
    assert "Largest: init 9.0 M, timers 2.0 M." in by_what["instructions"]
    assert "archive 700.0 kB (/init 700.0 kB), application 0.1 kB (a 0.0 kB)." in by_what["image"]
    assert "kernel 800.0 kB (slub.c 500.0 kB), archive 700.0 kB" in by_what["smallest"]
    assert "application" not in by_what["smallest"] and "application" in by_what["image"]
    assert "[Chart](pictures/hello-size-boot.svg)" in by_what["image"]
    assert lines[-1] == "- Not measured: nginx: it does not boot"


def test_a_store_has_all_but_what_is_its_own(tmp_path: Path) -> None:
    for name in ("sysroots", "kernels", "ports"):
        (tmp_path / "store" / name).mkdir(parents=True)
    (tmp_path / "home").mkdir()
    link_others(tmp_path / "store", tmp_path / "home", {"kernels"})
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["ports", "sysroots"]
    assert (tmp_path / "home" / "ports").resolve() == tmp_path / "store" / "ports"


PRETENDER = """
import sys, time
print("starts", flush=True)
if int(sys.argv[1]) < 23:
    sys.exit("no memory")
if int(sys.argv[1]) < 40:
    time.sleep(60)
print("ready", flush=True)
time.sleep(60)
"""


def test_a_machine_is_ended_when_its_program_is_ready_and_when_it_is_late(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pretender in QEMU's place: it ends with too little memory, and hangs with a little more."""

    def make(trial: Trial, memory_mib: int, port: int) -> reached.Command:
        return [sys.executable, "-c", PRETENDER, str(memory_mib)], os.environ

    ways: Callable[..., int] = reached.smallest_memory
    monkeypatch.setattr(reached, "_bare", make)
    monkeypatch.setattr(reached, "_LATER", 1.0)
    monkeypatch.setattr(reached.Trial, "usual_mib", 64)
    program = Program("pretender", source="…", ready="^ready$")
    assert ways(Trial(program, tmp_path / "image", tmp_path), attended=False) == 40
    never = replace(program, ready="^never$")
    monkeypatch.setattr(reached, "_FIRST", 1.0)
    with pytest.raises(UkccError, match="not ready with 64 MiB, bare: 'starts"):
        ways(Trial(never, tmp_path / "image", tmp_path), attended=False)


def test_another_memory_for_the_words_of_a_run(tmp_path: Path) -> None:
    wrapper = tmp_path / "qemu"
    show = "import json, sys; print(json.dumps(sys.argv[1:]))"
    (tmp_path / "show").write_text(f"#!{sys.executable}\n{show}\n")
    (tmp_path / "show").chmod(0o755)
    wrapper.write_text(reached.with_memory(str(tmp_path / "show"), 7))
    wrapper.chmod(0o755)
    words = ["-append", "a  b", "-m", "128M", "-x", "-m 3"]
    done = subprocess.run([wrapper, *words], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["-append", "a  b", "-m", "7M", "-x", "-m 3"]
