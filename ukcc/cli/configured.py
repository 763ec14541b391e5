"""`ukcc run`'s options from files: a command whose defaults come from `uk.toml` and the image.

The options keep their own parsers; a file's value takes the place of an option that was not given,
and what is wrong with it is said with the file's name and the key.
"""

import contextlib
import json
import os
import re
import shlex
import stat
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from ukcc.cli.dry_run import DryRun
from ukcc.errors import MachineError, UkccError
from ukcc.image.facts import read_metadata
from ukcc.settings import keys
from ukcc.settings.document import NAME, Settings, parse_carried, read_settings
from ukcc.settings.keys import FLAG, INTEGER, NUMBER, TEXT, TEXTS, Key
from ukcc.settings.layers import Merged, merge, merge_env
from ukcc.vm.options import parse_share
from ukcc.vm.storage.trail import check_settings

_MERGED = "ukcc.settings"
_BESIDE = "ukcc.settings.beside"  # the path of a file that nobody named
_COMMAND_LINE = "command line"
_DEFAULT = "default"

# What of the command's parameters is no option, or joins what files say.
_ARGUMENTS, _ENV, _FILES, _VOLUME = "arguments", "env", "files", "volume"


def keys_of(command: click.Command) -> dict[str, Key]:
    """The options that may be keys of a file, by their long names, with what each takes."""
    found = {}
    for option in command.params:
        name = long_name(option)
        if isinstance(option, click.Option) and name not in keys.REFUSED:
            found[name] = _key(option)
    return found


def long_name(option: click.Parameter) -> str:
    """`publish` for `-p`, `--publish`."""
    return max(option.opts, key=len).lstrip("-")


def _key(option: click.Option) -> Key:
    if option.multiple:
        return Key(TEXTS)
    if option.is_flag:
        return Key(FLAG)
    if isinstance(option.type, click.Choice):
        return Key(TEXT, tuple(option.type.choices))
    if isinstance(option.type, click.types.IntParamType):
        return Key(INTEGER)
    if isinstance(option.type, click.types.FloatParamType):
        return Key(NUMBER)
    return Key(TEXT)


def current() -> Merged:
    """What the files say to the command that runs."""
    merged = click.get_current_context().meta[_MERGED]
    assert isinstance(merged, Merged)
    return merged


class Configured(click.Command):
    """A command with an argument IMAGE and further ARGUMENTS, and the options --config, --env.

    passed_over: keys that files may have, and that are not for this command.
    """

    passed_over: frozenset[str] = frozenset()

    def known(self) -> dict[str, Key]:
        """The keys that files may have."""
        return keys_of(self)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        given, _, _ = self.make_parser(ctx).parse_args(list(args))
        merged = merge([] if given.get("help") else self._layers(ctx, given))
        ctx.meta[_MERGED] = merged
        ctx.default_map = {
            str(option.name): merged.values[long_name(option)]
            for option in self.params
            if long_name(option) in merged.values and long_name(option) not in self.passed_over
        }
        with self._blame(ctx, merged):
            rest = super().parse_args(ctx, args)
            if _BESIDE in ctx.meta:
                shares = map(parse_share, ctx.params.get(_VOLUME) or ())
                check_settings(tuple(shares), ctx.meta[_BESIDE])
        if not ctx.params[_ARGUMENTS] and merged.arguments:
            ctx.params[_ARGUMENTS] = merged.arguments
        ctx.params[_ENV] = merge_env(merged.env, ctx.params[_ENV])
        return rest

    def invoke(self, ctx: click.Context) -> Any:
        with self._blame(ctx, ctx.meta[_MERGED]):
            return super().invoke(ctx)

    def _layers(self, ctx: click.Context, given: Mapping[str, Any]) -> list[Settings]:
        """The image's own settings, then those of the file. Raises MachineError."""
        image = given.get("image")
        if not isinstance(image, str) or given.get("no_config"):
            return []
        known = self.known()
        try:
            layers = _file(ctx.meta, given.get("config"), image, known)
            said = {key for layer in layers for key in layer.values}
            said |= {long_name(option) for option in self.params if option.name in given}
            return [*_carried(image, known, said), *layers]
        except UkccError as error:
            raise MachineError(error.message, error.hint) from None

    @contextlib.contextmanager
    def _blame(self, ctx: click.Context, merged: Merged) -> Iterator[None]:
        """Says file and key of a value that was refused, instead of an option that nobody gave."""
        try:
            yield
        except click.BadParameter as error:
            key = long_name(error.param) if error.param else ""
            if not error.param or not _is_from_file(ctx, error.param):
                raise
            place = f"{merged.sources[key]}: {key}"
            raise MachineError(f"{place}: {error.message}") from None
        except MachineError as error:
            for option in self.params:
                words = "|".join(map(re.escape, option.opts))
                if _is_from_file(ctx, option) and re.match(rf"({words})\b", error.message):
                    key = long_name(option)
                    message = re.sub(rf"^({words})\b ?", "", error.message)
                    raise MachineError(
                        f"{merged.sources[key]}: {key}: {message}", error.hint, error.status
                    ) from None
            raise


