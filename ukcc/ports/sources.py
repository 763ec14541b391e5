"""Gets a port's source: every file is one that the recipe names, with that digest."""

import shutil
import urllib.request
from pathlib import Path

from debian.deb822 import Dsc
from filelock import FileLock

from ukcc import debsource, paths, proc
from ukcc.errors import UkccError
from ukcc.hashing import sha256
from ukcc.ports.recipe import PortSource, Recipe

_CHUNK = 1 << 20
_PATIENCE = 60.0  # seconds for one answer of a server


def fetch(recipe: Recipe) -> Path:
    """The directory with the source's files, downloaded once and compared. Raises UkccError."""
    source = recipe.source
    try:
        files = delivered(source, source.version).files if source.package else _archive(source)
    except proc.ProgramFailed as error:
        raise UkccError(
            f"{recipe.name}: {source.package} {source.version} cannot be had: {error.message}",
            f"a newer one may be there: `ukcc port update {recipe.name}`",
        ) from None
    compare(recipe, digests(files))
    return files


def unpack(recipe: Recipe, files: Path, tree: Path) -> None:
    """The tree that is to be built, patched as the recipe wants it. Raises UkccError."""
    source = recipe.source
    if source.package:
        debsource.unpack(debsource.Delivered(source.package, source.version, files), tree)
    else:
        _unpack_archive(files / next(iter(source.sha256)), tree)
    for patch in recipe.patch:
        file = Path(recipe.directory) / patch.file
        if not file.is_file():
            raise UkccError(f"{recipe.file}: patch: {file}: no such file")
        proc.output(["patch", "-p1", "--batch", "--fuzz=0", "-i", str(file)], cwd=tree)


def digests(files: Path) -> dict[str, str]:
    """File name -> SHA-256. What the description of a source package says has to be so, too.

    Raises UkccError for a file that is not what its package says.
    """
    found = {path.name: sha256(path) for path in sorted(files.iterdir()) if path.is_file()}
    for description in files.glob("*.dsc"):
        with description.open("rb") as text:
            for said in Dsc(text)["Checksums-Sha256"]:
                if found.get(said["name"]) != said["sha256"]:
                    raise UkccError(f"{files / said['name']}: is not what {description.name} says")
    return found


def compare(recipe: Recipe, found: "dict[str, str]") -> None:
    """Raises UkccError that names the first file that is not as the recipe says."""
    wanted = recipe.source.sha256
    for name in sorted({*wanted, *found}):
        if wanted.get(name) != found.get(name):
            said, has = wanted.get(name, "no such file"), found.get(name, "no such file")
            raise UkccError(
                f"{recipe.file}: source.sha256: {name}: the recipe says {said}, and it is {has}",
                f"if the change is meant: `ukcc port update {recipe.name}`",
            )


def delivered(source: PortSource, version: str = "") -> debsource.Delivered:
    """The files of a package, source or binary; without a version the newest. Raises UkccError."""
    download = debsource.download_binary if source.binary else debsource.download
    return download(source.package, version)


def _archive(source: PortSource) -> Path:
    """Downloaded into a file beside, then by rename."""
    ((name, digest),) = source.sha256.items()
    files = Path(paths.store()) / "cache" / "archives" / digest
    files.mkdir(parents=True, exist_ok=True)
    with FileLock(files.with_suffix(".lock")):
        if not (files / name).is_file():
            partial = files.with_suffix(".partial")
            _download(source.url, partial)
            found = sha256(partial)
            if found != digest:
                partial.unlink()
                raise UkccError(f"{source.url}: has SHA-256 {found}, not {digest}")
            partial.rename(files / name)
    return files


def _download(url: str, target: Path) -> None:
    try:
        with urllib.request.urlopen(url, timeout=_PATIENCE) as answer, target.open("wb") as file:
            shutil.copyfileobj(answer, file, _CHUNK)
    except (OSError, ValueError) as error:
        target.unlink(missing_ok=True)
        raise UkccError(f"{url}: {error}") from None


def _unpack_archive(archive: Path, tree: Path) -> None:
    """The archive's one directory becomes the tree; if it has several, they are in it."""
    fresh = tree.with_name(f"{tree.name}.new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True)
    proc.output(["tar", "-xf", str(archive), "-C", str(fresh)])
    shutil.rmtree(tree, ignore_errors=True)
    inside = list(fresh.iterdir())
    if len(inside) == 1 and inside[0].is_dir():
        inside[0].rename(tree)
        fresh.rmdir()
    else:
        fresh.rename(tree)
