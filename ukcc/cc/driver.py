"""The entry point of every command of the compiler family: the name it was called by decides."""

import os
import sys

from ukcc.cc import toolchain
from ukcc.errors import SysrootMissing, UkccError
from ukcc.light import tool as process

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

# Name → the host's compiler that answers to it.
COMPILERS = {"gcc": "gcc", "cc": "gcc", "g++": "g++", "c++": "g++"}


def main() -> int:
    """Runs the command that argv[0] names; the exit status is the real tool's."""
    process.behave_as_a_tool()
    program = os.path.basename(sys.argv[0])  # noqa: PTH119
    try:
        return _dispatch(sys.argv[0], sys.argv[1:], os.environ)
    except UkccError as error:
        process.complain(error.line(program))
        return error.status
    except OSError as error:
        name = f" '{error.filename}'" if error.filename else ""
        process.complain(f"{program}: error: {error.strerror}{name}")
        return 1


def _dispatch(program: str, argv: "list[str]", environ: "Mapping[str, str]") -> int:
    name = toolchain.plain_name(program) or toolchain.plain_name(os.path.realpath(program))
    if name in COMPILERS:
        return _compile(COMPILERS[name], argv, environ)

    from ukcc.cc import tools

    return tools.run(name, argv, environ)


def _compile(compiler: str, argv: "list[str]", environ: "Mapping[str, str]") -> int:
    from ukcc.cc import linkage, log, plan
    from ukcc.cc.parse import parse

    tools_of_host = toolchain.find_toolchain(compiler, environ)
    steps = plan.make_plan(argv, parse(argv), tools_of_host, linkage.ON_DISK)
    if steps.kind == plan.NO_SYSROOT:
        raise SysrootMissing("no sysroot to link against", "run `ukcc sysroot build`")
    if steps.kind != plan.PROGRAM and not steps.static:
        log.record(environ, steps.kind, steps.command)
        process.become(steps.command, environ)

    from ukcc.cc import link

    return link.run(steps, environ)
