"""`ukcc boot-chart`: what it counts is what is executed, and where it belongs."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.boots import Build

from ukcc.counting.counter import begin_of, counter
from ukcc.counting.until import run_until
from ukcc.image.elf import open_elf
from ukcc.pictures import phases

BIN = Path(sys.executable).parent
HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 42; }\n'
MACHINE = ("--machine", "microvm", "--net", "none")
DEADLINE = 900.0  # seconds; counting is slow, and other tests compute


def ukcc(*words: "str | Path", status: int = 0) -> str:
    done = subprocess.run([BIN / "ukcc", *words], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == status, done.stderr
    return done.stderr if status else done.stdout


@pytest.fixture(scope="module")
def chart(build_image: Build) -> dict[str, Any]:
    document = json.loads(ukcc("boot-chart", "--json", *MACHINE, build_image(HELLO, name="hello")))
    assert isinstance(document, dict)
    return document


def sizes(chart: dict[str, Any]) -> dict[str, int]:
    return {phase["name"]: phase["size"] for phase in chart["tree"]["children"]}


def find(box: dict[str, Any], name: str) -> "dict[str, Any] | None":
    if box["name"] == name:
        return box
    return next((found for c in box.get("children", ()) if (found := find(c, name))), None)


def test_phases_add_up_and_none_is_unknown(chart: dict[str, Any]) -> None:
    found = sizes(chart)
    assert chart["until_main"] and sum(found.values()) == chart["total"]
    for phase in (
        *(phases.FIRMWARE, phases.EARLY, phases.CORE, phases.MEMORY, phases.TIMERS, phases.CHECK),
        *(phases.UNPACK, phases.PROTECT, phases.THREADS, phases.INIT, phases.EXEC, phases.PROGRAM),
        *(phases.of_level(level) for level in ("early", "1", "4", "6", "7")),
    ):
        assert found[phase] > 0, phase
    # what has no better name
    assert found[phases.CORE] < 2_000_000


def test_functions_have_what_they_executed(chart: dict[str, Any]) -> None:
    tree = chart["tree"]
    for function in ("mm_core_init", "do_populate_rootfs", "acpi_init", "__libc_init_first"):
        assert find(tree, function), function
    kernel = find(tree, "start_kernel")
    assert kernel and kernel["times"] == 1


def test_the_total_is_what_a_plain_count_is(
    chart: dict[str, Any], build_image: Build, tmp_path: Path
) -> None:
    """Counted without calls. When QEMU tells of a port of the console is not counted in
    instructions, and its million may come after `main`: so the nearest of three counts."""
    image = build_image(HELLO, name="hello")
    with open_elf(image) as elf:
        begin = begin_of(elf, elf.symbol("main"))
    exact = pytest.approx(chart["total"], rel=0.01)
    for _ in range(3):
        counted = counter(tmp_path, begin.words, is_exact=True)
        run_until(lambda c=counted: bool(c.at_entry()), counted, MACHINE, image, tmp_path)  # type: ignore[misc]
        if counted.at_entry() == exact:
            return
    pytest.fail(f"{counted.at_entry():,} without calls, {chart['total']:,} with them")


def test_what_a_dynamic_program_does_before_main_is_seen(build_image: Build) -> None:
    """The loader's functions, and a constructor that takes its time, called by a library."""
    slow = """
#include <dlfcn.h>
static volatile unsigned long sum;
__attribute__((constructor)) static void slow(void)
{
	for (int i = 0; i < 1000000; i++)
		sum += i;
}
int main(int argc, char **argv) { return argc > 5 && dlopen(argv[1], RTLD_NOW); }
"""
    image = build_image(slow, name="slow")
    document = json.loads(ukcc("boot-chart", "--json", *MACHINE, image))
    found = find(document["tree"], "slow")
    assert found and 3_000_000 < found["size"] < 10_000_000
    start = find(document["tree"], phases.PROGRAM)
    assert start and start["children"][0]["name"] == "(shared library)"
    loader = find(document["tree"], phases.EXEC)
    assert loader and find(loader, "_dl_relocate_object")


WAITS = """
#include <poll.h>
#include <sys/epoll.h>
static volatile unsigned long sum;
__attribute__((noinline)) static void work(void)
{
	for (int i = 0; i < 1000000; i++)
		sum += i;
}
int main(void)
{
	struct epoll_event event;
	int fd = epoll_create1(0);
	work();
	return epoll_wait(fd, &event, 1, -1);
}
"""


def test_a_server_is_counted_until_it_waits(build_image: Build) -> None:
    """What it does after `main` is counted then, and it would wait for ever."""
    image = build_image(WAITS, name="waits")
    document = json.loads(ukcc("boot-chart", "--json", "--until", "epoll_wait", *MACHINE, image))
    assert document["end"] == "the program's first epoll_wait" and not document["until_main"]
    start = next(p for p in document["tree"]["children"] if p["name"] == phases.PROGRAM)
    found = find(start, "work")
    assert found and found["times"] == 1 and 3_000_000 < found["size"] < 10_000_000
    to_main = json.loads(ukcc("boot-chart", "--json", *MACHINE, image))
    assert find(to_main["tree"], "work") is None
    assert document["total"] - to_main["total"] == pytest.approx(found["size"], rel=0.5)


def test_a_call_that_the_program_shares_with_init(build_image: Build) -> None:
    """init makes this one before the program begins; that is not the end."""
    image = build_image(HELLO, name="hello")
    document = json.loads(ukcc("boot-chart", "--json", "--until", "write", *MACHINE, image))
    assert phases.PROGRAM in sizes(document)


def test_two_images_and_the_table(build_image: Build) -> None:
    image = build_image(HELLO, name="hello")
    lines = ukcc("boot-chart", *MACHINE, image, image).splitlines()
    assert lines[0].startswith("hello to hello: ")
    # the same but for what depends on chance: addresses, seeds
    assert abs(int(lines[0].split()[3].replace(",", ""))) < 5_000_000


def test_what_cannot_be_charted_is_one_line(build_image: Build, tmp_path: Path) -> None:
    image = build_image(HELLO, name="hello")
    unknown = ukcc("boot-chart", "--until", "no_such", *MACHINE, image, status=1)
    assert "--until no_such" in unknown and len(unknown.splitlines()) == 1
    assert "one CPU" in ukcc("boot-chart", "--smp", "2", image, status=125)
    error = ukcc("boot-chart", "-m", "1", image, status=1)
    assert len(error.splitlines()) == 1 and "-m 1" in error
    text = tmp_path / "text"
    text.write_text("no image")
    assert len(ukcc("boot-chart", text, status=125).splitlines()) == 1
