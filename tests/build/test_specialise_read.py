"""What `ukcc specialise` counts beside the code of the image."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.twin import BIN

HELLO = '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n'

STARTS = """
#include <unistd.h>
int main(int argc, char **argv) { return execv("/bin/second", argv); }
"""

SECOND = """
#include <sys/epoll.h>
#include <sys/file.h>
int main(void) { return flock(0, LOCK_SH) + epoll_create1(0); }
"""


def linked(directory: Path, source: str, name: str, compiler: str = str(BIN / "uk-gcc")) -> Path:
    (directory / f"{name}.c").write_text(source)
    words = [compiler, "-O2", "-static", f"{name}.c", "-o", name]
    subprocess.run(words, cwd=directory, check=True)
    return directory / name


def report(image: Path) -> dict[str, Any]:
    words = [sys.executable, BIN / "ukcc", "specialise", "-n", "--json", image]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert isinstance(found, dict)
    return found


def test_programs_that_come_with_the_settings_count(tmp_path: Path) -> None:
    image = linked(tmp_path, STARTS, "app")
    second = linked(tmp_path, SECOND, "second", "gcc")
    before = report(image)
    assert "locks" not in before["features"] and "flock" not in before["calls"]
    (tmp_path / "uk.toml").write_text(f'[files]\n"/bin/second" = "{second}"\n')
    found = report(image)
    assert found["features"]["locks"].startswith("flock in /bin/second")
    assert {"flock", "epoll_create1"} <= set(found["calls"])


def test_a_directory_and_a_file_in_the_place_of_the_images(tmp_path: Path) -> None:
    """Runs without the settings have the image's own, so that both count."""
    tree = tmp_path / "tree"
    tree.mkdir()
    linked(tree, SECOND, "second", "gcc")
    linked(tmp_path, STARTS, "other", "gcc")
    (tmp_path / "link.toml").write_text('[files]\n"/bin/second" = "other"\n')
    (tmp_path / "app.c").write_text(HELLO)
    words = ["env", "UKCC_CONFIG=link.toml", BIN / "uk-gcc", "-static", "app.c", "-o", "app"]
    subprocess.run(words, cwd=tmp_path, check=True)
    (tmp_path / "uk.toml").write_text('[files]\n"/bin" = "tree"\n')
    found = report(tmp_path / "app")
    assert found["features"]["scripts"].startswith("execve in /bin/second")
    assert found["features"]["locks"].startswith("flock in /bin/second")


@pytest.mark.parametrize(("source", "is_said"), [(STARTS, True), (HELLO, False)])
def test_what_nobody_looked_into_is_said(tmp_path: Path, source: str, is_said: bool) -> None:
    """A shared directory may have programs; that matters to one that starts programs."""
    image = linked(tmp_path, source, "app")
    (tmp_path / "uk.toml").write_text(f'volume = ["{tmp_path}:/more"]\n')
    assert len(report(image)["unseen"]) == is_said
    said = subprocess.run(
        [BIN / "ukcc", "specialise", "-n", image], capture_output=True, text=True, check=True
    )
    place = f"volume in {tmp_path / 'uk.toml'}"
    assert (f"not seen: programs and libraries of {place}" in said.stdout) == is_said


# What Debian's packages are compiled with has other names for the same functions.
FORTIFIED = """
#include <stdlib.h>
#include <syslog.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    gid_t groups[8];
    syslog(LOG_INFO, "%s", argv[0]);
    return getgroups(atoi(argv[argc - 1]), groups) < 0;
}
"""


def test_a_fortified_program_asks_for_the_same(tmp_path: Path) -> None:
    (tmp_path / "app.c").write_text(FORTIFIED)
    words = [BIN / "uk-gcc", "-O2", "-D_FORTIFY_SOURCE=2", "app.c", "-o", "app"]
    subprocess.run(["env", "UKCC_LINK=dynamic", *words], cwd=tmp_path, check=True)
    names = subprocess.run(["nm", "-D", "app"], cwd=tmp_path, capture_output=True, text=True).stdout
    assert "__getgroups_chk" in names and "__syslog_chk" in names
    found = report(tmp_path / "app")["features"]
    assert {"users", "sockets", "unix"} <= found.keys()
