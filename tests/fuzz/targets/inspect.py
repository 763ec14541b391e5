"""`ukcc inspect`: all that is said of anybody's image, and that it can be printed."""

import json
from pathlib import Path

from fuzz.checking import as_file, moves_nothing

from ukcc.cli.inspect import _summary
from ukcc.errors import UkccError
from ukcc.image.inspect import inspect_image
from ukcc.sbom.contents import read_contents
from ukcc.sbom.dpkg import Database
from ukcc.sbom.sources import read_sources
from ukcc.sbom.sources_text import source_lines
from ukcc.terminal import shown

_NO_DPKG = Database(Path("/nonexistent"))


def check(data: bytes) -> None:
    """As JSON and as text; the sources even where what else there is cannot be told."""
    with as_file(data) as path:
        _check_sources(Path(path))
        report = inspect_image(Path(path))
    json.loads(report.as_json())
    for line in _summary(report, raw=True):
        assert moves_nothing(shown(line))


def _check_sources(path: Path) -> None:
    try:
        sources = read_sources(read_contents(path, _NO_DPKG, thin=True))
    except UkccError as error:
        assert moves_nothing(error.line("ukcc"))
        return
    json.loads(sources.as_json())
    for line in source_lines(sources):
        assert moves_nothing(shown(line))
