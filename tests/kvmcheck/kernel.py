"""A stock kernel of the distribution: its image, and modules in the order in which they go in."""

import lzma
import re
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ukcc import debsource
from ukcc.errors import UkccError

# Not the cloud's, which has no 9p; not the parts that are to be signed.
_PACKAGE = re.compile(r"linux-image-\d[\d.]*-\d+-amd64")
_PREFIX = "linux-image-"
_DEPENDS = re.compile(rb"\0depends=([\w,-]*)\0")

KVM = "kvm_amd"  # the vendor whose extension the emulator has
_WANTED = ("virtio_pci", "9pnet_virtio", "9p", "overlay", "virtio_rng", "tun", KVM)


@dataclass(frozen=True)
class Kernel:
    """image: what a loader takes; modules: name, with `_`, -> file; version: for people."""

    version: str
    image: Path
    modules: Mapping[str, Path]


def find(work: Path) -> Kernel:
    """The host's own, or the newest package's, unpacked once into `work`. Raises UkccError."""
    for tree in (Path("/"), *sorted(work.glob("linux-image-*"))):
        if found := _in_tree(tree):
            return found
    package = _newest()
    delivered = debsource.download_binary(package)
    tree = work / f"{package}_{delivered.version}"
    debsource.unpack(delivered, tree)
    found = _in_tree(tree)
    if found is None:
        raise UkccError(f"{package} {delivered.version} has no module {KVM}")
    _strip(found, tree)
    return found


def _newest() -> str:
    names = [name for name in debsource.binary_names(_PREFIX) if _PACKAGE.fullmatch(name)]
    if not names:
        raise UkccError(f"no package {_PREFIX}…-amd64 in the configured repositories")
    return debsource.newest_first(names)[0]


def _in_tree(tree: Path) -> "Kernel | None":
    """The newest kernel there that has the module."""
    for image in sorted(tree.glob("boot/vmlinuz-*"), reverse=True):
        version = image.name.removeprefix("vmlinuz-")
        files = tree.glob(f"lib/modules/{version}/kernel/**/*.ko*")
        modules = {file.name.partition(".")[0].replace("-", "_"): file for file in files}
        if {KVM, "9p", "overlay"} <= modules.keys():
            return Kernel(version, image, modules)
    return None


def _strip(found: Kernel, tree: Path) -> None:
    """Without the modules that an outer guest never has: most of 400 MB."""
    kept = {name for name, _ in module_order(found)}
    for name, file in found.modules.items():
        if name not in kept:
            file.unlink()
    for name in ("usr", "etc"):
        shutil.rmtree(tree / name, ignore_errors=True)


def module_order(kernel: Kernel, wanted: Sequence[str] = _WANTED) -> Iterator[tuple[str, bytes]]:
    """Name and bytes of each module, what it needs first. What is no module is built in."""
    done: set[str] = set()

    def need(name: str) -> Iterator[tuple[str, bytes]]:
        if name in done or name not in kernel.modules:
            return
        done.add(name)
        data = _read(kernel.modules[name])
        for other in depends(data):
            yield from need(other)
        yield name, data

    for name in wanted:
        yield from need(name)


def depends(data: bytes) -> list[str]:
    """The modules that one names in its .modinfo section, `depends=a,b`."""
    found = _DEPENDS.search(data)
    names = found[1].decode().split(",") if found else []
    return [name.replace("-", "_") for name in names if name]


def _read(file: Path) -> bytes:
    data = file.read_bytes()
    return lzma.decompress(data) if file.suffix == ".xz" else data
