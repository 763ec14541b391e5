"""Fetches a distribution's source packages (or binary ones), without touching the host's apt.

apt-get runs with sources, state and cache of the project's own in the store. The sources are those
that the host's Debian packages come from, asked for both kinds of packages; signatures are checked
with the host's keys, so the files are what the distribution signed.
"""

import contextlib
import functools
import re
import shutil
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from debian.deb822 import Sources
from filelock import FileLock

from ukcc import paths, proc
from ukcc.disk_errors import disk_errors
from ukcc.errors import ToolFailed, UkccError

_APT = Path("/etc/apt")
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
# A suite of another vendor's repository has no Debian sources in it.
_SUITE = re.compile(r"(old)*stable|testing|unstable|sid|bullseye|bookworm|trixie|forky")
# Lists of Debian's sources were seen to take 21 MB packed, and apt unpacks them where the host's
# configuration does not say otherwise. In bytes, with a wide margin.
_SPACE_NEEDED = 150_000_000
_DEB_LINE = re.compile(r"deb(?:-src)?\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<words>\S.*)")


@dataclass(frozen=True)
class Repository:
    """One line of apt's sources: where, which suite and components, signed by which keys."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def line(self, kind: str) -> str:
        """As a line of sources.list(5). kind: `deb-src` or `deb`."""
        keys = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"{kind} {keys}{self.uri} {self.suite} {' '.join(self.components)}"


def parse_list(text: str) -> list[Repository]:
    """The one-line format of sources.list(5)."""
    found = []
    for line in text.splitlines():
        match = _DEB_LINE.fullmatch(line.partition("#")[0].strip())
        words = match["words"].split() if match else []
        if match is None or len(words) < 3:
            continue
        options = (match["options"] or "").split()
        keys = [
            value for key, _, value in (o.partition("=") for o in options) if key == "signed-by"
        ]
        found.append(Repository(words[0], words[1], tuple(words[2:]), "".join(keys)))
    return found


def parse_deb822(text: str) -> list[Repository]:
    """The stanzas of a `.sources` file."""
    found = []
    plain = "".join(line for line in text.splitlines(True) if not line.startswith("#"))
    for stanza in re.split(r"\n\s*\n", plain):
        fields = _fields(stanza)
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        keys = fields.get("signed-by", "")
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                # a key written out in the stanza is no path; the keyring has it too
                path = keys if keys.startswith("/") else ""
                found.append(Repository(uri, suite, components, path))
    return [repository for repository in found if repository.components]


def _fields(stanza: str) -> dict[str, str]:
    """Field name in lower case -> value, continuation lines joined."""
    fields: dict[str, str] = {}
    name = ""
    for line in stanza.splitlines():
        if line[:1].isspace():
            fields[name] = f"{fields.get(name, '')} {line.strip()}".strip()
        elif ":" in line:
            name, _, value = line.partition(":")
            name = name.lower()
            fields[name] = value.strip()
    return fields


def debian_repositories(apt: Path = _APT) -> tuple[Repository, ...]:
    """The Debian repositories that the host is configured for. Raises UkccError for none."""
    found: list[Repository] = []
    for file in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if file.suffix in (".list", ".sources") and file.is_file():
            text = file.read_text(errors="replace")
            found += parse_deb822(text) if file.suffix == ".sources" else parse_list(text)
    debian = [repository for repository in found if is_debian(repository)]
    if not debian:
        raise UkccError(f"{apt}: no Debian repository is configured", "see sources.list(5)")
    return tuple(dict.fromkeys(debian))


def is_debian(repository: Repository) -> bool:
    """Debian's own suites and components, whichever mirror has them."""
    release = repository.suite.partition("-")[0].partition("/")[0]
    return _SUITE.fullmatch(release) is not None and "main" in repository.components


def in_suite(repositories: Iterable[Repository], suite: str) -> Repository:
    """Another suite of the archive that these come from. Raises UkccError if none is the archive's.

    Updates and security have archives or suites of their own; `bookworm` and its like are meant.
    """
    for repository in repositories:
        if is_debian(repository) and not set("-/") & set(repository.suite):
            return Repository(repository.uri, suite, ("main",), repository.signed_by)
    raise UkccError(
        f"no configured repository has a whole release of Debian, which could have {suite} too",
        "see sources.list(5)",
    )


@dataclass(frozen=True)
class Fetched:
    """An unpacked source package: its version, and the directory of the unpacked tree."""

    name: str
    version: str
    tree: Path


@dataclass(frozen=True)
class Delivered:
    """A downloaded package: its version, and the directory of its files."""

    name: str
    version: str
    files: Path


