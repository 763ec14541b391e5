"""From a recipe to commands, places and digests; the order of several ports; counting."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import tomli

from ukcc.errors import UkccError
from ukcc.hashing import sha256
from ukcc.ports import build, images, place, results, run, skeleton, sources, table, trial
from ukcc.ports.place import PortBuild
from ukcc.ports.recipe import (
    Boot,
    Build,
    ImageRecipe,
    Patch,
    PortSource,
    Recipe,
    Suite,
    Trial,
    parse,
)

DIGEST = "0" * 64


@pytest.fixture(autouse=True)
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    home = tmp_path / "store"
    (home / "sysroots" / "one").mkdir(parents=True)
    (home / "sysroots" / "current").symlink_to("one")
    monkeypatch.setenv("UKCC_HOME", str(home))
    monkeypatch.delenv("UKCC_SYSROOT", raising=False)
    return home


def recipe(name: str = "hello", *depends: str, **build: object) -> Recipe:
    return Recipe(
        name=name,
        directory=f"ports/{name}",
        title=name.title(),
        licence="MIT",
        source=PortSource({f"{name}_1.dsc": DIGEST}, package=name, version="1"),
        build=Build(**{"system": "autotools", **build}),  # type: ignore[arg-type]
        depends=depends,
        image={name: ImageRecipe(name)},
        test=(Trial("works", run=("true",)),),
    )


def known(*recipes: Recipe) -> Mapping[str, Recipe]:
    return {one.name: one for one in recipes}


def made(one: Recipe, *others: Recipe) -> PortBuild:
    return place.place(one, known(one, *others))


COMMANDS = {
    "autotools": (
        {
            "prepare": ("autoreconf",),
            "arguments": ("--with=$TREE",),
            "install": ("install",),
            "finish": ("strip P",),
        },
        ["autoreconf", "./configure --prefix=P --with=T", "make -j3", "make install", "strip P"],
    ),
    "make": (
        {"arguments": ("A=b c",), "goals": ("all",), "install": ("install", "PREFIX=$PREFIX")},
        ["make -j3 A=b c all", "make A=b c install PREFIX=P"],
    ),
    "cmake": (
        {"arguments": ("-DA=1",), "goals": ("x",)},
        [
            "cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DCMAKE_INSTALL_PREFIX=P -DA=1",
            "cmake --build build -j3 --target x",
        ],
    ),
    "meson": (
        {"install": ("install",)},
        [
            "meson setup build --prefix=P --libdir=lib",
            "ninja -C build -j3",
            "ninja -C build -j3 install",
        ],
    ),
    "script": ({"script": ("./make all", "./test")}, ["./make all", "./test"]),
}


@pytest.mark.parametrize("system", COMMANDS)
def test_commands(system: str) -> None:
    facts, wanted = COMMANDS[system]
    where = made(recipe(system=system, **facts))
    lines = [
        argv[-1] if argv[0] == "bash" else " ".join(argv) for _, argv in build.commands(where, 3)
    ]
    paths = {str(where.prefix): "P", str(where.tree): "T"}
    for path, name in paths.items():
        lines = [line.replace(path, name) for line in lines]
    assert lines == wanted


def test_what_a_build_finds(store: Path) -> None:
    library, user = recipe("lib-a"), recipe("b", "lib-a", environment={"X": "$PREFIX_LIB_A/x"})
    where = made(user, library)
    prefix = where.dependencies[0].prefix
    found = build.environment(where)
    assert found["HOME"] == str(where.home) != str(Path.home())
    assert found["UKCC_HOME"] == str(store)
    assert found["CC"] == "uk-gcc" and found["UKCC_IMAGE"] == "thin"
    assert found["PREFIX_LIB_A"] == str(prefix) and found["X"] == f"{prefix}/x"
    assert found["CPPFLAGS"] == f"-I{prefix}/include" and found["LDFLAGS"] == f"-L{prefix}/lib"
    assert found["PKG_CONFIG_PATH"] == f"{prefix}/lib/pkgconfig"
    assert found["PATH"].startswith(f"{prefix}/bin:")


def test_a_build_uses_the_packages_programs(store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rustup puts its own cargo first in PATH, which knows no toolchain in the build's home."""
    monkeypatch.setenv("PATH", "/home/u/.cargo/bin:/usr/bin:/opt/bin")
    ours, *rest = build.environment(made(recipe()))["PATH"].split(":")
    assert (Path(ours) / "uk-gcc").exists()
    assert rest.index("/usr/bin") < rest.index("/home/u/.cargo/bin") < rest.index("/opt/bin")


