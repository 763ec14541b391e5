"""`make cli-pages`: docs/commands.md and the man pages, from the commands themselves.

tests/unit/docs/test_cli_pages.py compares them.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path

import click
from click_man.man import ManPage

from ukcc import __version__
from ukcc.cli import main
from ukcc.cli.commands import GROUPS, SUBCOMMANDS

ROOT = Path(__file__).parents[1]
_WIDTH = 96
_AS_IT_IS = "\b"  # click's mark of a paragraph whose lines stay


def pages() -> "dict[str, str]":
    """Path below docs/ -> text."""
    contexts = list(_contexts(click.Context(main, info_name="ukcc", **main.context_settings)))
    found = {f"man/{c.command_path.replace(' ', '-')}.1": _man_page(c) for c in contexts}
    return {**found, "commands.md": _reference(contexts)}


def _contexts(context: click.Context) -> Iterator[click.Context]:
    """Of a command and all below it."""
    yield context
    command = context.command
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from _contexts(click.Context(below, info_name=name, parent=context))


def _man_page(context: click.Context) -> str:
    command = context.command
    page = ManPage(context.command_path)
    page.version, page.date = f"ukcc {__version__}", ""
    page.short_help = _escaped(_summary(context))
    page.synopsis = _escaped(" ".join(command.collect_usage_pieces(context)))
    page.description = _paragraphs(inspect.cleandoc(command.help or ""))
    records = [p.get_help_record(context) for p in command.params if isinstance(p, click.Option)]
    page.options = [(o, _escaped(text)) for o, text in filter(None, records)]
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            page.commands.append((name, _escaped(_first_line(below))))
    return "\n".join(line.rstrip() for line in str(page).splitlines()) + "\n"


def _summary(context: click.Context) -> str:
    name = context.info_name or ""
    is_top = context.parent is not None and context.parent.parent is None
    if is_top and name in SUBCOMMANDS:
        return SUBCOMMANDS[name].summary.rstrip(".")
    return _first_line(context.command).rstrip(".")


def _first_line(command: click.Command) -> str:
    return inspect.cleandoc(command.help or "").split("\n\n")[0].replace("\n", " ")


def _paragraphs(text: str) -> str:
    """Help as roff: a paragraph that is to stay as it is, between .nf and .fi."""
    found = []
    for paragraph in text.split("\n\n"):
        if paragraph.startswith(_AS_IT_IS):
            found.append(f".nf\n{_escaped(paragraph[2:])}\n.fi")
        else:
            found.append(_escaped(paragraph))
    return "\n\n".join(found)


def _escaped(text: str) -> str:
    """No line is taken for a request of roff's, and no backslash for an escape."""
    text = text.replace("\\", "\\e").replace("-", "\\-")
    return "\n".join(f"\\&{line}" if line[:1] in (".", "'") else line for line in text.split("\n"))


def _reference(contexts: "list[click.Context]") -> str:
    lines = [
        "# Commands",
        "",
        "What `--help` says of each command, written by `make cli-pages`. The man pages have the",
        "same: `man ukcc-run`.",
    ]
    by_name = {c.command_path: c for c in contexts}
    for title, commands in GROUPS.items():
        lines += ["", f"## {title}"]
        for one in commands:
            path = f"ukcc {one.name}"
            below = sorted(name for name in by_name if name.startswith(f"{path} "))
            for name in (path, *below):
                lines += ["", f"### {name}", "", "```", *_help(by_name[name]), "```"]
    return "\n".join(lines) + "\n"


def _help(context: click.Context) -> "list[str]":
    formatter = click.HelpFormatter(width=_WIDTH, max_width=_WIDTH)
    context.command.format_help(context, formatter)
    return [line.rstrip() for line in formatter.getvalue().rstrip().splitlines()]


def write() -> None:
    """Writes what has changed; removes pages of commands that are no more."""
    found = pages()
    for old in (ROOT / "docs" / "man").glob("*.1"):
        if f"man/{old.name}" not in found:
            old.unlink()
    for name, text in found.items():
        path = ROOT / "docs" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)


if __name__ == "__main__":
    write()
