"""`ukcc sbom`: an image's software bill of materials."""

import os
import tempfile
from pathlib import Path

import click

from ukcc.errors import UkccError
from ukcc.sbom.contents import read_contents
from ukcc.sbom.dpkg import Database


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Write to FILE."
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["json", "xml"]),
    default="json",
    show_default=True,
    help="Which of CycloneDX's formats.",
)
@click.option("--timestamp", is_flag=True, help="Include the current time.")
def command(image: Path, output: "Path | None", form: str, timestamp: bool) -> None:
    """Print the SBOM of IMAGE, in CycloneDX's format.

    It lists kernel, glibc, init, every file with its SHA-256 and its distribution package, licences
    and compilers. A file's package is found by the file's content, in the dpkg database of this
    machine; it is `unknown` if no package has that content.
    """
    try:
        from ukcc.sbom.bom import document, time_of_document
    except ModuleNotFoundError as error:
        raise UkccError(
            f"a bill of materials needs the Python module {error.name}",
            "pip install 'ukcc[sbom]'",
        ) from None
    database = Database()
    contents = read_contents(image, database)
    text = document(contents, database, form, time_of_document(timestamp))
    if output is None:
        click.echo(text, nl=False)
    else:
        _write(output, text, image)


def _write(output: Path, text: str, image: Path) -> None:
    """The file appears whole or not at all."""
    try:
        if output.exists() and output.samefile(image):
            raise UkccError(f"{output}: is the image itself", "name another file with -o")
        if output.exists() and not output.is_file():  # /dev/stdout, a FIFO
            output.write_text(text, "utf-8")
            return
        handle, name = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            umask = os.umask(0)
            os.umask(umask)
            os.chmod(name, 0o666 & ~umask)  # noqa: PTH101
            Path(name).replace(output)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UkccError(f"{output}: {error.strerror}") from None
