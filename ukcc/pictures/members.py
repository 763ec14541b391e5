"""Which library, and which of its members, a symbol of a static program came from."""

from pathlib import Path

from ukcc.image.archives import Origin, StaticLibrary
from ukcc.image.elf import Elf
from ukcc.image.inspect import link_archives, read_image_metadata
from ukcc.pictures.objects import Named

NO_OBJECT = "(object not known)"


class Libraries:
    """Those of one image's link, as far as they are there."""

    def __init__(self, elf: Elf, image: Path) -> None:
        metadata = read_image_metadata(elf, image)
        used, sysroot = metadata.get("libraries", ()), metadata.get("sysroot", "")
        self._archives = list(link_archives(used, image.parent, sysroot))
        self._units = elf.units()

    def origin(self, named: Named) -> tuple[str, ...]:
        """(library, member); (source file) of the program's own; or a word that it is not known."""
        found = next((o for a in self._archives if (o := self._in(a, named)) is not None), None)
        if found is not None:
            return Path(found.archive).name, found.member
        return ((self._units[named.unit] if named.unit >= 0 else "") or NO_OBJECT,)

    def _in(self, archive: StaticLibrary, named: Named) -> "Origin | None":
        symbol = named.symbol
        if symbol.is_global:
            return archive.definer_of(symbol.name, symbol.size)
        stem = self._units[symbol.unit].rpartition(".")[0] if symbol.unit >= 0 else ""
        return archive.owner_of(stem, symbol.name, symbol.size) if stem else None