def test_a_digest_is_of_all_that_counts(tmp_path: Path, store: Path) -> None:
    first = made(recipe())
    assert made(recipe()).root == first.root
    assert made(replace(recipe(), test=(), title="x", note="y")).digest == first.digest
    changed = [
        recipe(arguments=("--x",)),
        replace(recipe(), source=PortSource({"a": DIGEST}, package="hello", version="2")),
        replace(recipe(), patch=(Patch("a", "b"),)),
    ]
    digests = {made(one).digest for one in changed} | {first.digest}
    assert len(digests) == 4
    other = made(replace(recipe(), image={"hello": ImageRecipe("hello", kernel=("CONFIG_X",))}))
    assert other.digest == first.digest and other.images_digest != first.images_digest
    (tmp_path / "hello").mkdir()
    beside = replace(recipe(), directory=str(tmp_path / "hello"))
    (tmp_path / "hello" / "test").mkdir()
    (tmp_path / "hello" / "test" / "client.py").write_text("a")
    assert made(beside).digest == first.digest
    (tmp_path / "hello" / "app.conf").write_text("a")
    assert made(beside).digest != first.digest
    user = recipe("b", "hello")
    before = made(user, recipe()).digest
    assert made(user, recipe(arguments=("--x",))).digest != before
    (store / "sysroots" / "two").mkdir()
    (store / "sysroots" / "current").unlink()
    (store / "sysroots" / "current").symlink_to("two")
    assert made(recipe()).digest != first.digest


def test_a_circle() -> None:
    a, b = recipe("a", "b"), recipe("b", "a")
    with pytest.raises(UkccError, match="depends: a circle: a → b → a"):
        made(a, b)


def test_a_variable_that_is_not_there() -> None:
    with pytest.raises(UkccError, match="no such variable: 'NOTHING'"):
        place.expand("$NOTHING", {})
    assert images.expanded({"a": ["$X", 1], "b": {"c": "$$X"}}, {"X": "y"}) == {
        "a": ["y", 1],
        "b": {"c": "$X"},
    }


def test_one_that_fails_takes_those_above_along() -> None:
    said: list[tuple[str, str]] = []

    def job(name: str) -> None:
        said.append((name, "built"))
        if name == "b":
            raise UkccError("no")

    graph = {"a": [], "b": ["a"], "c": ["b"], "d": ["a"]}
    failed = run._in_order(graph, job, 2)
    assert {name: error.message for name, error in failed.items()} == {
        "b": "no",
        "c": "c: it depends on b, which failed",
    }
    assert ("d", "built") in said and ("c", "built") not in said
    assert said[0] == ("a", "built")


SUITE = Suite("tests", (), (), passed=r"^ok ", failed=r"^not ok (.*)$")


def test_counting() -> None:
    counted = trial.count(SUITE, "ok a\nnot ok b c\nok d\nnot ok b c\n")
    assert (str(counted), counted.failed) == ("2 of 3", ("b c",))
    numbers = replace(SUITE, passed=r"^(\d+) passed")
    assert trial.count(numbers, "12 passed\n3 passed\n").passed == 15
    with pytest.raises(UkccError, match="names no tests"):
        trial.count(SUITE, "Segmentation fault\n")


def test_results_are_kept(tmp_path: Path) -> None:
    where = replace(made(recipe()), recipe=replace(recipe(), image={}))
    assert results.kept("hello") is None
    counts = trial.Count(2, ()), trial.Count(1, ("x",))
    compared = trial.Comparison(counts[0], counts[1], ("x",))
    result = results.gather(where, [trial.TestVerdict("works", "")], compared)
    assert not result.passed
    results.keep(result)
    assert results.kept("hello") == result
    again = results.gather(where, [trial.TestVerdict("works", "")])
    assert again.suite == result.suite, "without a suite, the last one of this build counts"
    suite = Suite("s", ("true",), ("true",), "a", "(b)", explained={"x": "it is known by now"})
    told = replace(where, recipe=replace(where.recipe, suite=suite))
    assert results.gather(told, [trial.TestVerdict("works", "")]).passed
    other = results.gather(replace(where, images_digest="x"), [trial.TestVerdict("works", "no")])
    assert other.suite is None and not other.passed
    assert list(table.verdicts(other, where)) == ["hello: FAILED: works", "  no"]
    log = where.log("test-1")
    log.parent.mkdir(parents=True)
    log.write_text("".join(f"line {n}\n" for n in range(99)))
    shown = list(table.verdicts(other, where))
    assert shown[2] == "  | line 84" and shown[-2:] == ["  | line 98", f"  the whole log: {log}"]
    assert json.loads(json.dumps(table.plain(other)))["tests"] == {"works": "no"}


