"""`ukcc inspect`: what is inside an image."""

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from ukcc.errors import MachineError
from ukcc.image.facts import ImageMetadata, read_facts
from ukcc.image.inspect import ImageReport, inspect_image
from ukcc.terminal import shown
from ukcc.vm.plan import default_memory_mib, default_memory_reason

_SHOWN_FILES = 10


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option(
    "--sources", is_flag=True, help="Name the sources of what is inside, and how to get them."
)
@click.option("--raw", is_flag=True, help="List every raw system call, not only counts.")
def command(image: Path, as_json: bool, sources: bool, raw: bool) -> None:
    """Show what is inside IMAGE."""
    if sources:
        _show_sources(image, as_json)
        return
    report = inspect_image(image)
    if as_json:
        click.echo(report.as_json())
        return
    for line in _summary(report, raw):
        click.echo(shown(line))


def _show_sources(image: Path, as_json: bool) -> None:
    from ukcc.sbom.contents import read_contents  # a tenth of a second, with all that it loads
    from ukcc.sbom.dpkg import Database
    from ukcc.sbom.sources import read_sources
    from ukcc.sbom.sources_text import source_lines

    found = read_sources(read_contents(image, Database(), thin=True))
    if as_json:
        click.echo(found.as_json())
        return
    for line in source_lines(found):
        click.echo(shown(line))


def _summary(report: ImageReport, raw: bool) -> Iterator[str]:
    kernel, versions, sizes = report.kernel, report.versions, report.sizes
    yield f"{report.path}: {report.kind} program, {_boots(report)}"
    yield _row("program", report.program + (", stripped" if report.stripped else ""))
    if report.damaged:
        yield _row("", "its code or constants were changed since it was packed: it does not boot")
    elif report.changed:
        yield _row("", "changed since it was packed: `ukcc run` takes it as it is now")
    yield _row("entry", f"{report.entry:#x}")
    if report.interpreter:
        yield _row("interpreter", report.interpreter)
    yield _row("kernel", f"{kernel.get('release', '?')} (source {kernel.get('source', '?')})")
    yield _row("", f"configuration sha256 {kernel.get('config_sha256', '?')}")
    if "made" in kernel or "offers" in kernel:
        yield _row("", f"specialised: {kernel.get('made', '?')}")
        yield _row("", f"offers {kernel.get('offers') or 'no features beyond its system calls'}")
    if not report.thin:
        yield _row("", f"entered at physical {report.kernel_entry_paddr:#x}")
    yield _row("glibc", str(versions.get("glibc", "?")))
    yield _row("sysroot", report.sysroot)
    tools = (f"{k} {v}" for k, v in sorted(versions.items()) if k not in ("linux", "glibc"))
    yield _row("tools", ", ".join(tools))
    for label, library in _labelled("libraries", report.libraries):
        yield _row(label, library)
    yield from _calls(report, raw)
    yield _row("size", f"{sizes['file']:,} bytes")
    for part in ("application", "debug", "kernel", "archive"):
        yield _row("", f"{sizes[part]:>12,} {part}")
    if not report.thin:
        yield _row("memory", f"at least {report.memory_min_mib} MiB; {_default_memory(report)}")
    for label, path in _labelled("files", _first(report.files)):
        yield _row(label, path)
    for label, setting in _labelled("settings", tuple(_settings(report.settings))):
        yield _row(label, setting)
    if report.linkage:
        yield _row("linked", report.linkage)
    yield _row("linked by", " ".join(report.link_command))


def _boots(report: ImageReport) -> str:
    if report.thin:
        return "thin: `ukcc run` brings the kernel"
    try:
        read_facts(report.path)
    except MachineError:
        return "does not boot: another tool has moved its notes (`ukcc run` says more)"
    return "boots by PVH"


def _default_memory(report: ImageReport) -> str:
    """What a machine has without -m."""
    own = report.settings.get("memory")
    if isinstance(own, int):
        return f"{own} MiB, as the image's settings say"
    facts = ImageMetadata(memory_min_mib=report.memory_min_mib)
    return f"{default_memory_mib(facts)} MiB, {default_memory_reason(facts)}"


def _calls(report: ImageReport, raw: bool) -> Iterator[str]:
    by_bytes = report.sites_redirected and not report.sites_listed
    how = " (known by their bytes: their list was stripped)" if by_bytes else ""
    yield _row("system calls", f"{report.sites_redirected} redirected to the gate{how}")
    yield _row("", f"{len(report.sites_raw)} raw")
    if raw:
        for call in report.sites_raw:
            doubt = "" if call.certain else " (perhaps data)"
            place = call.function or "?"
            yield _row("", f"  {call.addr:#x} {place} {call.library}{doubt}".rstrip())
        return
    for module in report.modules:
        calls = f"{module.sites_redirected} redirected, {module.sites_raw} raw"
        yield _row("", f"  {module.path}: {calls}")
    counts = Counter((c.function or "?", c.library) for c in report.sites_raw)
    for (function, library), count in sorted(counts.items()):
        times = f" x{count}" if count > 1 else ""
        yield _row("", f"  {function}{times} {library}".rstrip())


def _first(paths: tuple[str, ...]) -> tuple[str, ...]:
    """Some of them, and how many more there are; --json has all."""
    more = len(paths) - _SHOWN_FILES
    return paths if more <= 0 else (*paths[:_SHOWN_FILES], f"and {more} more")


def _settings(settings: Mapping[str, Any]) -> Iterator[str]:
    """What the image carries of a uk.toml: `key = value`, values as TOML has them, in the main."""
    for key, value in sorted(settings.items()):
        yield f"{key} = {json.dumps(value, ensure_ascii=False)}"


def _labelled(label: str, values: "tuple[str, ...]") -> Iterator[tuple[str, str]]:
    """The label on the first line only."""
    for index, value in enumerate(values):
        yield ("" if index else label), value


def _row(label: str, value: str) -> str:
    return f"  {label:<13}{value}"
