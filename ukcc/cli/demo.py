"""`ukcc demo`: a real server, built, booted and asked."""

import click

from ukcc import demo


@click.command()
def command() -> None:
    """Build Debian's Redis with uk-gcc, boot it, and talk to it.

    The source is fetched and unpacked in the store; it is built as it is.
    """
    demo.demo()
