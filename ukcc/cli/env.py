"""`ukcc env`: how to tell a build system to use the compiler family."""

import click

from ukcc.cc.log import shell_line
from ukcc.cc.toolchain import gate_flag
from ukcc.errors import SysrootMissing, UkccError
from ukcc.paths import current_sysroot, data_dir

# Variable of make and configure → tool.
_VARIABLES = {
    "CC": "uk-gcc",
    "CXX": "uk-g++",
    "AR": "uk-ar",
    "RANLIB": "uk-ranlib",
    "NM": "uk-nm",
    "STRIP": "uk-strip",
    "OBJCOPY": "uk-objcopy",
    "OBJDUMP": "uk-objdump",
    "READELF": "uk-readelf",
    "PKG_CONFIG": "uk-pkg-config",
}


@click.command()
@click.option("--shell", "form", flag_value="shell", default=True, help="CC=… CXX=… (default)")
@click.option("--cmake", "form", flag_value="cmake", help="the path of the CMake toolchain file")
@click.option(
    "--meson", "form", flag_value="meson", help="the path of the Meson native or cross file"
)
@click.option(
    "--gate", "form", flag_value="gate", help="the flag that redirects `syscall` in your own code"
)
def env(form: str) -> None:
    """Print what a build needs to use uk-gcc.

    \b
    make CC=uk-gcc CXX=uk-g++
    eval "$(ukcc env)"; ./configure --host=x86_64-uk-linux-gnu
    cmake -DCMAKE_TOOLCHAIN_FILE="$(ukcc env --cmake)" …
    meson setup --native-file "$(ukcc env --meson)" …
    make CC=uk-gcc CFLAGS="-O2 $(ukcc env --gate)"

    Your own code's `syscall` instructions stay as they are, and trap. With the flag of --gate in
    CFLAGS they become jumps to the kernel, as glibc's are; docs/syscalls.md says what code
    must not do then.

    What is built runs here, so Meson needs no cross build; the same file is a --cross-file for a
    project that wants one. CMake and Meson also take CC=uk-gcc CXX=uk-g++ from the environment.
    """
    if form == "cmake":
        click.echo(f"{data_dir('toolchain-shims')}/toolchain.cmake")
    elif form == "meson":
        click.echo(f"{data_dir('toolchain-shims')}/cross.meson")
    elif form == "gate":
        click.echo(_gate_word())
    else:
        for line in shell_lines():
            click.echo(line)


def _gate_word() -> str:
    """The flag as a word that make and configure leave whole."""
    sysroot = current_sysroot()
    if not sysroot:
        raise SysrootMissing("no sysroot, whose assembler it takes", "run `ukcc sysroot build`")
    flag = gate_flag(sysroot)
    if len(flag.split()) != 1:
        raise UkccError(
            f"the path {sysroot} has a space in it, and make and configure split their flags there",
            "set UKCC_HOME to another place and run `ukcc sysroot build`",
        )
    return flag


def shell_lines() -> list[str]:
    """Assignments to evaluate in a shell; configure finds its answers through CONFIG_SITE."""
    site = f"{data_dir('toolchain-shims')}/config.site"
    variables = {**_VARIABLES, "CONFIG_SITE": site}
    return [f"export {name}={shell_line([value])}" for name, value in variables.items()]


command = env
