"""`ukcc completion`: completion of commands, options, machines, images and ports by the shell."""

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print what makes SHELL complete commands, options, machines, images and ports.

    \b
    bash   eval "$(ukcc completion bash)"   in ~/.bashrc
    zsh    eval "$(ukcc completion zsh)"    in ~/.zshrc
    fish   ukcc completion fish | source    in ~/.config/fish/config.fish
    """
    found = get_completion_class(shell)
    assert found is not None and context.parent is not None
    click.echo(found(context.parent.command, {}, "ukcc", "_UKCC_COMPLETE").source())
