"""The sources of an image as lines for a terminal."""

from collections.abc import Iterable, Iterator

from ukcc.sbom.sources import ImageSources, PackageSource, SourceComponent, SourceFile

_LABEL = 15
_MOST_MEMBERS = 5  # of a package; --json has all

_FILES = {
    "linux": "configuration",
    "glibc": "scripts",
    "musl": "script, patch",
    "init": "source",
}


def source_lines(sources: ImageSources) -> Iterator[str]:
    """Kernel, glibc, musl, init, then the distribution's packages, then what is not known."""
    by = f"ukcc {sources.ukcc}, " if sources.ukcc else ""
    yield f"{sources.image}: {by}sysroot {sources.sysroot}"
    for part in sources.parts:
        yield ""
        yield from _part(part)
    if sources.thin:
        yield ""
        yield "a thin image: its libraries are chosen when it is completed"
    for package in sources.packages:
        yield ""
        yield from _package(package)
    yield ""
    yield from _labelled("program", sources.program)
    yield from _labelled("linked with", sources.linked)
    yield from _labelled("unknown", sources.unknown)
    yield from _labelled("tools", sources.tools.values())
    yield from _labelled("rebuild", sources.rebuild)
    yield _row("", f"makes the sysroot {sources.sysroot} if all of the above is the same")


def _part(part: SourceComponent) -> Iterator[str]:
    yield f"{part.name} {part.version}".rstrip() + f" ({part.licence})"
    if part.package:
        digest = f", sha256 {part.sha256}" if part.sha256 else ""
        label = ".dsc" if part.is_source else "tarball"
        yield _row(label, f"in the package {part.package}{digest}")
    yield from _files("patches", part.patches)
    yield from _files(_FILES[part.name], part.files)
    if part.config_sha256:
        place = f": {part.config_place}" if part.config_place else ""
        yield _row("", f"the final .config has sha256 {part.config_sha256}{place}")
    if part.made:
        yield _row("", f"made for this image by `ukcc specialise`: {part.made}")
    yield from _labelled("fetch", part.fetch)


def _files(label: str, files: Iterable[SourceFile]) -> Iterator[str]:
    """Digest and path of each, as sha256sum has them."""
    yield from _labelled(
        label, (f"{f.sha256}  {f.place or f'{f.name} (not of this ukcc)'}" for f in files)
    )


def _package(package: PackageSource) -> Iterator[str]:
    yield f"{package.name} {package.version}"
    yield _row("source", f"{package.source} {package.source_version}")
    yield from _labelled("", (f"{digest}  {name}" for name, digest in package.sha256.items()))
    more = len(package.members) - _MOST_MEMBERS
    yield from _labelled("in the image", package.members[:_MOST_MEMBERS])
    if more > 0:
        yield _row("", f"and {more} more")
    yield from _labelled("fetch", package.fetch)


def _labelled(label: str, values: Iterable[str]) -> Iterator[str]:
    """The label on the first line only."""
    for index, value in enumerate(values):
        yield _row("" if index else label, value)


def _row(label: str, value: str) -> str:
    return f"  {label:<{_LABEL}}{value}"