def fetch(name: str, destination: Path, *, version: str = "") -> Fetched:
    """Downloads the source package (once) and unpacks it, patches applied, below `destination`.

    version: as in the distribution, or empty for the newest that the repositories deliver. The tree
    appears whole, by rename; one that is there already is replaced. Raises UkccError.
    """
    delivered = download(name, version)
    # without the epoch: make and shells are not fond of `:` in a path
    tree = destination / f"{name}-{delivered.version.rpartition(':')[2]}"
    unpack(delivered, tree)
    return Fetched(name, delivered.version, tree)


def download(name: str, version: str = "") -> Delivered:
    """The package's files, downloaded once. version: as for `fetch`. Raises UkccError."""
    root = _root("debsource")
    with _updated(root, "deb-src"):
        wanted = (version,) if version else versions(root, name)
        return _delivered(root, name, wanted)


def download_binary(name: str, version: str = "", *, suite: str = "") -> Delivered:
    """The same of a binary package, which is one file. Raises UkccError.

    suite: a suite of Debian to take it from, of the mirror that the host uses; empty for what the
    host is configured for.
    """
    root = _root(f"debbinary-{suite}" if suite else "debbinary")
    with _updated(root, "deb", suite):
        version = version or _candidate(root, name, suite)
        files = root / "files" / f"{name}_{version.rpartition(':')[2]}"
        if not list(files.glob("*.deb")):
            _download(root, ["download", f"{name}={version}"], files)
        return Delivered(name, version, files)


def binary_names(prefix: str) -> tuple[str, ...]:
    """The binary packages whose names begin so, in no order. Raises UkccError."""
    root = _root("debbinary")
    with _updated(root, "deb"):
        return tuple(proc.output(["apt-cache", *_options(root), "pkgnames", prefix]).split())


def options_for_binaries(suite: str = "") -> list[str]:
    """apt's options for one suite of Debian, whose lists are there then; none for the host's own.

    Raises UkccError.
    """
    if not suite:
        return []
    root = _root(f"debbinary-{suite}")
    with _updated(root, "deb", suite):
        return _options(root)


def _candidate(root: Path, name: str, suite: str) -> str:
    """The newest version of a binary package. Raises UkccError for none."""
    words = ["apt-cache", *_options(root), "policy", name]
    found = re.search(r"^  Candidate: (\d\S*)$", proc.output(words), re.MULTILINE)
    if not found and suite:
        raise UkccError(
            f"{name}: Debian's suite {suite} has no such package, or no longer",
            "install a package of it that you have: dpkg -i FILE",
        )
    if not found:
        raise UkccError(f"{name}: no such package in the configured repositories")
    return found[1]


def _root(name: str) -> Path:
    """Where apt's lists and files of one kind are; apart, since each list is some megabytes."""
    return Path(paths.store()) / "cache" / name


@contextlib.contextmanager
def _updated(root: Path, kind: str, suite: str = "") -> Iterator[None]:
    """Nobody else is at work there, and the lists of packages are."""
    repositories = debian_repositories()
    with disk_errors(Path(paths.store())):
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / "lock"):
            _update(root, kind, (in_suite(repositories, suite),) if suite else repositories)
            yield


def versions(root: Path, name: str) -> tuple[str, ...]:
    """The versions that the repositories have, newest first. Raises UkccError for none."""
    words = ["apt-cache", *_options(root), "showsrc", "--only-source", name]
    found = re.findall(r"^Version: (\S+)$", proc.output(words), re.MULTILINE)
    if not found:
        raise UkccError(f"{name}: no such source package in the configured repositories")
    return newest_first(found)


def newest_first(found: Iterable[str]) -> tuple[str, ...]:
    """Debian's order of versions, each once."""

    def compare(one: str, other: str) -> int:
        return -1 if _is_newer(one, than=other) else 1

    key = functools.cmp_to_key(compare)
    return tuple(sorted(dict.fromkeys(found), key=key))


def _delivered(root: Path, name: str, wanted: Sequence[str]) -> Delivered:
    """The first of these versions whose files can be had.

    A mirror may list a version (of the security suite, say) whose files it does not have, yet.
    """
    for version in wanted:
        files = root / "files" / f"{name}_{version.rpartition(':')[2]}"
        try:
            if not list(files.glob("*.dsc")):
                _download(root, ["source", "--download-only", f"{name}={version}"], files)
        except proc.ProgramFailed:
            if version == wanted[-1]:
                raise
        else:
            return Delivered(name, version, files)
    raise UkccError(f"{name}: no version to fetch")


