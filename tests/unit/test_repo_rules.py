"""Rules of the repository that a machine can keep."""

import ast
import re
import subprocess
from pathlib import Path

import pytest
import tomli

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(not (ROOT / "scripts").is_dir(), reason="not a checkout")


def project() -> dict:  # type: ignore[type-arg]
    table = tomli.loads((ROOT / "pyproject.toml").read_text())
    assert isinstance(table, dict)
    return table["project"]  # type: ignore[no-any-return]


def test_dependencies_are_ranges_and_say_why() -> None:
    """tests/unit/test_python_lock.py holds the exact versions to them."""
    text = (ROOT / "pyproject.toml").read_text()
    for requirement in project()["dependencies"]:
        assert re.fullmatch(r"[a-z0-9-]+>=[0-9.]+,<[0-9.]+", requirement)
        assert re.search(rf'"{re.escape(requirement)}",\s+# \w+', text), requirement


def test_system_packages_say_why() -> None:
    lines = (ROOT / "scripts" / "system-packages.txt").read_text().splitlines()
    packages = [line for line in lines if line and not line.startswith("#")]
    for line in packages:
        assert re.fullmatch(r"[a-z0-9.+-]+ +\S.*", line), line
    names = [line.split()[0] for line in packages]
    assert len(set(names)) == len(names)


def test_every_licence_named_has_its_text() -> None:
    named = re.split(r" AND | OR ", project()["license"])
    assert sorted(named) == sorted(path.stem for path in (ROOT / "LICENSES").glob("*.txt"))


def test_the_changelog_has_each_heading_once_and_in_order() -> None:
    """Those of Keep a Changelog, for each version."""
    order = ["Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"]
    versions = re.split(r"^## ", (ROOT / "CHANGELOG.md").read_text(), flags=re.M)[1:]
    assert versions
    for version in versions:
        headings = re.findall(r"^### (.*)$", version, re.M)
        assert headings == [name for name in order if name in headings], version[:40]


def test_modules_stay_small() -> None:
    for path in (ROOT / "ukcc").rglob("*.py"):
        assert len(path.read_text().splitlines()) < 400, path


@pytest.mark.parametrize("script", ["scripts/setup", ".ci/run"])
def test_scripts_are_executable_and_parse(script: str) -> None:
    path = ROOT / script
    assert path.stat().st_mode & 0o111
    subprocess.run(["bash", "-n", str(path)], check=True)


def test_a_class_name_means_one_thing() -> None:
    found: dict[str, list[str]] = {}
    for path in (ROOT / "ukcc").rglob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name, []).append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}
