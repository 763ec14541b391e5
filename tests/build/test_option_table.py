"""The option table against the compiler itself: each option it knows is tried on it.

The driver's executable holds the names of all options of all languages.
"""

import os
import re
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ukcc.cc import options
from ukcc.cc.parse import INPUT, Invocation, parse
from ukcc.cc.toolchain import find_compiler

FOLLOWING = "/nonexistent/following.c"
IS_INPUT = f"error: {FOLLOWING}: No such file"
NO_INPUT = "no input files"
# The driver's own way of turning --name into -fname, -mname and so on.
MAPPED = [
    "--machine=32",
    "--machine-32",
    "--machine=x32",
    "--syntax-only",
    "--freestanding",
    "--lto",
]


def ask(*words: str, cwd: Path) -> str:
    done = subprocess.run(
        [find_compiler("gcc", os.environ), *words],
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
    )
    return done.stderr


@pytest.fixture(scope="module")
def names() -> "list[str]":
    driver = Path(find_compiler("gcc", os.environ)).resolve().read_bytes()
    found = re.findall(rb"\0(--?[A-Za-z][\w+=,-]*|-###)(?=\0)", driver)
    names = sorted({word.decode() for word in found} | set(options.TABLE) | set(MAPPED))
    assert len(names) > 1500, "the driver's executable does not hold its options"
    return names


def in_parallel(function: "Callable[[str], str]", names: "list[str]") -> "dict[str, str]":
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(function, names), strict=True))


def test_a_word_behind_an_option_is_read_as_gcc_reads_it(
    names: "list[str]", tmp_path: Path
) -> None:
    # Each option is behind -c, so that none of them links.
    answers = in_parallel(lambda name: ask("-c", name, FOLLOWING, cwd=tmp_path), names)
    wrong = []
    for name, answer in answers.items():
        arguments = parse(["-c", name, FOLLOWING]).arguments
        taken = all(a.value != FOLLOWING for a in arguments if a.meaning == INPUT)
        # What the driver does not know, it may follow by "no input files", too.
        if re.search("unrecognized|missing|not recognized", answer):
            continue
        if (IS_INPUT in answer and taken) or (NO_INPUT in answer and not taken):
            wrong.append(name)
    assert sum(IS_INPUT in answer for answer in answers.values()) > 1000
    assert sum(NO_INPUT in answer for answer in answers.values()) > 30
    assert wrong == []


def test_an_option_stops_before_the_link_as_in_gcc(names: "list[str]", tmp_path: Path) -> None:
    (tmp_path / "a.c").touch()
    # No option of these families is another mode, and they are most.
    asked = [n for n in names if not re.match("-[Wm]|--param|-f[a-m]|-f[no]", n)]
    answers = in_parallel(lambda name: ask("-###", name, "a.c", cwd=tmp_path), asked)
    wrong = []
    for name, answer in answers.items():
        if "error:" in answer or NO_INPUT in answer:
            continue
        links = bool(re.search("^ .*collect2", answer, re.MULTILINE))
        if links != ours_links(parse([name, "a.c"])):
            wrong.append(name)
    # These end before any stage; -### has the driver show them all the same.
    assert wrong == ["--help", "--target-help", "--version", "-ftarget-help", "-fversion"]


def ours_links(invocation: Invocation) -> bool:
    stops = invocation.stage or invocation.query or invocation.headers_only
    return bool(invocation.inputs) and not stops


KINDS = [
    # words, the Python expression of what the compiler is told: seen in the linker's words
    (["-shared"], "-shared"),
    (["--shared"], "-shared"),
    (["-static-pie"], "--no-dynamic-linker"),
    (["--static-pie"], "--no-dynamic-linker"),
    (["-pie"], "-pie"),
    (["--pie"], "-pie"),
    (["-r"], "-r"),
    (["-Wl,-r"], "-r"),
    (["--for-linker=-shared"], "-shared"),
]


@pytest.mark.parametrize(("words", "told"), KINDS, ids=[" ".join(words) for words, _ in KINDS])
def test_kinds_of_link(words: "list[str]", told: str, tmp_path: Path) -> None:
    (tmp_path / "a.c").touch()
    answer = ask("-###", *words, "a.c", cwd=tmp_path)
    linker = next(line for line in answer.splitlines() if "collect2" in line)
    assert told in linker.replace('"', "").split()
    read = parse([*words, "a.c"])
    kinds = {
        "-shared": read.link_kind == options.SHARED,
        "--no-dynamic-linker": read.link_kind == options.STATIC_PIE,
        "-pie": read.link_kind == options.PIE,
        "-r": read.relocatable,
    }
    assert [name for name, is_so in kinds.items() if is_so] == [told]
