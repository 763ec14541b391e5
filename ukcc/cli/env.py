"""`ukcc env`: how to tell a build system to use the compiler family."""

import click

from ukcc.cc.log import shell_line
from ukcc.paths import data_dir

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


@click.command(short_help="Variables and files that make a build use uk-gcc.")
@click.option("--shell", "form", flag_value="shell", default=True, help="CC=… CXX=… (default)")
@click.option("--cmake", "form", flag_value="cmake", help="the path of the CMake toolchain file")
@click.option(
    "--meson", "form", flag_value="meson", help="the path of the Meson native or cross file"
)
def env(form: str) -> None:
    """Print what a build needs to use uk-gcc.

    \b
    make CC=uk-gcc CXX=uk-g++
    eval "$(ukcc env)"; ./configure --host=x86_64-uk-linux-gnu
    cmake -DCMAKE_TOOLCHAIN_FILE="$(ukcc env --cmake)" …
    meson setup --native-file "$(ukcc env --meson)" …

    What is built runs here, so Meson needs no cross build; the same file is a --cross-file for a
    project that wants one. CMake and Meson also take CC=uk-gcc CXX=uk-g++ from the environment.
    """
    if form == "cmake":
        click.echo(f"{data_dir('toolchain-shims')}/toolchain.cmake")
    elif form == "meson":
        click.echo(f"{data_dir('toolchain-shims')}/cross.meson")
    else:
        for line in shell_lines():
            click.echo(line)


def shell_lines() -> list[str]:
    """Assignments to evaluate in a shell; configure finds its answers through CONFIG_SITE."""
    site = f"{data_dir('toolchain-shims')}/config.site"
    variables = {**_VARIABLES, "CONFIG_SITE": site}
    return [f"export {name}={shell_line([value])}" for name, value in variables.items()]


command = env