def _is_from_file(ctx: click.Context, option: click.Parameter) -> bool:
    return ctx.get_parameter_source(str(option.name)) == ParameterSource.DEFAULT_MAP


def _carried(image: str, known: Mapping[str, Key], said: Container[str]) -> list[Settings]:
    """What the image says; nothing for what is no image, of which others will speak."""
    with contextlib.suppress(MachineError):
        document = read_metadata(image).get("settings")
        if isinstance(document, dict):
            return [parse_carried(document, f"{image}, as linked", known, said)]
    return []


def settings_of(image: str, given: "str | None") -> Merged:
    """What an image and its file say, for a command that is not a run of it.

    given: of --config: `""` is no file, None the one beside the image, if any. Raises UkccError.
    """
    return merge([*_carried(image, keys.KEYS, ()), *_file({}, given, image, keys.KEYS)])


def _file(
    meta: dict[str, Any], given: "str | None", image: str, known: Mapping[str, Key]
) -> list[Settings]:
    """What the file says; `--config ''` is none, no --config the one beside the image, if any."""
    if isinstance(given, str):
        return [read_settings(given, known)] if given else []
    beside = Path(image).parent / NAME
    if not beside.is_file():
        return []
    meta[_BESIDE] = str(beside)
    return [read_settings(str(beside), known, lambda fd: _check_owner(fd, beside))]


def _check_owner(fd: int, beside: Path) -> None:
    """It names directories of the host and commands of the machine: in /tmp, anybody's.

    Looks at the file that is open, so that it is the one that is read; and at the name, for who
    makes a link there chooses the file.
    """
    for found in (beside.lstat(), os.fstat(fd)):
        writable = found.st_mode & stat.S_IWOTH and not stat.S_ISLNK(found.st_mode)
        if found.st_uid not in (os.geteuid(), 0) or writable:
            raise UkccError(
                f"{beside}: it belongs to another user, or everybody may write to it",
                f"if you trust it, name it: --config {beside}; --config '' does without",
                125,
            )


def shown(ctx: click.Context) -> dict[str, dict[str, Any]]:
    """Each setting: its value, and the place that says it; those of init and files as well."""
    merged: Merged = ctx.meta[_MERGED]
    found = {}
    for option in ctx.command.params:
        key = long_name(option)
        if isinstance(option, click.Option) and key not in {*keys.REFUSED, "help"}:
            value = ctx.params[str(option.name)] if option.expose_value else None
            found[key] = {"value": value, "from": _origin(ctx, option, merged)}
    given = ctx.get_parameter_source(_ARGUMENTS) == ParameterSource.COMMANDLINE
    place = _COMMAND_LINE if given else merged.sources.get(keys.ARGUMENTS, _DEFAULT)
    found[keys.ARGUMENTS] = {"value": ctx.params[_ARGUMENTS], "from": place}
    steps = [" ".join(step.run) for step in merged.steps or ()]
    found[keys.STEPS] = {"value": steps, "from": merged.sources.get(keys.STEPS, _DEFAULT)}
    files = [f"{spec.source}:{spec.target}" for spec in merged.files]
    words = ctx.params[_FILES]
    below = merged.sources.get(keys.FILES, _DEFAULT)
    found[keys.FILES] = {"value": [*files, *words], "from": _both(below) if words else below}
    return found


def _both(below: str) -> str:
    """The command line, for what does not replace but join what is said below."""
    return _COMMAND_LINE if below == _DEFAULT else f"{_COMMAND_LINE}, {below}"


def _origin(ctx: click.Context, option: click.Parameter, merged: Merged) -> str:
    source, key = ctx.get_parameter_source(str(option.name)), long_name(option)
    below = merged.sources.get(key, _DEFAULT)
    if source == ParameterSource.COMMANDLINE:
        return _both(below) if key == _ENV else _COMMAND_LINE
    return below


def shown_lines(settings: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """A line for each setting that somebody has said, in the words of a command line."""
    for key, setting in settings.items():
        if setting["from"] == _DEFAULT:
            continue
        value = setting["value"]
        words = value if isinstance(value, list | tuple) else [str(value)]
        yield f"{key}: {shlex.join(words)} ({setting['from']})"


def shown_json(settings: Mapping[str, Any], would: DryRun) -> str:
    """`settings` as `shown` gives them, and what would run: lists of words.

    `command` is the VMM's, `daemons` those beside it; `configuration` what a VMM has instead.
    """
    return json.dumps({**would.document, "settings": settings}, indent=2, sort_keys=True)
