"""An archive that needs another, which only pkg-config knows; and what is said when nobody does."""

from pathlib import Path

import pytest
import twin

SOURCES = {
    "main.c": "int outer(void); int main(void) { return outer(); }\n",
    "outer.c": "int inner(void); int outer(void) { return inner() + 1; }\n",
    "inner.c": "int inner(void) { return 41; }\n",
}
PC = """
Name: outer
Description: needs inner
Version: 1
Libs: -L{here} -louter
Libs.private: -linner
"""


@pytest.fixture
def shell(tmp_path: Path):
    for name, text in SOURCES.items():
        (tmp_path / name).write_text(text)

    def run(line: str, **environ: str):
        given = {"PKG_CONFIG_PATH": str(tmp_path), "UKCC_PLAIN": "1", **environ}
        return twin.shell(f"set -e; {line}", tmp_path, **given)

    made = run("uk-gcc -c *.c; ar rc libouter.a outer.o; ar rc libinner.a inner.o")
    assert made.returncode == 0, made.stderr
    return run


@pytest.mark.parametrize("name", ["outer", "libouter"])
def test_pkg_config_names_what_an_archive_needs(shell, tmp_path, name):
    (tmp_path / f"{name}.pc").write_text(PC.format(here=tmp_path))
    done = shell("uk-gcc main.o -L. -louter -o program; ./program", UKCC_LOG="log")
    assert (done.returncode, done.stderr) == (42, b"")
    assert b"INTERP" not in shell("readelf -lW program").stdout
    links = [line for line in (tmp_path / "log").read_text().splitlines() if " link: " in line]
    assert [line.endswith("-louter -linner") for line in links] == [False, True]


def test_without_it_the_dynamic_link_speaks(shell):
    done = shell("uk-gcc main.o -L. -louter -o program")
    real = shell("gcc main.o -L. -louter -o program")
    assert done.returncode == real.returncode == 1
    assert done.stderr == real.stderr
    assert b"undefined reference to `inner'" in done.stderr


def test_a_shared_library_that_knows_it_makes_a_dynamic_program(shell, tmp_path):
    """No archive of `inner` is left; the shared `outer` names the shared one by itself."""
    done = shell(
        "rm libinner.a; gcc -shared -fPIC inner.c -o libinner.so;"
        "gcc -shared -fPIC outer.c -o libouter.so -L. -linner;"
        "uk-gcc main.o -L. -louter -Wl,-rpath-link,. -o program; LD_LIBRARY_PATH=. ./program"
    )
    assert (done.returncode, done.stderr) == (42, b"")
    assert b"INTERP" in shell("readelf -lW program").stdout
