"""Builds a port: fetch, unpack, the build system's own commands with CC=uk-gcc, images."""

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from filelock import FileLock

from ukcc import paths, proc
from ukcc.errors import UkccError
from ukcc.ports import images, sources
from ukcc.ports.place import PortBuild, expand
from ukcc.ports.recipe import AUTOTOOLS, CMAKE, MAKE, MESON, Build
from ukcc.progress import Progress

# Programs are linked thin: a package may have fifty, and the kernel comes into the images at their
# end. What they do as Linux processes is the same.
_ENVIRONMENT = {
    "CC": "uk-gcc",
    "CXX": "uk-g++",
    "PKG_CONFIG": "uk-pkg-config",
    "UKCC_IMAGE": "thin",
    "SHELL": "/bin/bash",
}

Command = tuple[str, list[str]]  # the step whose log it is in, and argv


def build(place: PortBuild, progress: Progress, jobs: int) -> None:
    """Builds what is not built; what it depends on has to be.

    jobs: processes of its make. Raises UkccError.
    """
    locks = Path(paths.store()) / "locks"
    locks.mkdir(parents=True, exist_ok=True)
    name = place.recipe.name
    with FileLock(locks / f"port-{name}.lock"):
        if place.complete:
            return
        if not place.built:
            _build_tree(place, progress, jobs)
        with progress.step(f"{name}: images"):
            images.make(place)
        place.stamp.write_text(place.images_digest)
        _forget_older(place)


def _build_tree(place: PortBuild, progress: Progress, jobs: int) -> None:
    name = place.recipe.name
    shutil.rmtree(place.root, ignore_errors=True)
    place.home.mkdir(parents=True)
    with progress.step(f"{name}: fetch"):
        files = sources.fetch(place.recipe)
        sources.unpack(place.recipe, files, place.tree)
    for step, argv in commands(place, jobs):
        with progress.step(f"{name}: {step}") as shown:
            run(place, step, argv, lambda _: shown.advance())
    place.stamp.touch()


def commands(place: PortBuild, jobs: int) -> list[Command]:
    """What is run in the tree, in order."""
    recipe = place.recipe.build
    prepare: list[Command] = [("prepare", bash(line)) for line in recipe.prepare]
    script: list[Command] = [("script", bash(line)) for line in recipe.script]
    finish: list[Command] = [("finish", bash(line)) for line in recipe.finish]
    return [*prepare, *script, *_SYSTEMS.get(recipe.system, _none)(place, recipe, jobs), *finish]


def run(place: PortBuild, step: str, argv: Sequence[str], on_line: Callable[[str], None]) -> None:
    """One command of the build. Raises ProgramFailed."""
    recipe = place.recipe.build
    proc.run(
        proc.isolated(argv, environment(place), recipe.limit),
        cwd=place.tree / recipe.directory,
        log=place.log(step),
        on_line=on_line,
    )


def environment(place: PortBuild) -> dict[str, str]:
    """The variables of a build, the recipe's own last."""
    found = [d.prefix for d in place.dependencies]
    flags = {
        "CPPFLAGS": [f"-I{prefix}/include" for prefix in found],
        "LDFLAGS": [f"-L{prefix}/lib" for prefix in found],
    }
    made = {name: " ".join(words) for name, words in flags.items() if words}
    if found:
        made["PKG_CONFIG_PATH"] = ":".join(f"{prefix}/lib/pkgconfig" for prefix in found)
        made["CMAKE_PREFIX_PATH"] = ":".join(map(str, found))
    variables = place.variables()
    own = {k: expand(v, variables) for k, v in place.recipe.build.environment.items()}
    path = ":".join([*(f"{prefix}/bin" for prefix in found), proc.path_for_recipes()])
    # tic and others write into a home of the user's what they cannot write elsewhere
    homes = {"HOME": str(place.home), "UKCC_HOME": paths.store()}
    return {**_ENVIRONMENT, **homes, **variables, "PATH": path, **made, **own}


def bash(line: str, *options: str) -> list[str]:
    """The command that runs a line of a recipe: the first failure ends it."""
    return ["bash", *options, "-euo", "pipefail", "-c", line]


def _words(place: PortBuild, words: Sequence[str]) -> list[str]:
    variables = place.variables()
    return [expand(word, variables) for word in words]


def _autotools(place: PortBuild, recipe: Build, jobs: int) -> list[Command]:
    configure = ["./configure", f"--prefix={place.prefix}", *_words(place, recipe.arguments)]
    goals, install = _words(place, recipe.goals), _words(place, recipe.install)
    steps = [("configure", configure), ("build", ["make", f"-j{jobs}", *goals])]
    return [*steps, *([("install", ["make", *install])] if install else [])]


def _make(place: PortBuild, recipe: Build, jobs: int) -> list[Command]:
    words = _words(place, recipe.arguments)
    goals, install = _words(place, recipe.goals), _words(place, recipe.install)
    steps = [("build", ["make", f"-j{jobs}", *words, *goals])]
    return [*steps, *([("install", ["make", *words, *install])] if install else [])]


def _cmake(place: PortBuild, recipe: Build, jobs: int) -> list[Command]:
    configure = ["cmake", "-S", ".", "-B", "build", "-DCMAKE_BUILD_TYPE=Release"]
    configure += [f"-DCMAKE_INSTALL_PREFIX={place.prefix}", *_words(place, recipe.arguments)]
    goals, install = _words(place, recipe.goals), _words(place, recipe.install)
    made = ["cmake", "--build", "build", f"-j{jobs}"]
    steps = [("configure", configure)]
    steps.append(("build", [*made, *(["--target", *goals] if goals else [])]))
    return [*steps, *([("install", [*made, "--target", *install])] if install else [])]


def _meson(place: PortBuild, recipe: Build, jobs: int) -> list[Command]:
    configure = ["meson", "setup", "build", f"--prefix={place.prefix}", "--libdir=lib"]
    goals, install = _words(place, recipe.goals), _words(place, recipe.install)
    made = ["ninja", "-C", "build", f"-j{jobs}"]
    steps = [("configure", [*configure, *_words(place, recipe.arguments)])]
    steps.append(("build", [*made, *goals]))
    return [*steps, *([("install", [*made, *install])] if install else [])]


def _none(place: PortBuild, recipe: Build, jobs: int) -> list[Command]:
    return []


_SYSTEMS: dict[str, Callable[[PortBuild, Build, int], list[Command]]] = {
    AUTOTOOLS: _autotools,
    MAKE: _make,
    CMAKE: _cmake,
    MESON: _meson,
}


def _forget_older(place: PortBuild) -> None:
    """What the port was before; another build's lock is on the name, so nobody is at work there."""
    for other in place.root.parent.iterdir():
        if other.is_dir() and other != place.root:
            shutil.rmtree(other, ignore_errors=True)


def missing_packages(wanted: Sequence[str]) -> list[str]:
    """Those Debian packages that are not installed."""
    missing = []
    for package in dict.fromkeys(wanted):
        try:
            words = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
            if proc.output(words) != "installed":
                missing.append(package)
        except proc.ProgramFailed:
            missing.append(package)
    return missing


def check_packages(wanted: Sequence[str]) -> None:
    """Raises UkccError that says how to get those that are missing."""
    missing = missing_packages(wanted)
    if missing:
        raise UkccError(
            f"packages are missing: {' '.join(missing)}", f"apt-get install {' '.join(missing)}"
        )
