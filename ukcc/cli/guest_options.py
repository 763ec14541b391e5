"""The options of `ukcc run` that say how the machine is initialised, as one value."""

from collections.abc import Callable
from functools import wraps
from typing import Any

import click

from ukcc.cli import configured
from ukcc.errors import MachineError, UkccError
from ukcc.image.collect import parse_word
from ukcc.image.files import FileSpec
from ukcc.settings.document import Step
from ukcc.settings.layers import Merged
from ukcc.vm import guest
from ukcc.vm.guest import Guest
from ukcc.vm.limits import parse_limit

_OPTIONS = (
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
    click.option("--json", "as_json", is_flag=True, help="--dry-run answers in JSON."),
)


def guest_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Adds the options; the function gets a Guest as `init`, instead of their values."""

    @wraps(command)
    def with_guest(
        *,
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
            hostname="" if hostname is None else guest.parse_hostname(hostname),
            user="" if user is None else guest.parse_user(user),
            workdir="" if workdir is None else guest.parse_workdir(workdir),
            limits=tuple(parse_limit(word) for word in ulimit),
            zone="" if tz is None else guest.parse_zone(tz),
            files=_files(merged.files, files),
            files_from="--file" if files else f"{merged.sources.get('files', '')}: files",
            steps=_steps(merged),
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


def _steps(merged: Merged) -> tuple[Step, ...]:
    steps = merged.steps or ()
    for number, step in enumerate(steps, start=1):
        if step.user:
            guest.parse_user(step.user, f"{merged.sources['init']}: init: step {number}: user")
    return steps