def known_digests(wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], dict[str, str]]:
    """(source package, version) -> SHA-256 in hex of its files, by name; nothing is fetched.

    Only those are in the result that a list of apt's has, the project's own or the host's.
    """
    root = _root("debsource")
    found: dict[tuple[str, str], dict[str, str]] = {}
    for options in ([_options(root)] if (root / "updated").exists() else []) + [[]]:
        names = sorted({name for name, version in wanted if (name, version) not in found})
        if not names:
            break
        with contextlib.suppress(ToolFailed):  # none of them is known; or there is no apt here
            text = proc.output(["apt-cache", *options, "showsrc", "--only-source", *names])
            for stanza in Sources.iter_paragraphs(text, use_apt_pkg=False):
                key = (stanza.get("Package", ""), stanza.get("Version", ""))
                files = {f["name"]: f["sha256"] for f in stanza.get("Checksums-Sha256", ())}
                if key in wanted and files:
                    found[key] = files
    return found


def _is_newer(candidate: str, than: str) -> bool:
    try:
        proc.output(["dpkg", "--compare-versions", candidate, "gt", than])
    except proc.ProgramFailed:
        return False
    return True


def apt_options(root: Path) -> list[str]:
    """What makes apt keep to `root`, as words `Name=value`."""
    values = {
        "Dir::Etc::sourcelist": root / "sources.list",
        "Dir::Etc::sourceparts": "/dev/null",
        "Dir::State": root / "state",
        "Dir::State::status": root / "state" / "status",
        "Dir::Cache": root / "cache",
        # as root apt would read as the user _apt, who may not enter the store
        "APT::Sandbox::User": "",
        "APT::Get::List-Cleanup": "false",
        "Acquire::Languages": "none",
    }
    return [f"{key}={value}" for key, value in values.items()]


def _options(root: Path) -> list[str]:
    return [word for option in apt_options(root) for word in ("-o", option)]


def _update(root: Path, kind: str, repositories: Iterable[Repository]) -> None:
    """Gets the lists of packages; not again while they are for the same repositories."""
    wanted = "".join(f"{line}\n" for line in _lines(repositories, kind))
    sources = root / "sources.list"
    stamp = root / "updated"
    if stamp.exists() and stamp.read_text() == wanted:
        return
    _check_space(root)
    for directory in ("state/lists/partial", "cache/archives/partial"):
        (root / directory).mkdir(parents=True, exist_ok=True)
    (root / "state" / "status").touch()
    sources.write_text(wanted)
    proc.run(["apt-get", *_options(root), "update"], log=root / "apt.log")
    stamp.write_text(wanted)


def _check_space(root: Path) -> None:
    """On a disk that gets full, `apt-get update` waits for ever."""
    free = shutil.disk_usage(root).free
    if free < _SPACE_NEEDED:
        raise UkccError(
            f"{root} has {free / 1e6:.0f} MB free, lists of packages need"
            f" {_SPACE_NEEDED / 1e6:.0f} MB",
            "free some space, or set UKCC_HOME",
        )


def _lines(repositories: Iterable[Repository], kind: str) -> list[str]:
    lines = []
    for repository in repositories:
        keys = repository.signed_by or (_KEYRING if Path(_KEYRING).exists() else "")
        signed = Repository(repository.uri, repository.suite, repository.components, keys)
        lines.append(signed.line(kind))
    return lines


def _download(root: Path, request: Sequence[str], files: Path) -> None:
    """Into a directory beside, then by rename, so that a broken download is never taken.

    request: words of apt-get.
    """
    partial = files.with_name(files.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    words = ["apt-get", *_options(root), *request]
    try:
        proc.run(words, cwd=partial, log=root / "apt.log")
    except proc.ProgramFailed:
        # the lists may be older than the repository; the next try gets new ones
        (root / "updated").unlink(missing_ok=True)
        raise
    shutil.rmtree(files, ignore_errors=True)
    partial.rename(files)


def unpack(delivered: Delivered, tree: Path) -> None:
    """Unpacks into that directory, which appears whole, in place of one that is there. Without
    dpkg-source's own check: apt has compared the files with what Debian signed.
    """
    fresh = tree.with_name(tree.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.parent.mkdir(parents=True, exist_ok=True)
    (file,) = [*delivered.files.glob("*.dsc"), *delivered.files.glob("*.deb")]
    words = ["dpkg-deb", "-x", str(file), str(fresh)]
    if file.suffix == ".dsc":
        words = ["dpkg-source", "--no-check", "--no-copy", "-x", str(file), str(fresh)]
    proc.run(words, log=fresh.with_name("unpack.log"))
    shutil.rmtree(tree, ignore_errors=True)
    fresh.rename(tree)
