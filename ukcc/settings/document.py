"""`uk.toml`, or the same as an image carries it, read strictly: text → document → Settings.

Part of a link with UKCC_CONFIG: the standard library, and tomli on Python 3.10.
"""

from __future__ import annotations

# Importing pathlib would cost a link 5 ms:
# ruff: noqa: PTH118, PTH120, PTH123
import os
import sys

from ukcc.errors import MachineError, UkccError
from ukcc.image.files import FileSpec
from ukcc.light.record import Record
from ukcc.settings import foreign, keys, shapes
from ukcc.settings.keys import FLAG, KEYS, TEXT, Key
from ukcc.settings.words import PARSERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Container, Mapping, Sequence
    from typing import Any

NAME = "uk.toml"
_BACKING = ",backing="

# Of [kernel]. An image carries no options: some name files of the host, to be put into the kernel.
_KERNEL_LISTS = ("require", "forbid", "options")
_CARRIED_LISTS = ("require", "forbid")


class InitStep(Record):
    """A command of the image that runs before the application.

    run: the absolute path of a program, then its arguments; user, workdir: empty for root and /;
    env: `NAME=VALUE` or `NAME` beside the application's; optional: its failure is no failure.
    """

    run: tuple[str, ...]
    user: str = ""
    workdir: str = ""
    env: tuple[str, ...] = ()
    optional: bool = False


class KernelWish(Record):
    """What the kernel is to be: features that it has to have or not to have, further options as
    lines of a .config, and its class, one of `keys.KERNEL_CLASSES` or empty. None: not said.
    """

    require: tuple[str, ...] | None = None
    forbid: tuple[str, ...] | None = None
    options: tuple[str, ...] | None = None
    kind: str = ""


class Settings(Record):
    """What one place says. values: of the options, by key; arguments, steps, kernel: None if not
    said.

    source: the place as an error names it; env: `NAME=VALUE` or `NAME`, the last counts.
    """

    source: str
    values: dict[str, Any]
    arguments: tuple[str, ...] | None = None
    env: tuple[str, ...] = ()
    files: tuple[FileSpec, ...] = ()
    steps: tuple[InitStep, ...] | None = None
    kernel: KernelWish | None = None


def read_settings(
    path: str, known: Mapping[str, Key] = KEYS, check: Callable[[int], None] = lambda fd: None
) -> Settings:
    """The settings of a file; relative paths in it become relative to its directory.

    check: looks at the open file before it is read, and may raise. Raises UkccError: one line with
    file and key for what is no TOML, unknown or of a wrong type.
    """
    return parse_settings(read_document(path, check), path, known, os.path.dirname(path))


