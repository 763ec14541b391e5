"""How many instructions a port's image needs to boot."""

from pathlib import Path

from ukcc.counting.counter import begin_of, counter
from ukcc.counting.until import run_until
from ukcc.image.elf import elf_in_memory
from ukcc.image.facts import read_metadata
from ukcc.vm.boot.guest import archive_of


def count(image: Path, work: Path) -> int:
    """Instructions executed from reset until the program's first: firmware, kernel, init, loader.

    work: a directory for what counts. One boot differs from the next by some hundredths: there are
    waits that spin. Raises UkccError.
    """
    name = str(read_metadata(str(image))["program"])
    members = archive_of(str(image), lambda member: f"/{member.path}" == name)
    program = next(member.data for member in members if f"/{member.path}" == name)
    with elf_in_memory(program, image) as elf:
        begin = begin_of(elf)
    counted = counter(work, begin.words)
    run_until(lambda: bool(counted.at_entry()), counted, ("--net", "none"), image, work)
    return counted.at_entry()
