"""Notes, and the metadata in them: JSON of a stranger's."""

from fuzz.checking import no_refusal

from ukcc.image.metadata import find_metadata, parse_metadata, require
from ukcc.image.notes import UKCC, UKCC_METADATA, find_note, metadata_note


def check(data: bytes) -> None:
    """As notes, and as the text alone; what is taken can be written, and reads the same."""
    find_metadata([data, data[::-1]], "x")
    find_note(data, "GNU", 3)
    metadata = parse_metadata(data, "x")
    with no_refusal():
        written = metadata_note(metadata)
        assert parse_metadata(find_note(written, UKCC, UKCC_METADATA) or b"", "x") == metadata
    require(metadata, "x", "program", "sysroot")
