"""Does the series apply to every revision of the source package that can be had today?"""

import re
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from ukcc import debsource, proc
from ukcc.errors import UkccError
from ukcc.sysroot import tree
from ukcc.sysroot.sources import SourcePackage

_TARGET = re.compile(r"^(?:---|\+\+\+) [ab]/(\S+)", re.MULTILINE)
_CREATED = re.compile(r"^--- /dev/null\n\+\+\+ b/(\S+)", re.MULTILINE)


def parse_madison(text: str) -> tuple[str, ...]:
    """The output of `apt-cache madison PACKAGE` -> its versions, in order, each once."""
    rows = (line.split("|") for line in text.splitlines() if line.count("|") >= 2)
    return tuple(dict.fromkeys(row[1].strip() for row in rows))


def touched_files(patches: Sequence[str]) -> tuple[str, ...]:
    """The files that these patches change or create, relative to the top of the tree."""
    return tuple(sorted({name for patch in patches for name in _TARGET.findall(patch)}))


def available(package: SourcePackage) -> tuple[str, ...]:
    """The package's versions in the repositories: those that are configured, or those of its suite.

    Raises UkccError for none.
    """
    words = ["apt-cache", *debsource.options_for_binaries(package.suite), "madison", package.name]
    found = parse_madison(proc.output(words))
    if not found:
        raise UkccError(f"{package.name}: apt knows no version of it", "as root: apt-get update")
    return found


def check(package: SourcePackage, patches: Sequence[Path], log: Path) -> Iterator[tuple[str, str]]:
    """Applies the series to each revision: (version, "" or what was in the way), one by one."""
    for version in available(package):
        with tempfile.TemporaryDirectory(prefix="ukcc-revision-") as directory:
            try:
                _apply(package, version, patches, Path(directory), log)
            except proc.ProgramFailed as error:
                yield version, error.message
            else:
                yield version, ""


def _apply(
    package: SourcePackage, version: str, patches: Sequence[Path], work: Path, log: Path
) -> None:
    """Unpacks the files that the series touches, and applies it. Raises ProgramFailed."""
    options = debsource.options_for_binaries(package.suite)
    words = ["apt-get", *options, "download", "-q", f"{package.name}={version}"]
    proc.run(words, cwd=work, log=log)
    (deb,) = work.glob("*.deb")
    proc.run(["dpkg-deb", "-x", str(deb), str(work / "package")], log=log)
    source = work / "source"
    texts = [patch.read_text() for patch in patches]
    new = _created(texts)
    wanted = [name for name in touched_files(texts) if name not in new]
    tree.unpack(work / "package" / package.tarball, source, log, only=wanted)
    tree.patch(source, patches, log)


def _created(patches: Sequence[str]) -> set[str]:
    """Files that these patches make: no tarball has them."""
    return {name for patch in patches for name in _CREATED.findall(patch)}
