"""The reference and the man pages are those of the commands as they are."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[3] / "docs"


def test_they_are_current() -> None:
    # of their own process: click keeps, for each command, the help option of its first call
    code = "import json, cli_pages; print(json.dumps(cli_pages.pages()))"
    environment = {**os.environ, "PYTHONPATH": str(DOCS.parent / "tests")}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE)
    wanted = json.loads(done.stdout)
    found = {f"man/{path.name}": path.read_text() for path in (DOCS / "man").glob("*.1")}
    found["commands.md"] = (DOCS / "commands.md").read_text()
    assert found == wanted, "run `make cli-pages`"


def test_each_command_has_a_page() -> None:
    assert (DOCS / "man" / "ukcc-run.1").is_file()
    assert (DOCS / "man" / "ukcc-sysroot-import.1").is_file()


@pytest.mark.skipif(not shutil.which("groff"), reason="no groff to read them")
@pytest.mark.parametrize("page", sorted((DOCS / "man").glob("*.1")), ids=lambda page: page.stem)
def test_groff_has_nothing_to_say(page: Path) -> None:
    argv = ["groff", "-man", "-Kutf8", "-Tutf8", "-P-cbou", "-ww", page]
    done = subprocess.run(argv, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.count("SYNOPSIS")
