"""What `ukcc run --from SNAP` may be told: the saved machine has the rest already."""

import click
from click.core import ParameterSource

from ukcc.errors import MachineError

# Names of parameters of `ukcc run`: of the host's side alone.
_CHANGEABLE = frozenset({"from_", "image", "publish", "timeout", "detach", "name", "qemu_user"})
# Those that `ukcc snapshot` takes, for the machine that it saves.
_OF_MACHINE = frozenset(
    (
        *("memory", "smp", "accel", "env", "net", "ip", "dns", "dns_search", "add_host"),
        *("read_only", "argv0", "hostname", "user", "workdir", "ulimit", "tz", "files"),
        *("config", "no_config", "vmm"),
    )
)
_INSTEAD = "leave it out, or run the image without --from"
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
        option = parameter.opts[0]
        if name in _OF_MACHINE:
            raise MachineError(
                f"--from: {option} cannot change",
                "the machine has started already; give it to `ukcc snapshot`",
            )
        raise MachineError(f"--from: {option} is for a machine that boots", _INSTEAD)
