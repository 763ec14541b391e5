"""A recipe: what `ports/NAME/port.toml` may say, checked strictly. Reference: docs/porting.md."""

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tomli

from ukcc import paths
from ukcc.errors import UkccError
from ukcc.tables import check_pattern, record

FILE = "port.toml"
AUTOTOOLS, MAKE, CMAKE, MESON, SCRIPT = "autotools", "make", "cmake", "meson", "script"
SYSTEMS = (AUTOTOOLS, MAKE, CMAKE, MESON, SCRIPT)

_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]*")  # as Debian names its source packages
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class PortSource:
    """Where the source comes from: a package of the distribution, or an archive.

    package, version: of the source package, as dpkg has them; binary: it is a binary package, whose
    program is packed; url: of the archive, as tar(1) reads it; sha256: file name -> digest, of
    every file.
    """

    sha256: Mapping[str, str]
    package: str = ""
    version: str = ""
    binary: bool = False
    url: str = ""


@dataclass(frozen=True)
class Patch:
    """A file beside the recipe, for patch -p1, and why there has to be one."""

    file: str
    why: str


@dataclass(frozen=True)
class Build:
    """How it is built. Lines are for bash; all may use the variables of docs/porting.md.

    system: one of SYSTEMS; directory: of the build, in the tree; prepare, finish: lines that come
    first, and last; arguments: of configure, make, cmake or `meson setup`; goals: what make (or
    ninja) makes; install: what it makes to install; script: the lines, for system `script`;
    environment: variables; packages: of Debian, that it needs besides ukcc's own; limit: seconds
    for one line.
    """

    system: str
    directory: str = "."
    prepare: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()
    install: tuple[str, ...] = ()
    finish: tuple[str, ...] = ()
    script: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    packages: tuple[str, ...] = ()
    limit: int = 3600


@dataclass(frozen=True)
class ImageRecipe:
    """An image of a built program.

    program: its path, by $TREE or $PREFIX; settings: what the image carries, as a uk.toml; paths of
    `files` in it may use the variables; kernel: options of the kernel that must be set.
    """

    program: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    kernel: tuple[str, ...] = ()


@dataclass(frozen=True)
class Boot:
    """A machine that runs while lines do.

    image: by its name; options: of `ukcc run`; arguments: instead of the image's; ports: of the
    guest: each gets one of the host, $PORT for the first and $PORT_<guest's> for each; ready: a
    regular expression that the machine says when lines may begin (else: when its ports are bound).
    """

    image: str
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    ready: str = ""


@dataclass(frozen=True)
class Trial:
    """One test: does the application's job, and asserts it.

    what: in words; run: lines for bash on the host, each of which must end with 0; boot: the
    machine that they talk to. Without `run` the machine is on its own: stdout is a regular
    expression that its standard output must match, status how it ends, stdin what it reads.
    stop: the machine is told to end (SIGTERM) when the lines are done, and must end with `status`;
    else it is ended. limit: seconds.
    """

    what: str
    run: tuple[str, ...] = ()
    boot: "Boot | None" = None
    stdin: str = ""
    stdout: str = ""
    status: int = 0
    stop: bool = False
    limit: int = 300


@dataclass(frozen=True)
class Suite:
    """The application's own tests, as a Linux process and against the unikernel.

    process, unikernel: lines for bash; boot: the machine that the latter talk to; passed: a regular
    expression; the numbers of its group are added up, or its matches counted; failed: one whose
    group is the name of a test that failed; explained: name of a test -> why it fails as unikernel
    only. limit: seconds for each life.
    """

    what: str
    process: tuple[str, ...]
    unikernel: tuple[str, ...]
    passed: str
    failed: str
    boot: "Boot | None" = None
    explained: Mapping[str, str] = field(default_factory=dict)
    limit: int = 3600


@dataclass(frozen=True)
class Recipe:
    """One port.

    name, directory: where the file is, and no keys of it; licence: an SPDX expression; depends:
    other ports; note: what was learned, for docs/ports.md; ci: its short tests are part of CI.
    """

    name: str
    directory: str
    title: str
    licence: str
    source: PortSource
    build: Build
    depends: tuple[str, ...] = ()
    patch: tuple[Patch, ...] = ()
    image: Mapping[str, ImageRecipe] = field(default_factory=dict)
    test: tuple[Trial, ...] = ()
    suite: "Suite | None" = None
    ci: bool = False
    note: str = ""

    @property
    def file(self) -> Path:
        """The recipe's own."""
        return Path(self.directory) / FILE


def recipes_directory(given: "str | None") -> Path:
    """`--ports`, else UKCC_PORTS, else those that come with ukcc."""
    return Path(given or os.environ.get("UKCC_PORTS") or paths.data_dir("ports"))


def load_all(directory: Path) -> dict[str, Recipe]:
    """Name -> recipe, in the order of the names. Raises UkccError for the first that is wrong."""
    return load_named(directory, names_in(directory))


