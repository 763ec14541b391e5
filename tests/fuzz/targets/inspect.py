"""`ukcc inspect`: all that is said of anybody's image, and that it can be printed."""

import json
from pathlib import Path

from fuzz.checking import as_file, moves_nothing

from ukcc.cli.inspect import _sources, _summary
from ukcc.image.inspect import inspect_image
from ukcc.terminal import shown


def check(data: bytes) -> None:
    """As JSON and as text."""
    with as_file(data) as path:
        report = inspect_image(Path(path))
    json.loads(report.as_json())
    for line in (*_summary(report, raw=True), *_sources(report)):
        assert moves_nothing(shown(line))
