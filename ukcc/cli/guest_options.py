"""The options of `ukcc run` that say how the machine is initialised, as one value."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ukcc.cli import configured
from ukcc.errors import MachineError, UkccError
from ukcc.image.collect import parse_word
from ukcc.image.files import FileSpec
from ukcc.settings.limits import parse_limit
from ukcc.settings.words import parse_argv0, parse_hostname, parse_user, parse_workdir
from ukcc.vm.boot import guest
from ukcc.vm.boot.guest import Guest

_OPTIONS = (
    click.option("--argv0", metavar="NAME", help="What the application is told it is called."),
    click.option("--hostname", metavar="NAME", help="The machine's name."),
    click.option("--user", metavar="NAME|UID[:GROUP]", help="Who the application runs as."),
    click.option("--workdir", metavar="DIR", help="The application's working directory."),
    click.option(
        "--ulimit", multiple=True, metavar="NAME=SOFT[:HARD]", help="Set a resource limit."
    ),
    click.option("--tz", metavar="ZONE", help="The time zone: Europe/Berlin."),
    click.option(
        "--file",
        "files",
        multiple=True,
        metavar="SRC:DST",
        help="Put a file or directory of the host into the machine.",
    ),
    click.option("--config", metavar="FILE", help="Settings, instead of uk.toml beside IMAGE."),
    click.option("--no-config", is_flag=True, help="Without any settings but those given here."),
)


def guest_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the function gets a Guest as `init`, instead of their values."""

    @wraps(command)
    def with_guest(
        *,
        argv0: "str | None",
        hostname: "str | None",
        user: "str | None",
        workdir: "str | None",
        ulimit: tuple[str, ...],
        tz: "str | None",
        files: tuple[str, ...],
        config: "str | None",
        no_config: bool,
        **others: Any,
    ) -> Any:
        merged = configured.current()
        init = Guest(
            argv0="" if argv0 is None else parse_argv0(argv0),
            hostname="" if hostname is None else parse_hostname(hostname),
            user="" if user is None else parse_user(user),
            workdir="" if workdir is None else parse_workdir(workdir),
            limits=tuple(parse_limit(word) for word in ulimit),
            zone="" if tz is None else guest.parse_zone(tz),
            files=_files(merged.files, files),
            files_from="--file" if files else f"{merged.sources.get('files', '')}: files",
            steps=merged.steps or (),
        )
        return command(init=init, **others)

    for option in reversed(_OPTIONS):
        option(with_guest)
    return with_guest


def _files(lower: tuple[FileSpec, ...], words: tuple[str, ...]) -> tuple[FileSpec, ...]:
    """Those of the command line take the place of a file's at the same path."""
    try:
        given = [FileSpec(*parse_word(word)) for word in words]
    except UkccError as error:
        raise MachineError(f"--file {error.message}", error.hint) from None
    targets = {spec.target for spec in given}
    return (*(spec for spec in lower if spec.target not in targets), *given)
