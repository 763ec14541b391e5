"""The reference and the man pages are those of the commands as they are."""

import shutil
import subprocess
from pathlib import Path

import cli_pages
import pytest

DOCS = Path(__file__).parents[3] / "docs"


def test_they_are_current() -> None:
    wanted = cli_pages.pages()
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
