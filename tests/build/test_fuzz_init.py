"""The fuzzers' targets in C over their committed corpora, built by gcc: no fuzzer is needed."""

import subprocess
from pathlib import Path

import pytest
from fuzz import building, engine
from fuzz.table import TARGETS, Target


@pytest.mark.parametrize("target", [t for t in TARGETS if t.is_c], ids=lambda target: target.name)
def test_a_target_takes_its_corpus(target: Target, tmp_path: Path) -> None:
    nothing = tmp_path / "nothing"
    nothing.touch()
    words = [building.runner(target, tmp_path), nothing, *sorted(target.seeds.iterdir())]
    done = subprocess.run(words, env=engine.environment(), capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
