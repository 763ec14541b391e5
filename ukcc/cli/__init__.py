"""The `ukcc` command. commands.py lists the subcommands."""

import signal
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from ukcc import __version__, streams
from ukcc.cli.commands import GROUPS, SUBCOMMANDS
from ukcc.errors import UkccError
from ukcc.light.tool import hold_streams
from ukcc.terminal import shown
from ukcc.unwinding import unwind_when_ended

_INTERRUPTED = 128 + signal.SIGINT


class Ukcc(click.Group):
    """Loads subcommands late, and turns every failure into one line and an exit status."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(SUBCOMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        found = SUBCOMMANDS.get(cmd_name)
        return found.load() if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Without loading them."""
        for title, commands in GROUPS.items():
            with formatter.section(title):
                formatter.write_dl([(command.name, command.summary) for command in commands])

    def main(self, args: Sequence[str] | None = None, *_: Any, **extra: Any) -> NoReturn:
        """Runs the command line and exits. A subcommand's integer result is the exit status."""
        hold_streams(inheritable=True)
        streams.make_honest()
        unwind_when_ended()
        extra["standalone_mode"] = False
        try:
            result = super().main(args, **extra)
            sys.stdout.flush()
        except click.exceptions.Abort:
            sys.exit(_INTERRUPTED)
        except click.ClickException as error:
            error.show()
            sys.exit(error.exit_code)
        except UkccError as error:
            for line in getattr(error, "tail", ()):
                print(f"  | {shown(line)}", file=sys.stderr)
            print(error.line("ukcc"), file=sys.stderr)
            sys.exit(error.status)
        except streams.NotWritten as error:
            streams.discard_output()
            if not error.reason:  # the reader (head, less) has gone; that is no failure
                sys.exit(128 + signal.SIGPIPE)
            print(f"ukcc: error: standard output: {error.reason}", file=sys.stderr)
            sys.exit(1)
        except Exception as error:
            from ukcc import bug

            print(shown(bug.report(error)), file=sys.stderr)
            sys.exit(bug.STATUS)
        sys.exit(result if isinstance(result, int) else 0)


@click.group(cls=Ukcc, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="ukcc")
def main() -> None:
    """Ordinary builds, files that also boot: tools around uk-gcc."""