def read_document(path: str, check: Callable[[int], None] = lambda fd: None) -> dict[str, Any]:
    """The decoded file. Raises UkccError."""
    try:
        with open(path, "rb") as file:
            check(file.fileno())
            return tomllib.loads(file.read().decode())
    except OSError as error:
        raise UkccError(f"{path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UkccError(f"{path}: is not UTF-8, which TOML has to be") from None
    except tomllib.TOMLDecodeError as error:
        raise UkccError(f"{path}: {error}") from None


def parse_settings(
    document: Mapping[str, Any],
    source: str,
    known: Mapping[str, Key] = KEYS,
    directory: str = "",
) -> Settings:
    """A decoded document as settings. directory: what its relative paths are relative to."""
    _check_keys(document, source, known)
    values = {
        key: _based(key, shapes.value(value, known[key], f"{source}: {key}"), directory)
        for key, value in document.items()
        if key not in keys.FURTHER
    }
    for key, value in values.items():
        _check_words(key, value, f"{source}: {key}")
    arguments = document.get(keys.ARGUMENTS)
    steps = document.get(keys.STEPS)
    kernel = document.get(keys.KERNEL)
    return Settings(
        source=source,
        values=values,
        arguments=None if arguments is None else shapes.texts(arguments, f"{source}: args"),
        env=shapes.environment(document.get(keys.ENVIRONMENT, []), f"{source}: env"),
        files=_files(document.get(keys.FILES, {}), f"{source}: files", directory),
        steps=None if steps is None else _steps(steps, f"{source}: init"),
        kernel=None if kernel is None else _kernel(kernel, f"{source}: kernel"),
    )


def carried(settings: Settings) -> dict[str, Any]:
    """The document that an image carries of these settings; `parse_settings` reads it again.

    What is the host's own stays out (`foreign`), and so do variables that are passed on by name.
    """
    document: dict[str, Any] = {
        key: value
        for key, value in settings.values.items()
        if not foreign.refused(key, value, here=False)
    }
    if settings.arguments is not None:
        document[keys.ARGUMENTS] = list(settings.arguments)
    env = _given(settings.env)
    if env:
        document[keys.ENVIRONMENT] = env
    if settings.steps is not None:
        document[keys.STEPS] = [_carried_step(step) for step in settings.steps]
    if settings.kernel is not None:
        document[keys.KERNEL] = _carried_kernel(settings.kernel)
    return document


def left_out(settings: Settings) -> list[str]:
    """What `carried` leaves out: keys, and `env` with the names of the variables."""
    words = [
        key for key, value in settings.values.items() if foreign.refused(key, value, here=False)
    ]
    if settings.kernel and settings.kernel.options:
        words.append(f"{keys.KERNEL}.options")
    env = [*settings.env, *(word for step in settings.steps or () for word in step.env)]
    names = [word for word in env if "=" not in word]
    return [*words, *([f"{keys.ENVIRONMENT} ({', '.join(names)})"] if names else [])]


def parse_carried(
    document: Mapping[str, Any],
    source: str,
    known: Mapping[str, Key],
    said: Container[str] = (),
) -> Settings:
    """What an image says of itself. Raises UkccError where it asks for something of the host's.

    said: keys that the user says, for which the image's word does not count.
    """
    for key in document:
        if key in keys.OF_HOST or key == keys.FILES:
            raise UkccError(f"{source}: {key}: an image cannot ask for files of the host")
    own = {key: value for key, value in document.items() if key not in said or key not in known}
    settings = parse_settings(own, source, known)
    if settings.kernel and settings.kernel.options:
        raise UkccError(f"{source}: kernel: an image cannot choose options of its kernel")
    for key, value in settings.values.items():
        problem = foreign.refused(key, value)
        if problem:
            raise UkccError(
                f"{source}: {key}: an image cannot {problem}",
                f"say --{key} yourself, or leave the image's settings aside by --no-config",
            )
    words = [*settings.env, *(word for step in settings.steps or () for word in step.env)]
    asked = [word for word in words if "=" not in word]
    if asked:
        raise UkccError(f"{source}: env: an image cannot ask for the host's {asked[0]}")
    return settings


def _carried_step(step: InitStep) -> dict[str, Any]:
    fields: dict[str, Any] = {"run": list(step.run)}
    if step.user:
        fields["user"] = step.user
    if step.workdir:
        fields["workdir"] = step.workdir
    if _given(step.env):
        fields["env"] = _given(step.env)
    if step.optional:
        fields["optional"] = True
    return fields


def _carried_kernel(wish: KernelWish) -> dict[str, Any]:
    fields: dict[str, Any] = {
        key: list(words) for key in _CARRIED_LISTS if (words := getattr(wish, key)) is not None
    }
    return {**fields, "class": wish.kind} if wish.kind else fields


def _given(env: Sequence[str]) -> list[str]:
    return [word for word in env if "=" in word]


def _check_keys(document: Mapping[str, Any], source: str, known: Mapping[str, Key]) -> None:
    for key in document:
        if key in keys.REFUSED:
            reason = keys.REFUSED[key]
            raise UkccError(f"{source}: {key!r} has no place in a file of settings", reason)
        if key not in known and key not in keys.FURTHER:
            raise shapes.unknown(source, key, [*known, *keys.FURTHER])


def _check_words(key: str, value: Any, where: str) -> None:
    """Raises UkccError for what the option of that name would not take."""
    parse = PARSERS.get(key)
    for word in value if isinstance(value, list) else [value]:
        try:
            if parse:
                parse(word)
        except MachineError as error:
            message = error.message.removeprefix(f"--{key} ")
            raise UkccError(f"{where}: {message}", error.hint) from None


def _based(key: str, value: Any, directory: str) -> Any:
    if key not in keys.OF_HOST:
        return value
    if isinstance(value, list):
        return [_based_word(word, directory) for word in value]
    return _based_word(value, directory)


def _based_word(word: str, directory: str) -> str:
    """With the path that it begins with, and those of a disk's `backing`, below the directory."""
    first, *more = word.split(_BACKING)
    return _BACKING.join(os.path.join(directory, path) for path in (first, *more))


def _files(value: Any, where: str, directory: str) -> tuple[FileSpec, ...]:
    """`"/etc/app.conf" = "app.conf"`, or `= {source = …, mode = "0640", owner = "redis:redis"}`."""
    return tuple(
        _file(target, entry, f"{where}: {target}", directory)
        for target, entry in shapes.table(value, where).items()
    )


def _file(target: str, value: Any, where: str, directory: str) -> FileSpec:
    if not target.startswith("/"):
        raise UkccError(f"{where}: the path in the image must begin with /")
    entry = {"source": value} if isinstance(value, str) else shapes.table(value, where)
    shapes.check_known(entry, ("source", "mode", "owner"), where)
    source = shapes.text(entry.get("source", ""), f"{where}: source")
    if not source:
        raise UkccError(f"{where}: has no source", 'say source = "…", a file of the host')
    return FileSpec(
        source=os.path.join(directory, source),
        target=os.path.normpath(shapes.text(target, where)),
        mode=shapes.mode(entry["mode"], f"{where}: mode") if "mode" in entry else -1,
        owner=shapes.text(entry.get("owner", ""), f"{where}: owner"),
    )


def _kernel(value: Any, where: str) -> KernelWish:
    """`[kernel]`: which words are features is for who makes the kernel to say."""
    entry = shapes.table(value, where)
    shapes.check_known(entry, (*_KERNEL_LISTS, "class"), where)
    words = {
        key: shapes.texts(entry[key], f"{where}: {key}") for key in _KERNEL_LISTS if key in entry
    }
    kind = ""
    if "class" in entry:
        kind = shapes.value(entry["class"], Key(TEXT, keys.KERNEL_CLASSES), f"{where}: class")
    return KernelWish(**words, kind=kind)


def _steps(value: Any, where: str) -> tuple[InitStep, ...]:
    if not isinstance(value, list):
        raise UkccError(f"{where}: it takes tables", "write [[init]] above each step")
    return tuple(_step(item, f"{where}: step {n}") for n, item in enumerate(value, start=1))


def _step(value: Any, where: str) -> InitStep:
    entry = shapes.table(value, where)
    shapes.check_known(entry, InitStep._fields, where)
    run = shapes.texts(entry.get("run", ()), f"{where}: run")
    if not run or not run[0].startswith("/"):
        raise UkccError(f"{where}: run: it takes the absolute path of a program, then its words")
    own = {
        key: shapes.text(entry[key], f"{where}: {key}")
        for key in ("user", "workdir")
        if key in entry
    }
    for key, text in own.items():
        _check_words(key, text, f"{where}: {key}")
    return InitStep(
        run=run,
        **own,
        env=shapes.environment(entry.get("env", ()), f"{where}: env"),
        optional=shapes.value(entry.get("optional", False), Key(FLAG), f"{where}: optional"),
    )
