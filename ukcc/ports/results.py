"""What was found of a port, kept in the store: `<store>/ports/NAME/results.json`, and
`results-own.json` for images with kernels of their own."""

import contextlib
import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.image.facts import read_facts
from ukcc.ports.place import PortBuild, directory
from ukcc.ports.trial import Comparison, TestVerdict
from ukcc.specialise.make import RECORD, made_directory
from ukcc.sysroot.store import default_store
from ukcc.tables import record
from ukcc.whole_file import write_whole

# Which kernel the tested images have: that of the sysroot, or each one of its own.
GENERAL, OWN = "general", "own"
KERNELS = (GENERAL, OWN)


@dataclass(frozen=True)
class OwnKernel:
    """One that was made for an image. size: bytes of it; calls: how many, None: all."""

    id: str
    class_name: str
    goal: str
    features: tuple[str, ...]
    size: int
    calls: "int | None" = None


@dataclass(frozen=True)
class ImageFigures:
    """size: bytes of the whole image; memory_mib: the smallest that boots; boot: instructions;
    kernel: None for the general one.
    """

    size: int
    memory_mib: int
    boot: int = 0
    kernel: "OwnKernel | None" = None


@dataclass(frozen=True)
class SuiteResult:
    """n of m in both lives, and what failed as unikernel only."""

    process: str
    unikernel: str
    unexplained: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """digest: of the images that were tested; tests: what each shows -> its error, or empty;
    kernel: one of KERNELS."""

    name: str
    version: str
    digest: str
    images: Mapping[str, ImageFigures]
    tests: Mapping[str, str]
    suite: "SuiteResult | None" = None
    kernel: str = GENERAL

    @property
    def passed(self) -> bool:
        """Whether every test did, and the suite has nothing that nobody knows the reason of."""
        return not any(self.tests.values()) and not (self.suite and self.suite.unexplained)


def gather(
    place: PortBuild,
    verdicts: Iterable[TestVerdict],
    suite: "Comparison | None" = None,
    boots: Mapping[str, int] = {},
) -> Result:
    """The result of a port that is built. Without a new one, an earlier result's suite stays; what
    the recipe has a reason for by now is explained.

    boots: image -> instructions of a boot.
    """
    earlier = None
    with contextlib.suppress(UkccError):  # what cannot be read is replaced
        earlier = kept(place.recipe.name, OWN if place.own else GENERAL)
    digest = place.own or place.images_digest
    there = [name for name in place.recipe.image if place.image(name).is_file()]
    images = {name: _facts(place.image(name), boots.get(name, 0)) for name in there}
    found = None
    if suite:
        found = SuiteResult(str(suite.process), str(suite.unikernel), suite.unexplained)
    elif earlier and earlier.suite and earlier.digest == digest:
        reasons = place.recipe.suite.explained if place.recipe.suite else {}
        still = tuple(name for name in earlier.suite.unexplained if name not in reasons)
        found = dataclasses.replace(earlier.suite, unexplained=still)
    return Result(
        name=place.recipe.name,
        version=place.recipe.source.version,
        digest=digest,
        images=images,
        tests={verdict.what: verdict.error for verdict in verdicts},
        suite=found,
        kernel=OWN if place.own else GENERAL,
    )


def keep(result: Result) -> None:
    """Replaces what is kept of the port and the kind of kernel, by rename."""
    file = _file(result.name, result.kernel)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps(dataclasses.asdict(result), indent=1) + "\n")


def kept(name: str, kernel: str = GENERAL) -> "Result | None":
    """The last result of a port with that kernel; None if it was never tested so. Raises UkccError.

    kernel: one of KERNELS.
    """
    file = _file(name, kernel)
    try:
        return record(Result, json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, UkccError) as error:
        raise UkccError(f"{file}: no port's result: {error}", "test the port again") from None


def _file(name: str, kernel: str) -> Path:
    return directory() / name / ("results.json" if kernel == GENERAL else f"results-{kernel}.json")


def _facts(image: Path, boot: int) -> ImageFigures:
    found = read_facts(str(image))
    kernel = _own_kernel(found.made) if found.made else None
    return ImageFigures(image.stat().st_size, found.memory_min_mib, boot, kernel)


def _own_kernel(made: str) -> OwnKernel:
    """By its id in the store, where it was made or found a moment ago."""
    record_of = json.loads((made_directory(default_store(), made) / RECORD).read_text())
    calls = record_of["calls"]
    return OwnKernel(
        id=made,
        class_name=record_of["class"],
        goal=record_of["goal"],
        features=tuple(record_of["features"]),
        size=record_of["bytes"],
        calls=None if calls is None else len(calls),
    )