def test_a_result_that_cannot_be_read_is_replaced(store: Path) -> None:
    where = replace(made(recipe()), recipe=replace(recipe(), image={}))
    file = store / "ports" / "hello" / "results.json"
    file.parent.mkdir(parents=True)
    file.write_text("{")
    with pytest.raises(UkccError, match="no port's result"):
        results.kept("hello")
    results.keep(results.gather(where, [trial.TestVerdict("works", "")]))
    assert results.kept("hello") is not None


def test_an_option_that_is_named_only_is_not_set() -> None:
    config = "# CONFIG_A is not set\nCONFIG_B=y\nCONFIG_C=m\nCONFIG_DD=y\n"
    options = ["CONFIG_A", "CONFIG_B", "CONFIG_C", "CONFIG_D"]
    assert images.not_set(options, config) == ["CONFIG_A", "CONFIG_C", "CONFIG_D"]


def test_how_a_port_is_booted_is_told() -> None:
    boot = Boot("hello", ("-v", "$TREE:/t"), ("a b", "x\ny"), (80, 6379))
    one = replace(recipe(), test=(Trial("t", run=("true",)), Trial("u", stdout="x", boot=boot)))
    text = table.markdown(known(one))
    ports = "-p 8080:80 -p 6379:6379"
    assert f"\nukcc run -v $TREE:/t {ports} $IMAGES/hello 'a b' …\n" in text
    assert "ukcc run" not in table.markdown(known(recipe())).partition("## hello")[2]


FILES = {"hello_1.dsc": b"text", "hello_1.tar": b"data"}


def test_every_file_is_one_that_the_recipe_names(tmp_path: Path) -> None:
    for name, data in FILES.items():
        (tmp_path / name.replace(".dsc", ".txt")).write_bytes(data)
    found = sources.digests(tmp_path)
    right = replace(recipe(), source=PortSource(found, package="hello", version="1"))
    sources.compare(right, found)
    for wrong in ({**found, "more": DIGEST}, {"hello_1.tar": found["hello_1.tar"]}):
        with pytest.raises(UkccError, match="the recipe says"):
            sources.compare(right, wrong)


def test_an_archive_by_url(tmp_path: Path) -> None:
    archive = tmp_path / "hello-1.tar"
    archive.write_bytes(b"x")
    source = PortSource({"hello-1.tar": DIGEST}, url=archive.as_uri(), version="1")
    with pytest.raises(UkccError, match="has SHA-256 2d711642b726"):
        sources.fetch(replace(recipe(), source=source))
    digest = sha256(archive)
    source = replace(source, sha256={"hello-1.tar": digest})
    files = sources.fetch(replace(recipe(), source=source))
    assert (files / "hello-1.tar").read_bytes() == b"x"
    with pytest.raises(UkccError, match=r"nothing\.tar: "):
        sources.fetch(
            replace(
                recipe(),
                source=replace(source, url="file:///nothing.tar", sha256={"nothing.tar": "1" * 64}),
            )
        )


TEXT = """title = "x"
[source]
package = "a"
version = "1"   # why

[source.sha256]
"old.dsc" = "12"
"old.tar" = "34"

[build]
"""


def test_a_newer_version_is_named() -> None:
    fresh = skeleton.repinned(TEXT, "2", {"new.dsc": "56"})
    assert fresh == TEXT.replace('"1"', '"2"').replace(
        '"old.dsc" = "12"\n"old.tar" = "34"', '"new.dsc" = "56"'
    )
    with pytest.raises(UkccError):
        skeleton.repinned("[build]\n", "2", {})


@pytest.mark.parametrize(
    ("files", "system"),
    [
        (["configure", "Makefile"], "autotools"),
        (["configure.ac"], "autotools"),
        (["meson.build"], "meson"),
        (["CMakeLists.txt", "Makefile"], "cmake"),
        (["Makefile"], "make"),
        (["build.sh"], "script"),
    ],
)
def test_a_build_system_is_recognised(tmp_path: Path, files: list[str], system: str) -> None:
    for name in files:
        (tmp_path / name).touch()
    assert skeleton.build_system(tmp_path) == system


@pytest.mark.parametrize("name", ["hello", "lua5.4", "libfoo++", "a-b"])
def test_a_recipe_that_is_begun_is_one(tmp_path: Path, name: str) -> None:
    (tmp_path / "configure.ac").touch()
    source = PortSource({"a_1.dsc": DIGEST}, package="a", version="1")
    text = skeleton.begun(name, source, tmp_path, 'packages = ["zlib1g-dev"]\n')
    found = parse(Path("ports") / name, tomli.loads(text))
    assert found.source == source and list(found.image) == [name]
    assert found.build.prepare == ("autoreconf -fi",)
    assert found.build.packages == ("zlib1g-dev",)
    with pytest.raises(UkccError, match="a port's name has"):
        skeleton.write(tmp_path, "Bad Name", "a")
