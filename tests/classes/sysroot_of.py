"""Prints the path of a sysroot whose kernel has the features that are named, and every call.

For whole suites on a class of kernels: `make test-boot-class` (docs/testing.md). `all` stands for
every feature of the table.
"""

import sys
from pathlib import Path

from ukcc.progress import for_stderr
from ukcc.specialise import features, make
from ukcc.specialise.features import SPEED, FeatureWish
from ukcc.specialise.make import KernelRequest
from ukcc.sysroot.store import default_store, discard, link_tree


def sysroot_of(names: "list[str]") -> Path:
    """Builds the class and its kernel on first use. The sysroot is beside the store's others."""
    store = default_store()
    current = store.current()
    if current is None:
        sys.exit("no sysroot has been built; run: make setup")
    wanted = features.table().names if names == ["all"] else tuple(names)
    choice = features.of_words(FeatureWish(require=wanted, goal=SPEED))
    general = current.path / "kernel" / "vmlinux"
    made = make.make(KernelRequest(choice, None, ()), general, store, for_stderr(quiet=False))
    place = store.root / "kernels" / "sysroots" / made.id / current.id
    if not place.is_dir():
        unfinished = place.with_suffix(".unfinished")
        discard(unfinished)
        unfinished.parent.mkdir(parents=True, exist_ok=True)
        link_tree(current.path, unfinished)
        link_tree(made.directory, unfinished / "kernel")
        store.publish(unfinished, place)
    return place


if __name__ == "__main__":
    print(sysroot_of(sys.argv[1:]))
