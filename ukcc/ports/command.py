"""`ukcc port`: applications built from their sources by recipes, and put to the test."""

import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from ukcc.errors import UkccError
from ukcc.ports import recipe as recipes
from ukcc.ports.place import PortBuild, directory, place
from ukcc.ports.recipe import Recipe
from ukcc.progress import Progress, for_stderr

_FAILED = 1


class Ports:
    """The recipes that commands are about.

    known: name -> recipe, of those that were asked for, and of what they depend on.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.known: dict[str, Recipe] = {}

    def all(self) -> dict[str, Recipe]:
        self.known = recipes.load_all(self.directory)
        return self.known

    def chosen(self, names: Sequence[str], everything: bool, ci: bool = False) -> list[Recipe]:
        """Raises UkccError for an unknown name, and for none. ci: those that CI tests as well."""
        if everything:
            return list(self.all().values())
        if ci:
            names = [*names, *(name for name, one in self.all().items() if one.ci)]
        if not names:
            raise UkccError("no port is named", "name some, or give --all")
        self.known = recipes.load_named(self.directory, names)
        return [self.known[name] for name in dict.fromkeys(names)]


class PortName(StringParamType):
    """The name of a port, which is that of its directory."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin like that."""
        given = ctx.parent.params.get("ports") if ctx.parent else None
        names = recipes.names_in(recipes.recipes_directory(given))
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


_names = click.argument("names", type=PortName(), nargs=-1, metavar="[NAME]…")
_all = click.option("--all", "everything", is_flag=True, help="All ports.")
_ci = click.option("--ci", is_flag=True, help="The ports that CI tests.")
_jobs = click.option(
    "-j",
    "--jobs",
    "parallel",
    default=1,
    show_default=True,
    type=click.IntRange(min=1),
    help="Ports at a time; each make gets its part of the processors.",
)
_kernel = click.option(
    "--kernel",
    type=click.Choice(["general", "own"]),
    default="general",
    show_default=True,
    help="The images' kernel: the sysroot's, or each one of its own.",
)
_quiet = click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors.")


@click.group()
@click.option("--ports", metavar="DIR", help="Where recipes are (UKCC_PORTS; default: ukcc's own).")
@click.pass_context
def command(context: click.Context, ports: "str | None") -> None:
    """Applications by recipe: built from source by uk-gcc, booted, tested."""
    context.obj = Ports(recipes.recipes_directory(ports))


@command.command("list")
@click.option("--json", "form", flag_value="json", help="Print JSON.")
@click.option("--markdown", "form", flag_value="markdown", help="Print docs/ports.md.")
@click.pass_obj
def list_ports(ports: Ports, form: "str | None") -> None:
    """List ports: version, and what their last test said."""
    from ukcc.ports import table

    if form == "markdown":
        click.echo(table.markdown(ports.all()), nl=False)
    elif form == "json":
        click.echo(json.dumps([table.row(one) for one in ports.all().values()], indent=2))
    else:
        click.echo("\n".join(table.lines(ports.all().values())))


@command.command()
@click.argument("name", type=PortName())
@click.pass_obj
def show(ports: Ports, name: str) -> None:
    """Show how a port is built, and where. Runs nothing."""
    from ukcc.ports import table

    (chosen,) = ports.chosen([name], everything=False)
    click.echo("\n".join(table.shown(place(chosen, ports.known))))


@command.command()
@_names
@_all
@_ci
@click.pass_obj
def packages(ports: Ports, names: Sequence[str], everything: bool, ci: bool) -> None:
    """Print the Debian packages that ports need, with what they depend on."""
    ports.chosen(names, everything, ci)
    wanted = {word for one in ports.known.values() for word in one.build.packages}
    click.echo("\n".join(sorted(wanted)))


@command.command()
@_names
@_all
@_quiet
@click.pass_obj
def fetch(ports: Ports, names: Sequence[str], everything: bool, quiet: bool) -> int:
    """Download sources, and compare every file with the recipe's SHA-256."""
    from ukcc.ports import sources

    progress = for_stderr(quiet)
    failed = {}
    for chosen in ports.chosen(names, everything):
        try:
            with progress.step(f"{chosen.name}: fetch"):
                sources.fetch(chosen)
        except UkccError as error:
            failed[chosen.name] = error
    return _say_failures(failed)


