"""`python -m conformance [SUITE…]`: runs suites in both lives, and says how they did."""

import difflib
import sys
from collections.abc import Sequence

import click

from conformance import glibc_suite, kselftest, report, results, schema
from conformance.schema import SuiteData
from ukcc.disk_errors import unwritable
from ukcc.errors import UkccError
from ukcc.progress import for_stderr
from ukcc.sysroot.build import cpus
from ukcc.sysroot.store import default_store
from ukcc.unwinding import unwind_when_ended

_RUNNERS = {"glibc": glibc_suite.run, "kselftest": kselftest.run}


@click.command()
@click.option("--list", "only_list", is_flag=True, help="Print the names of the suites.")
@click.option("--last", is_flag=True, help="Run nothing: print what suites said last.")
@click.option("--markdown", is_flag=True, help="Print the report for docs/conformance.md.")
@click.argument("names", nargs=-1, metavar="[SUITE]…")
def main(only_list: bool, last: bool, markdown: bool, names: Sequence[str]) -> None:
    """Run other people's tests in booted unikernels and as Linux processes.

    The exit status is 1 when a test fails as unikernel only, and nobody knows why.
    """
    try:
        wanted = select(schema.suites(), names)
        if only_list:
            click.echo("\n".join(data.name for data in wanted))
            return
        if not last:
            run_all(wanted)
        ran = {data.name for data in wanted}
        # stress-ng's results are beside them, and have a report of their own
        kept = [suite for suite in results.kept() if suite.name in ran]
        annotated = [report.annotate(suite, schema.notes(suite.name)) for suite in kept]
    except UkccError as error:
        print(error.line("conformance"), file=sys.stderr)
        sys.exit(error.status)
    except OSError as error:  # a full disk, for one
        problem = unwritable(default_store().root, error)
        print(problem.line("conformance"), file=sys.stderr)
        sys.exit(problem.status)
    click.echo(report.markdown(annotated) if markdown else report.plain(annotated), nl=False)
    sys.exit(1 if any(suite.unexplained for suite in annotated) else 0)


def select(suites: dict[str, SuiteData], names: Sequence[str]) -> list[SuiteData]:
    """The suites of these names, all of them for none. Raises UkccError."""
    for name in names:
        if name not in suites:
            near = difflib.get_close_matches(name, suites, 1, 0)[0]
            raise UkccError(f"{name}: no such suite; the nearest is {near}")
    return [suites[name] for name in names] or list(suites.values())


def run_all(wanted: Sequence[SuiteData]) -> None:
    """One suite after the other; each is kept as soon as it is done. Raises UkccError."""
    progress = for_stderr(quiet=not sys.stderr.isatty())
    store = default_store()
    for data in wanted:
        # Suites of one kind share a tree.
        waiting = progress.step(f"waiting for another run of {data.kind}")
        with store.locked(f"conformance-{data.kind}", waiting):
            suite = _RUNNERS[data.kind](data, schema.notes(data.name), progress, cpus())
        results.keep(suite)
        if not sys.stderr.isatty():
            done = report.annotate(suite, schema.notes(data.name))
            print(report.plain([done]), end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    unwind_when_ended()
    main()