def load_named(directory: Path, names: Iterable[str]) -> dict[str, Recipe]:
    """Those recipes, and what they depend on: a mistake in another is no matter.

    Raises UkccError for the first that is wrong; for an unknown name, with the nearest.
    """
    known = names_in(directory)
    found: dict[str, Recipe] = {}
    todo = list(names)
    for name in todo:
        if name not in known:
            near = difflib.get_close_matches(name, known, 1, 0)
            mend = f"the nearest is {near[0]}" if near else "there are no ports at all"
            raise UkccError(f"{name}: no such port; {mend}")
        if name not in found:
            found[name] = load(directory / name / FILE)
            for other in found[name].depends:
                if other not in known:
                    raise UkccError(f"{found[name].file}: depends: no port {other!r}")
                todo.append(other)
    return found


def names_in(directory: Path) -> list[str]:
    """The names of the recipes there, sorted. Raises UkccError."""
    if not directory.is_dir():
        raise UkccError(f"{directory}: no such directory", "recipes are looked for by --ports DIR")
    return sorted(path.parent.name for path in directory.glob(f"*/{FILE}"))


def load(path: Path) -> Recipe:
    """Reads one recipe. Raises UkccError that names the file, the key and what is wrong."""
    try:
        return parse(path.parent, tomli.loads(path.read_text()))
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    except (UkccError, tomli.TOMLDecodeError) as error:
        raise UkccError(f"{path}: {error}") from None


def parse(directory: Path, table: Mapping[str, Any]) -> Recipe:
    """A recipe from TOML's tables. Raises UkccError."""
    given = set(table) & {"name", "directory"}
    if given:
        raise UkccError(f"{given.pop()}: is that of the recipe's directory, and no key")
    recipe = record(Recipe, {"name": directory.name, "directory": str(directory), **table})
    _check(recipe)
    return recipe


def check_name(name: str) -> None:
    """Raises UkccError for what cannot be the name of a port."""
    if not _NAME.fullmatch(name):
        raise UkccError(f"{name!r}: a port's name has small letters, digits, and + . -")


def _check(recipe: Recipe) -> None:
    check_name(recipe.name)
    _check_source(recipe.source)
    _check_build(recipe.build)
    for patch in recipe.patch:
        if not patch.why.strip():
            raise UkccError(f"patch: {patch.file}: why is missing")
    for index, test in enumerate(recipe.test):
        _check_test(test, recipe, f"test[{index}]")
    if recipe.image and not recipe.test:
        raise UkccError("test: a port with an image has a test")
    if recipe.suite:
        _check_suite(recipe.suite, recipe)


def _check_source(source: PortSource) -> None:
    if bool(source.package) == bool(source.url):
        raise UkccError("source: one of package and url is needed, not both")
    if source.binary and not source.package:
        raise UkccError("source.binary: is of a package")
    if not source.version:
        raise UkccError("source.version is missing")
    if not source.sha256:
        raise UkccError("source.sha256: every file has one; `ukcc port update` writes them")
    for name, digest in source.sha256.items():
        if not _SHA256.fullmatch(digest):
            raise UkccError(f"source.sha256: {name}: not a SHA-256 of 64 hexadecimal digits")
    if source.url and list(source.sha256) != [source.url.rpartition("/")[2]]:
        raise UkccError("source.sha256: has to be of the url's file, and of no other")


def _check_build(build: Build) -> None:
    if build.system not in SYSTEMS:
        raise UkccError(f"build.system: {build.system!r} is not one of {', '.join(SYSTEMS)}")
    if (build.system == SCRIPT) != bool(build.script):
        raise UkccError("build.script: belongs to system = 'script', which has nothing else")
    if build.system == SCRIPT and (build.arguments or build.goals or build.install):
        raise UkccError("build: a script has no arguments, goals or install")


def _check_test(test: Trial, recipe: Recipe, where: str) -> None:
    """A test that asserts nothing is refused."""
    if not test.run and not (test.boot and test.stdout):
        raise UkccError(f"{where}: it asserts nothing: run, or boot and stdout, are needed")
    if not test.boot and (test.stdin or test.stdout or test.status or test.stop):
        raise UkccError(f"{where}: stdin, stdout, status and stop are those of a boot")
    check_pattern(test.stdout, f"{where}.stdout")
    _check_boot(test.boot, recipe, where)


def _check_suite(suite: Suite, recipe: Recipe) -> None:
    for key in ("passed", "failed"):
        check_pattern(getattr(suite, key), f"suite.{key}", 1)
    if re.compile(suite.failed).groups != 1:
        raise UkccError("suite.failed: one group, the name of the test that failed, is needed")
    _check_boot(suite.boot, recipe, "suite")


def _check_boot(boot: "Boot | None", recipe: Recipe, where: str) -> None:
    if boot and boot.image not in recipe.image:
        raise UkccError(f"{where}.boot.image: there is no [image.{boot.image}]")
    if boot:
        check_pattern(boot.ready, f"{where}.boot.ready")