@command.command()
@_names
@_all
@_jobs
@_quiet
@click.pass_obj
def build(ports: Ports, names: Sequence[str], everything: bool, parallel: int, quiet: bool) -> int:
    """Build ports and what they depend on; does nothing for those that are built.

    Prints where each one is. A port that fails does not stop the others.
    """
    chosen = ports.chosen(names, everything)
    failed = _build(ports, chosen, for_stderr(quiet), parallel)
    for one in chosen:
        if one.name not in failed:
            click.echo(place(one, ports.known).root)
    return _say_failures(failed)


@command.command()
@_names
@_all
@_jobs
@_quiet
@_ci
@_kernel
@click.option("--long", is_flag=True, help="Also the applications' own suites, in both lives.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_obj
def test(
    ports: Ports,
    names: Sequence[str],
    everything: bool,
    parallel: int,
    quiet: bool,
    ci: bool,
    kernel: str,
    long: bool,
    as_json: bool,
) -> int:
    """Build ports and test them: each does its job, booted, for a real client."""
    from ukcc.ports import run, table

    chosen = ports.chosen(names, everything, ci)
    progress = for_stderr(quiet)
    failed = _build(ports, chosen, progress, parallel)
    found = []
    for one in chosen:
        if one.name in failed:
            continue
        try:
            where = _with_kernel(kernel, place(one, ports.known), progress, long=long)
            found.append(run.test(where, progress, long=long))
        except UkccError as error:
            failed[one.name] = error
        if not as_json and one.name not in failed:
            click.echo("\n".join(table.verdicts(found[-1], where)))
    if as_json:
        click.echo(json.dumps([table.plain(result) for result in found], indent=2))
    status = _say_failures(failed)
    return status or (0 if all(result.passed for result in found) else _FAILED)


@command.command()
@_names
@_all
@click.pass_obj
def clean(ports: Ports, names: Sequence[str], everything: bool) -> None:
    """Remove what was built of ports; sources and results stay."""
    for one in ports.chosen(names, everything):
        root = directory() / one.name
        for built in root.iterdir() if root.is_dir() else ():
            if built.is_dir():
                shutil.rmtree(built)


@command.command()
@click.argument("name")
@click.option("--package", help="The source package (default: of the port's name).")
@click.pass_obj
def new(ports: Ports, name: str, package: "str | None") -> None:
    """Begin a recipe, from a source package of the distribution. Prints its file."""
    from ukcc.ports import skeleton

    click.echo(skeleton.write(ports.directory, name, package or name))


@command.command()
@_names
@_all
@click.pass_obj
def update(ports: Ports, names: Sequence[str], everything: bool) -> int:
    """Have recipes name the newest version in the distribution, with its SHA-256s."""
    from ukcc.ports import skeleton

    failed = {}
    for one in ports.chosen(names, everything):
        try:
            was, now = skeleton.update(one)
        except UkccError as error:
            failed[one.name] = error
            continue
        click.echo(f"{one.name}: {was}" + (f" → {now}" if was != now else ", the newest"))
    return _say_failures(failed)


def _build(
    ports: Ports, chosen: Sequence[Recipe], progress: Progress, parallel: int
) -> dict[str, UkccError]:
    from ukcc.ports import run

    return run.build_all(chosen, ports.known, progress, parallel)


def _with_kernel(kernel: str, built: PortBuild, progress: Progress, *, long: bool) -> PortBuild:
    """The place with the images that are asked for."""
    if kernel == "general":
        return built
    from ukcc.ports.own import with_own_kernels

    return with_own_kernels(built, progress, long=long)


def _say_failures(failed: "dict[str, UkccError]") -> int:
    """Each with the end of what it said. The exit status."""
    for name, error in failed.items():
        for line in getattr(error, "tail", ()):
            print(f"  | {line}", file=sys.stderr)
        message = error.line("ukcc port")
        print(message if name in message else f"{name}: {message}", file=sys.stderr)
    return _FAILED if failed else 0
