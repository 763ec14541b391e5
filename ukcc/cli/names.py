"""Types of arguments, which a shell can complete: names of machines, files of images."""

import click
from click.shell_completion import CompletionItem
from click.types import StringParamType

from ukcc.errors import UkccError
from ukcc.lifecycle.registry import Registry, default_directory


class MachineName(StringParamType):
    """The name of a machine that `ukcc ps --all` lists."""

    name = "name"

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """The names that begin like that."""
        try:
            entries = Registry(default_directory()).entries()
        except UkccError:
            return []
        names = sorted(entry.name for entry in entries)
        return [CompletionItem(name) for name in names if name.startswith(incomplete)]


# The path of an image, as text; what is wrong with the file, others say. A shell completes it.
IMAGE_FILE = click.Path(readable=False)
