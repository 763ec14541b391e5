"""The rig of `make install-check`: what it takes from README.md, and when it is content."""

from pathlib import Path

import debian_root
import install_check
import pytest
import python_lock
import tomli
from install_check import Step

from ukcc.debsource import Repository
from ukcc.errors import UkccError

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
DEBIAN = ROOT / "packaging" / "debian"
KEYS = "/usr/share/keyrings/k.gpg"


def test_the_first_screen() -> None:
    steps = install_check.first_screen(README)
    commands = [step.command for step in steps]
    assert commands[0] == "cat h.c" and "int main" in "".join(steps[0].printed)
    assert "./h x; echo $?" in commands and "ukcc run ./h x; echo $?" in commands
    names = install_check.packages(README)
    assert {"gcc", "qemu-system-x86", "python3-venv"} <= set(names)


def test_the_guide_and_the_container_name_the_same_packages() -> None:
    names = install_check.packages(README)
    assert f"apt-get install {' '.join(names)}\n" in (ROOT / "docs" / "install.md").read_text()
    container = (ROOT / "packaging" / "Containerfile").read_text().replace("\\\n", " ")
    installed = container.partition("--no-install-recommends")[2].partition("&&")[0].split()
    assert set(installed) == {*names, "make"}


def test_what_is_missing_is_found_out() -> None:
    step = Step("ukcc inspect h", ("h: static", "...", "  size   9,015,240 bytes", "  end"))
    right = "h: static\nanything\n  size   8,000,000 bytes\n  end\n"
    assert install_check.misses(step, right) == []
    assert install_check.misses(step, right.replace("end", "else")) == ["  end"]
    assert install_check.misses(step, right.replace("size", "Size"))[0].startswith("  size")
    assert install_check.misses(Step("x", ("hi 2 x", "42")), "hi 2 x\n") == ["42"]


def test_a_screen_that_goes_wrong_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    monkeypatch.setattr(install_check.time, "monotonic", lambda: now)
    steps = (Step("cat h.c", ("int x;",)), Step("ukcc run ./h", ("hi",)))
    typed: list[str] = []

    def run(line: str) -> str:
        typed.append(line)
        return "hi\n"

    install_check.play(run, steps, 0.0)
    assert typed == ["cat >h.c <<'END'\nint x;\nEND", "ukcc run ./h"]
    with pytest.raises(UkccError, match="printed"):
        install_check.play(lambda _: "ho\n", steps, 0.0)
    with pytest.raises(UkccError, match="boots nothing"):
        install_check.play(run, steps[:1], 0.0)
    now = install_check.SECONDS + 1.0
    with pytest.raises(UkccError, match="60 are allowed"):
        install_check.play(run, steps, 0.0)


def test_an_unknown_way() -> None:
    with pytest.raises(UkccError, match="no such way: snap"):
        install_check.main(["snap"])


def test_a_suite_comes_with_its_updates_and_security() -> None:
    host = (
        Repository("http://m.example/debian", "bookworm", ("main", "contrib"), KEYS),
        Repository("http://m.example/debian", "bookworm-updates", ("main",), KEYS),
        Repository("http://m.example/security", "bookworm-security", ("main",), KEYS),
        Repository("http://m.example/debian", "bookworm-backports", ("main",), KEYS),
        Repository("http://v.example/apt", "stable", ("contrib",), KEYS),
    )
    found = [f"{r.uri[17:]} {r.suite}" for r in debian_root.repositories(host, "trixie")]
    assert found == ["debian trixie", "debian trixie-updates", "security trixie-security"]
    assert [r.suite for r in debian_root.repositories(host, "unstable")] == ["unstable"]


def test_words_reach_the_program_in_the_root_as_they_are() -> None:
    words = debian_root.argv(Path("/a root"), ["sh", "-c", "echo 'a  b'"])
    assert words[-4:] == ["/a root", "sh", "-c", "echo 'a  b'"]


def test_the_debian_package_has_the_version_of_the_project() -> None:
    version = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert (DEBIAN / "changelog").read_text().startswith(f"ukcc ({version}-1) ")
    assert f"ukcc_{version}-1_amd64.deb" in (ROOT / "docs" / "install.md").read_text()


def test_the_licence_of_each_library_in_the_debian_package_is_told() -> None:
    text = (DEBIAN / "copyright").read_text()
    named = {
        name.strip()
        for line in text.splitlines()
        if line.startswith("Comment: package")
        for name in line.partition("package")[2].removeprefix("s").split(",")
    }
    assert named == set(python_lock.read(python_lock.RUN.file))
