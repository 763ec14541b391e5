"""A row of the table: what `tests/compat/rows/NAME.toml` may say, checked strictly."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tomli

from ukcc.errors import UkccError
from ukcc.tables import check_pattern, record


@dataclass(frozen=True)
class Suite:
    """How the numbers are read out of what the application's own suite writes.

    passed, failed, total: regular expressions (multi-line). The numbers that the first group
    captures are added up; without a group, matches are counted. One of failed and total is given.
    known: so many tests fail with an ordinary gcc too, or may; `known_why` says which and why.
    """

    passed: str
    failed: str = ""
    total: str = ""
    known: int = 0
    known_why: str = ""


@dataclass(frozen=True)
class Talk:
    """One exchange over TCP: what is sent, and the regular expression that the answer matches."""

    send: str
    expect: str


@dataclass(frozen=True)
class Get:
    """One HTTP GET: the path, and what the body is: this text, or this file of the tree."""

    path: str
    body: str = ""
    body_file: str = ""


@dataclass(frozen=True)
class Boot:
    """One boot of an image.

    what: what it shows, in words; image: its path in the tree; arguments, options (of `ukcc run`)
    and files may name `$TREE` and the other variables of steps. files: path in the row's directory
    (`$FILES`) -> contents, written before. stdout: a regular expression that standard output must
    match somewhere; stdout_file: a file of the tree that it must equal; stdin: a file of the tree,
    or an absolute path by `$FILES`.
    serve: a directory that an HTTP server on the host has for the guest, at 10.0.2.2:$PORT
    (`--net user,host=yes` is added).
    port: of a server, in the guest; then `talk` and `get` are the client's part, one connection for
    all of `talk`; a server that is not told to end there is stopped, and its status does not count.
    """

    what: str
    image: str
    options: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    stdin: str = ""
    serve: str = ""
    stdout: str = ""
    stdout_file: str = ""
    status: int = 0
    timeout: int = 600
    port: int = 0
    talk: tuple[Talk, ...] = ()
    get: tuple[Get, ...] = ()
    ends: bool = False


@dataclass(frozen=True)
class Row:
    """One row. Steps are lines for bash, run in the tree of the first source package.

    title: as in the table; sources: Debian source packages; packages: Debian packages that the
    build needs beyond ukcc's own; ci: part of `make compat-ci`; limit: seconds for one step;
    images: programs, besides those booted, that must be bootable images; note: what was learned,
    for docs/compatibility.md.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    build: tuple[str, ...]
    boot: tuple[Boot, ...]
    configure: tuple[str, ...] = ()
    check: tuple[str, ...] = ()
    suite: "Suite | None" = None
    packages: tuple[str, ...] = ()
    images: tuple[str, ...] = ()
    ci: bool = False
    limit: int = 1800
    note: str = ""


def load_all(directory: Path) -> dict[str, Row]:
    """Name -> row, in the order of the names. Raises UkccError for the first that is wrong."""
    return {path.stem: load(path) for path in sorted(directory.glob("*.toml"))}


def load(path: Path) -> Row:
    """Reads one row. Raises UkccError that names the file, the key and what is wrong."""
    try:
        return parse(path.stem, tomli.loads(path.read_text()))
    except (UkccError, tomli.TOMLDecodeError) as error:
        raise UkccError(f"{path}: {error}") from None


def parse(name: str, table: Mapping[str, Any]) -> Row:
    """A row from TOML's tables. Raises UkccError."""
    row = record(Row, {"name": name, **table})
    if not row.sources or not row.boot or not row.build:
        raise UkccError("sources, build and boot must not be empty")
    if bool(row.check) != bool(row.suite):
        raise UkccError("check and suite belong together")
    if row.suite:
        _check_suite(row.suite)
    for index, boot in enumerate(row.boot):
        _check_boot(boot, f"boot[{index}]")
    return row


def _check_suite(suite: Suite) -> None:
    if bool(suite.failed) == bool(suite.total):
        raise UkccError("suite: one of failed and total is needed, not both")
    if bool(suite.known) != bool(suite.known_why):
        raise UkccError("suite: known and known_why belong together")
    for key in ("passed", "failed", "total"):
        check_pattern(getattr(suite, key), f"suite.{key}", 1)


def _check_boot(boot: Boot, where: str) -> None:
    """A boot that shows nothing is refused: the guest has to say something."""
    if not (boot.stdout or boot.stdout_file or boot.talk or boot.get):
        raise UkccError(f"{where}: one of stdout, stdout_file, talk and get is needed")
    if bool(boot.port) != bool(boot.talk or boot.get):
        raise UkccError(f"{where}: port belongs to talk and get")
    for key, pattern in (("stdout", boot.stdout), *(("talk.expect", t.expect) for t in boot.talk)):
        check_pattern(pattern, f"{where}.{key}")
    for get in boot.get:
        if bool(get.body) == bool(get.body_file):
            raise UkccError(f"{where}.get: one of body and body_file is needed, not both")
