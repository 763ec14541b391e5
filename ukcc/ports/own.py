"""A port's images with kernels of their own: each as `ukcc specialise` makes it, made once.

<place>/own/DIGEST/images   beside the general ones, by what is in them: images and kernels
                   logs     of tests with these
                   work     directories of such tests
"""

import shutil
from collections.abc import Mapping
from dataclasses import replace

from ukcc.cli.configured import settings_of
from ukcc.errors import UkccError
from ukcc.image.thin import with_kernel
from ukcc.ports import runs
from ukcc.ports.images import not_set
from ukcc.ports.place import PortBuild, digest_of
from ukcc.progress import Progress
from ukcc.specialise import program
from ukcc.specialise.features import FeatureWish
from ukcc.specialise.make import Made, make
from ukcc.sysroot.store import Store, default_store, discard


def with_own_kernels(general: PortBuild, progress: Progress, *, long: bool) -> PortBuild:
    """The place of the images that tests boot, each with its kernel; the general ones are built.

    long: those of the suite, too. Raises UkccError.
    """
    store = default_store()
    names = runs.booted(general.recipe, long=long)
    kernels = {name: _kernel(general, name, store, progress) for name in names}
    ids = {name: kernel.id for name, kernel in kernels.items()}
    found = replace(general, own=digest_of([general.images_digest, ids]))
    name = general.recipe.name
    with store.locked(f"port-{name}", progress.step(f"{name}: waiting for another build of it")):
        if not found.tested.is_dir():
            with progress.step(f"{name}: images with kernels of their own"):
                _make(general, kernels, found)
    return found


def _kernel(general: PortBuild, image: str, store: Store, progress: Progress) -> Made:
    where = f"{general.recipe.file}: image.{image}"
    path = general.image(image)
    with progress.step(f"{general.recipe.name}: what {image} needs"):
        settings = settings_of(str(path), "")
        told = runs.announced(general.recipe, image)
        read = program.read_program(path, settings, FeatureWish(), announced=told)
    made = make(read.request, program.general_kernel(store, read.needs), store, progress)
    missing = not_set(general.recipe.image[image].kernel, (made.directory / "config").read_text())
    if missing:
        raise UkccError(
            f"{where}.kernel: {missing[0]} is not set in its own kernel",
            f"name the feature that has it: [image.{image}.settings.kernel] require = […]",
        )
    return made


def _make(general: PortBuild, kernels: Mapping[str, Made], found: PortBuild) -> None:
    """The directory appears whole; those of earlier kernels go."""
    above = found.tested.parent
    fresh = above / f".{found.tested.name}"
    discard(fresh)
    (fresh / "images").mkdir(parents=True)
    for name, kernel in kernels.items():
        with_kernel(str(general.image(name)), fresh / "images" / name, str(kernel.directory))
    fresh.rename(found.tested)
    for other in above.iterdir():
        if other != found.tested:
            shutil.rmtree(other, ignore_errors=True)
