"""Where a port is built: a directory of the store, named by everything that it is made of.

<store>/ports/NAME/DIGEST/tree      the source, built in place
                          prefix    what it installs
                          home      the home directory of its build
                          images    whole images
                          logs      one a step
                          built     there when it is built: the digest of its images
                          own       images with kernels of their own, and what tests say of them
"""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from string import Template
from typing import Any

import ukcc
from ukcc import paths
from ukcc.errors import SysrootMissing, UkccError
from ukcc.hashing import sha256
from ukcc.ports.recipe import FILE, Build, ImageRecipe, PortSource, Recipe

# Files of a recipe that only its tests need are in a directory of this name.
TESTS = "test"

_SHOWN = 16  # digits of a digest in a path


@dataclass(frozen=True)
class PortBuild:
    """A port's. digest: of the recipe's part that counts for the build, and what it depends on;
    images_digest: of that and of the images, which are made anew without a build.

    dependencies: the places of the ports that it is built with, those of theirs included; own: of
    the images that have kernels of their own, where those are meant; empty for the general ones.
    """

    recipe: Recipe
    digest: str
    images_digest: str
    dependencies: tuple["PortBuild", ...]
    own: str = ""

    @property
    def root(self) -> Path:
        return directory() / self.recipe.name / self.digest[:_SHOWN]

    @property
    def tree(self) -> Path:
        return self.root / "tree"

    @property
    def prefix(self) -> Path:
        return self.root / "prefix"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def stamp(self) -> Path:
        return self.root / "built"

    @property
    def built(self) -> bool:
        """Whether the tree is; its images may be those of an earlier recipe."""
        return self.stamp.is_file()

    @property
    def complete(self) -> bool:
        """Whether the images are, too."""
        return self.built and self.stamp.read_text() == self.images_digest

    @property
    def tested(self) -> Path:
        """Where images, logs and work of tests are."""
        return self.root / "own" / self.own[:_SHOWN] if self.own else self.root

    @property
    def images(self) -> Path:
        """The directory of whole images."""
        return self.tested / "images"

    def image(self, name: str) -> Path:
        """A whole image, by its name in the recipe."""
        return self.images / name

    def log(self, step: str) -> Path:
        return self.tested / "logs" / f"{step}.log"

    def variables(self) -> dict[str, str]:
        """What lines find in their environment, and words of the recipe by `$NAME`."""
        return {
            "TREE": str(self.tree),
            "PREFIX": str(self.prefix),
            "RECIPE": str(Path(self.recipe.directory).absolute()),
            "JOBS": str(os.cpu_count() or 1),
            **{prefix_variable(d.recipe.name): str(d.prefix) for d in self.dependencies},
        }


def directory() -> Path:
    """Where ports are in the store."""
    return Path(paths.store()) / "ports"


def prefix_variable(name: str) -> str:
    """`PREFIX_LIBEVENT`: where a port that this one depends on is installed."""
    return "PREFIX_" + "".join(c if c.isalnum() else "_" for c in name).upper()


def expand(text: str, variables: Mapping[str, str]) -> str:
    """`$TREE` and so on in a word of a recipe; `$$` is a dollar. Raises UkccError."""
    try:
        return Template(text).substitute(variables)
    except (KeyError, ValueError) as error:
        raise UkccError(f"{text!r}: no such variable: {error}", "$$ is a dollar") from None


def place(recipe: Recipe, known: Mapping[str, Recipe]) -> PortBuild:
    """Raises UkccError for a circle, SysrootMissing where nothing can be linked."""
    return _place(recipe, known, _sysroot(), ())


def _sysroot() -> str:
    found = paths.current_sysroot()
    if found is None:
        raise SysrootMissing("there is no sysroot", "build one with: ukcc sysroot build")
    return Path(found).name


def _place(
    recipe: Recipe, known: Mapping[str, Recipe], sysroot: str, above: tuple[str, ...]
) -> PortBuild:
    if recipe.name in above:
        circle = " → ".join((*above, recipe.name))
        raise UkccError(f"{recipe.file}: depends: a circle: {circle}")
    direct = [_place(known[n], known, sysroot, (*above, recipe.name)) for n in recipe.depends]
    every = {d.recipe.name: d for near in direct for d in (*near.dependencies, near)}
    facts = {
        "ukcc": ukcc.__version__,
        "sysroot": sysroot,
        # a key that a recipe has not is nothing, so that a new one leaves the others as they are
        "source": _said(recipe.source),
        "build": _said(recipe.build),
        "patches": [patch.file for patch in recipe.patch],
        "files": _files(Path(recipe.directory)),
        "depends": [d.digest for d in every.values()],
    }
    digest = digest_of(facts)
    images = {name: _said(image) for name, image in recipe.image.items()}
    return PortBuild(recipe, digest, digest_of([digest, images]), tuple(every.values()))


def _said(part: "PortSource | Build | ImageRecipe") -> dict[str, Any]:
    return {key: value for key, value in asdict(part).items() if value}


def digest_of(facts: Any) -> str:
    """Over anything that JSON can say."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _files(root: Path) -> dict[str, str]:
    """What lies beside the recipe, but for what its tests only need: path -> digest."""
    return {
        str(path.relative_to(root)): sha256(path)
        for path in sorted(root.rglob("*"))
        if path.is_file() and path != root / FILE and root / TESTS not in path.parents
    }
