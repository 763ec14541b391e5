"""`ukcc explain -- uk-gcc ARGS…`: the plan for one command line, without running it."""

import os
from collections.abc import Iterable

import click

from ukcc.cc import driver, linkage, options, plan, toolchain, tools
from ukcc.cc.log import shell_line
from ukcc.cc.parse import INPUT, UNKNOWN, Argument, Invocation, parse
from ukcc.errors import UkccError

_MEANS = {UNKNOWN: "passes through", INPUT: "an input"}


@click.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    short_help="How a compiler command line is read, and what it would run.",
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
        raise UkccError(f"'{words[0]}' is no command of ukcc", "name one, as uk-gcc or uk-ar")
    for line in lines:
        click.echo(line)


def _compiler(compiler: str, argv: "list[str]") -> "list[str]":
    tools_of_host = toolchain.find_toolchain(compiler, os.environ)
    invocation = parse(argv)
    steps = plan.make_plan(argv, invocation, tools_of_host, linkage.ON_DISK)
    return [
        "arguments:",
        *_arguments(invocation),
        f"kind: {steps.kind}",
        f"why: {steps.reason}",
        f"sysroot: {tools_of_host.sysroot or 'none; run `ukcc sysroot build`'}",
        *_steps(steps),
    ]


def _arguments(invocation: Invocation) -> "list[str]":
    rows = [(shell_line(a.words), _meaning(a)) for a in invocation.arguments]
    width = min(max((len(text) for text, _ in rows), default=0), 40)
    return [f"  {text:{width}}  {meaning}" for text, meaning in rows]


def _meaning(argument: Argument) -> str:
    meaning = _MEANS.get(argument.meaning, argument.meaning)
    if argument.meaning == options.LINKER:
        details = [options.find_linker(word) for word in argument.value.split(",")]
        meaning = "; ".join([meaning, *(d for d in details if d)])
    return f"{meaning} (from {argument.origin})" if argument.origin else meaning


def _steps(steps: plan.Plan) -> "list[str]":
    if steps.kind == plan.NO_SYSROOT:
        return ["fails: no sysroot to link against; run `ukcc sysroot build`"]
    if steps.kind != plan.PROGRAM:
        return _command("become", steps.command)
    again = [f"if that fails, as {steps.doubt}:", *_command("run", steps.fallback)]
    return [
        *_command("run", steps.command),
        *(again if steps.fallback else []),
        f"then: pack the kernel of {steps.sysroot} around {shell_line([steps.output])}",
    ]


def _command(verb: str, words: "Iterable[str]") -> "list[str]":
    return [f"{verb}: {shell_line(words)}"]


command = explain
