"""`ukcc explain -- uk-gcc ARGS…`: the plan for one command line, and how its program is linked."""

import os
import shlex
import tempfile
from collections.abc import Iterable
from pathlib import Path

import click

from ukcc import proc
from ukcc.cc import driver, link, linkage, options, plan, toolchain, tools
from ukcc.cc.log import shell_line
from ukcc.cc.parse import INPUT, UNKNOWN, Argument, Invocation, linker_meanings, linker_words, parse
from ukcc.errors import UkccError

_MEANS = {UNKNOWN: "passes through", INPUT: "an input"}


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("words", nargs=-1, required=True, type=click.UNPROCESSED)
def explain(words: tuple[str, ...]) -> None:
    """Say how each argument was read, which commands would run, and why.

    Example: ukcc explain -- uk-gcc -O2 hello.c -o hello
    """
    name = toolchain.plain_name(words[0])
    argv = list(words[1:])
    if name in driver.COMPILERS:
        lines = _compiler(driver.COMPILERS[name], argv)
    elif name:
        lines = _command("run", tools.command(name, argv, os.environ))
    else:
        raise UkccError(f"'{words[0]}' is not a command of ukcc", "name one, as uk-gcc or uk-ar")
    for line in lines:
        click.echo(line)


def _compiler(compiler: str, argv: "list[str]") -> "list[str]":
    tools_of_host = toolchain.find_toolchain(compiler, os.environ)
    invocation = parse(argv)
    steps = plan.make_plan(argv, invocation, tools_of_host, linkage.ON_DISK)
    linked = _try_link(invocation, tools_of_host)
    static = bool(linked and not linked.status and linked.linkage.startswith("static:"))
    return [
        "arguments:",
        *_arguments(invocation),
        f"kind: {steps.kind}",
        f"why: {steps.reason}",
        *_linkage(linked, steps),
        f"sysroot: {tools_of_host.sysroot or 'none; run `ukcc sysroot build`'}",
        *_link_files(steps, steps.static if static else steps.command),
        *_steps(steps, static),
    ]


# They leave files beside the output, which an explanation must not.
_SIDE_FILES = ("-MD", "-MMD", "-MF", "-MP", "-MQ", "-MT", "--coverage", "-gsplit-dwarf")
_SIDE_PREFIXES = ("-save-temps", "-fdump-", "-dump", "-fprofile", "-ftest-coverage")


def _try_link(invocation: Invocation, tools_of_host: toolchain.Toolchain) -> "link.Linked | None":
    """The link itself, into a directory that goes; None where the command line settles its kind."""
    words = [w for a in invocation.arguments if not _leaves_files(a) for w in a.words]
    with tempfile.TemporaryDirectory(prefix="ukcc-") as scratch:
        trial = [*words, "-o", f"{scratch}/program"]
        steps = plan.make_plan(trial, parse(trial), tools_of_host, linkage.ON_DISK)
        if steps.kind not in (plan.PROGRAM, plan.ORDINARY) or not steps.static:
            return None
        return link.try_link(steps, os.environ)


def _linkage(linked: "link.Linked | None", steps: plan.Plan) -> "list[str]":
    if linked is None:
        return [f"linkage: {steps.reason}"] if steps.kind == plan.PROGRAM else []
    return [f"linkage: {'not known, since the link fails' if linked.status else linked.linkage}"]


def _leaves_files(argument: Argument) -> bool:
    if argument.meaning == options.LINKER:
        names = [word.lstrip("-").partition("=")[0] for word in linker_words(argument)]
        return any(name in ("Map", "dependency-file", "o", "output") for name in names)
    return argument.name in _SIDE_FILES or argument.words[0].startswith(_SIDE_PREFIXES)


def _arguments(invocation: Invocation) -> "list[str]":
    rows = [(shell_line(a.words), _meaning(a)) for a in invocation.arguments]
    width = min(max((len(text) for text, _ in rows), default=0), 40)
    return [f"  {text:{width}}  {meaning}" for text, meaning in rows]


def _meaning(argument: Argument) -> str:
    meaning = _MEANS.get(argument.meaning, argument.meaning)
    if argument.meaning == options.LINKER:
        meaning = "; ".join([meaning, *linker_meanings(argument)])
    return f"{meaning} (from {argument.origin})" if argument.origin else meaning


def _steps(steps: plan.Plan, static: bool) -> "list[str]":
    if steps.kind == plan.NO_SYSROOT:
        return ["fails: no sysroot to link against; run `ukcc sysroot build`"]
    if steps.kind != plan.PROGRAM:
        return _command("become", steps.command)
    lines = _command("run", steps.command)
    if static:
        lines += ["in its place:", *_command("run", steps.static)]
    what = "name the kernel" if steps.thin else "pack the kernel"
    around = "in" if steps.thin else "around"
    return [*lines, f"then: {what} of {steps.sysroot} {around} {shell_line([steps.output])}"]


def _link_files(steps: plan.Plan, command: "tuple[str, ...]") -> "list[str]":
    """Where start files, archives and the kernel come from; nothing for what is no program."""
    if steps.kind not in (plan.PROGRAM, plan.ORDINARY):
        return []
    rows = _found(_linker_words(command))
    if steps.kind == plan.PROGRAM:
        rows.append(("kernel", f"{steps.sysroot}/kernel/kernel.bin"))
    width = max((len(word) for word, _ in rows), default=0)
    return ["files:", *(f"  {word:{width}}  {place}" for word, place in rows)] if rows else []


def _linker_words(command: "tuple[str, ...]") -> "list[str]":
    """What the compiler would tell the linker; [] if it has something else to say."""
    # It answers on standard error.
    dry_run = ["sh", "-c", 'exec "$@" 2>&1', "sh", command[0], "-###", *command[1:]]
    try:
        answer = proc.output(dry_run, env={"LC_ALL": "C"})
    except proc.ProgramFailed:
        return []
    lines = [line for line in answer.splitlines() if line.startswith(" ")]
    words = shlex.split(lines[-1]) if lines else []
    return words[1:] if words and Path(words[0]).name in ("collect2", "ld") else []


def _found(words: "list[str]") -> "list[tuple[str, str]]":
    """The words of the linker that are files or libraries, in order, and where each is found."""
    directories = [word[2:] for word in words if word.startswith("-L")]
    rows = []
    static = False
    for before, word in zip(["", *words], words, strict=False):
        if before == "-plugin":
            continue
        if word in ("-static", "-Bstatic", "-dn", "-non_shared"):
            static = True
        elif word in ("-Bdynamic", "-dy", "-call_shared"):
            static = False
        elif word.startswith("-l"):
            rows.append((word, _library(word[2:], directories, static=static)))
        elif Path(word).suffix in (".o", ".a", ".so") and Path(word).is_file():
            # What is not there is an object that the compiler would make.
            rows.append((Path(word).name, os.path.normpath(word)))
    return list(dict.fromkeys(rows))


def _library(name: str, directories: "list[str]", *, static: bool) -> str:
    if name.startswith(":"):
        names = [name[1:]]
    else:
        names = [f"lib{name}.a"] if static else [f"lib{name}.so", f"lib{name}.a"]
    candidates = (Path(directory, name) for directory in directories for name in names)
    return next((os.path.normpath(c) for c in candidates if c.is_file()), "not found")


def _command(verb: str, words: "Iterable[str]") -> "list[str]":
    return [f"{verb}: {shell_line(words)}"]


command = explain
