"""`uk.toml` beside a program that somebody else has written."""

from fuzz.checking import as_file

from ukcc.settings.document import carried, parse_carried, read_settings
from ukcc.settings.keys import KEYS


def check(data: bytes) -> None:
    """An image can carry what a file may say."""
    with as_file(data) as path:
        settings = read_settings(path)
    parse_carried(carried(settings), "x", KEYS)
