"""What a recipe may say, and the one line for each mistake."""

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from ukcc.errors import UkccError
from ukcc.ports import recipe
from ukcc.ports.command import command
from ukcc.ports.recipe import load_all, load_named, parse

DIGEST = "0" * 64
PLACE = Path("ports/hello")


def table(**changes: Any) -> dict[str, Any]:
    """A recipe; a change of None takes a key away, `part_key` is of the table `part`."""
    whole: dict[str, Any] = {
        "title": "Hello",
        "licence": "MIT",
        "source": {"package": "hello", "version": "1", "sha256": {"hello_1.dsc": DIGEST}},
        "build": {"system": "autotools"},
        "image": {"hello": {"program": "hello"}},
        "test": [{"what": "greets", "stdout": "Hello", "boot": {"image": "hello"}}],
    }
    for path, value in changes.items():
        *parts, key = path.split("__")
        place = whole
        for part in parts:
            place = place[int(part)] if isinstance(place, list) else place[part]
        if value is None:
            del place[key]
        else:
            place[key] = value
    return whole


def test_the_smallest() -> None:
    found = parse(PLACE, table())
    assert (found.name, found.file) == ("hello", PLACE / "port.toml")
    assert found.image["hello"].program == "hello"
    assert found.test[0].boot == recipe.Boot("hello")


WRONG = {
    "an unknown key": ({"titel": "x"}, "titel: no such key; the nearest is title"),
    "one below": ({"build__jobs": 1}, "build.jobs: no such key"),
    "its own name": ({"name": "x"}, "name: is that of the recipe's directory"),
    "no title": ({"title": None}, "title is missing"),
    "a number for a text": ({"title": 3}, "title: it takes str, not int"),
    "two sources": ({"source__url": "https://x/y.tar"}, "source: one of package and url"),
    "binary, but no package": (
        {"source": {"url": "file:///x", "binary": True, "version": "1", "sha256": {"x": DIGEST}}},
        "source.binary: is of a package",
    ),
    "no version": ({"source__version": ""}, "source.version is missing"),
    "no digests": ({"source__sha256": {}}, "source.sha256: every file has one"),
    "half a digest": ({"source__sha256": {"a": "12"}}, "source.sha256: a: not a SHA-256"),
    "the digest of another file": (
        {"source__package": "", "source__url": "https://x/y.tar"},
        "source.sha256: has to be of the url's file",
    ),
    "an unknown build system": ({"build__system": "ant"}, "build.system: 'ant' is not one of"),
    "a script without lines": ({"build__system": "script"}, "build.script: belongs to"),
    "lines without a script": ({"build__script": ["x"]}, "build.script: belongs to"),
    "a script with goals": (
        {"build": {"system": "script", "script": ["x"], "goals": ["all"]}},
        "build: a script has no arguments",
    ),
    "a patch without a reason": ({"patch": [{"file": "a", "why": " "}]}, "why is missing"),
    "no test": ({"test": []}, "test: a port with an image has a test"),
    "a test of nothing": ({"test": [{"what": "x"}]}, "test[0]: it asserts nothing"),
    "a boot that is not looked at": (
        {"test": [{"what": "x", "boot": {"image": "hello"}}]},
        "test[0]: it asserts nothing",
    ),
    "a status of nothing": (
        {"test": [{"what": "x", "run": ["true"], "status": 1}]},
        "test[0]: stdin, stdout, status and stop are those of a boot",
    ),
    "a boot of no image": (
        {"test__0__boot": {"image": "helo"}},
        "test[0].boot.image: there is no [image.helo]",
    ),
    "no expression": ({"test__0__stdout": "("}, "test[0].stdout: not a regular expression"),
    "a suite without names": (
        {"suite": {"what": "x", "process": [], "unikernel": [], "passed": "a", "failed": "b"}},
        "suite.failed: one group, the name",
    ),
}


@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_wrong(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UkccError) as caught:
        parse(PLACE, table(**changes))
    assert message in caught.value.message


def test_a_directory_of_recipes(tmp_path: Path) -> None:
    with pytest.raises(UkccError, match="no such directory"):
        load_all(tmp_path / "none")
    assert load_all(tmp_path) == {}
    (tmp_path / "a").mkdir()
    file = tmp_path / "a" / "port.toml"
    file.write_text("title = 3")
    with pytest.raises(UkccError) as caught:
        load_all(tmp_path)
    assert caught.value.message == f"{file}: title: it takes str, not int"


def test_those_that_come_with_ukcc_are_right() -> None:
    known = load_all(recipe.recipes_directory(None))
    assert {"redis", "nginx", "lua", "postgresql"} <= {n for n, one in known.items() if one.ci}


def test_recipes_by_name(tmp_path: Path) -> None:
    """A mistake in another recipe is no matter; what a port depends on is another's no more."""
    text = """title = "T"
licence = "MIT"
source = {{ package = "p", version = "1", sha256 = {{ "p_1.dsc" = "{digest}" }} }}
build = {{ system = "make" }}
depends = {depends}
"""
    recipes = {
        "a": "[]",
        "b": '["a"]',
        "c": '["broken"]',
        "d": '["e"]',
        "f": '["a", "b"]',
        "broken": "{",
    }
    for name, depends in recipes.items():
        (tmp_path / name).mkdir()
        file = tmp_path / name / "port.toml"
        file.write_text(text.format(digest=DIGEST, depends=depends))
    assert list(load_named(tmp_path, ["b", "b"])) == ["b", "a"]
    assert sorted(load_named(tmp_path, ["f"])) == ["a", "b", "f"]
    assert list(load_named(tmp_path, ["a"])) == ["a"]
    for name, message in {
        "bb": "bb: no such port; the nearest is b",
        "c": f"{tmp_path}/broken/port.toml: ",
        "d": f"{tmp_path}/d/port.toml: depends: no port 'e'",
    }.items():
        with pytest.raises(UkccError) as caught:
            load_named(tmp_path, [name])
        assert caught.value.message.startswith(message)


def test_packages_are_those_of_what_it_depends_on_too(tmp_path: Path) -> None:
    text = """title = "T"
licence = "MIT"
source = {{ package = "p", version = "1", sha256 = {{ "p_1.dsc" = "{digest}" }} }}
build = {{ system = "make", packages = {packages} }}
depends = {depends}
"""
    for name, depends, packages in (
        ("b", '["a"]', '["flex"]'),
        ("c", '["a", "b"]', '["perl"]'),
        ("a", "[]", '["bison", "perl"]'),
    ):
        (tmp_path / name).mkdir()
        file = tmp_path / name / "port.toml"
        file.write_text(text.format(digest=DIGEST, depends=depends, packages=packages))
    for name, wanted in {"c": "bison flex perl", "b": "bison flex perl", "a": "bison perl"}.items():
        done = CliRunner().invoke(command, ["--ports", str(tmp_path), "packages", name])
        assert (done.exit_code, done.output.split()) == (0, wanted.split())
