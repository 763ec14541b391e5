"""What `ukcc run --from SNAP` may be told: the saved machine has the rest already."""

import click
from click.core import ParameterSource

from ukcc.errors import MachineError

# Names of parameters of `ukcc run`: of the host's side alone.
_CHANGEABLE = frozenset({"from_", "image", "publish", "timeout", "detach", "name", "qemu_user"})
_GIVEN = (ParameterSource.COMMANDLINE, ParameterSource.ENVIRONMENT)


def refuse_fixed(context: click.Context) -> None:
    """Raises MachineError for what was given and cannot change."""
    for parameter in context.command.params:
        name = parameter.name or ""
        if name in _CHANGEABLE or context.get_parameter_source(name) not in _GIVEN:
            continue
        if isinstance(parameter, click.Argument):
            if context.params[name]:
                raise MachineError(
                    f"--from: the arguments ({' '.join(context.params[name])}) cannot change",
                    "the application has started already; give them to `ukcc snapshot`",
                )
            continue
        raise MachineError(
            f"--from: {parameter.opts[0]} cannot change",
            "the machine has started already; give it to `ukcc snapshot`",
        )
