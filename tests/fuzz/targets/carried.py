"""Settings that an image carries (JSON in its metadata)."""

import json

from fuzz.checking import no_refusal

from ukcc.settings.document import carried, parse_carried
from ukcc.settings.keys import KEYS, OF_HOST


def check(data: bytes) -> None:
    """They name nothing of the host, and are carried on unchanged."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(document, dict):
        return
    settings = parse_carried(document, "x", KEYS)
    assert not settings.files and not OF_HOST & settings.values.keys()
    with no_refusal():
        again = parse_carried(carried(settings), "x", KEYS)
    assert again._replace(source="") == settings._replace(source="")
