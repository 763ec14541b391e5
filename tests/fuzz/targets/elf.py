"""ELF files off the link path: all that `ukcc inspect` and explanations of crashes ask them."""

from pathlib import Path

from ukcc.image.elf import elf_in_memory


def check(data: bytes) -> None:
    """What is said of the file lies in it."""
    with elf_in_memory(data, Path("x")) as elf:
        elf.interpreter()
        elf.note("UKCC", 1)
        for segment in elf.loads():
            assert len(elf.bytes_at(segment.offset, segment.filesz)) == segment.filesz
        for section in elf.sections():
            if section.in_file and section.size:
                assert section.offset + section.size <= len(data)
            elf.section_bytes(section.name)
        functions = elf.functions()
        assert functions == sorted(functions, key=lambda f: f.addr)
        elf.symbol("main")
        _ = elf.kind, elf.entry
