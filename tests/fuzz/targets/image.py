"""An image as `ukcc run` reads it before it has a machine: notes, metadata, archive."""

from pathlib import Path

from fuzz.checking import as_file

from ukcc.image.elf import open_elf
from ukcc.image.facts import kernel_has_virtiofs, read_facts


def check(data: bytes) -> None:
    """Nothing but a word of error comes of a file that is no image."""
    with as_file(data) as path:
        facts = read_facts(path)
        assert facts.memory_min_mib >= 0
        kernel_has_virtiofs(path)
        with open_elf(Path(path)) as elf:
            archive = elf.archive()
            assert archive.size <= len(data)
            for member in archive.members():
                assert member.offset + member.size <= archive.size
                assert len(archive.read(member.offset, member.size)) == member.size
            elf.has_damaged_archive()
