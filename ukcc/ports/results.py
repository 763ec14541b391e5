"""What was found of a port, kept in the store: `<store>/ports/NAME/results.json`."""

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ukcc.errors import UkccError
from ukcc.ports.place import Place, directory
from ukcc.ports.trial import Comparison, Verdict
from ukcc.tables import record
from ukcc.vm.facts import read_facts


@dataclass(frozen=True)
class ImageFacts:
    """size: bytes of the whole image; memory_mib: the smallest that boots; boot: instructions."""

    size: int
    memory_mib: int
    boot: int = 0


@dataclass(frozen=True)
class SuiteResult:
    """n of m in both lives, and what failed as unikernel only."""

    process: str
    unikernel: str
    unexplained: tuple[str, ...] = ()


@dataclass(frozen=True)
class Result:
    """digest: of the place that was tested; tests: what each shows -> its error, or empty."""

    name: str
    version: str
    digest: str
    images: Mapping[str, ImageFacts]
    tests: Mapping[str, str]
    suite: "SuiteResult | None" = None

    @property
    def passed(self) -> bool:
        """Whether every test did, and the suite has nothing that nobody knows the reason of."""
        return not any(self.tests.values()) and not (self.suite and self.suite.unexplained)


def gather(
    place: Place,
    verdicts: Iterable[Verdict],
    suite: "Comparison | None" = None,
    boots: Mapping[str, int] = {},
) -> Result:
    """The result of a port that is built. Without a new one, an earlier result's suite stays; what
    the recipe has a reason for by now is explained.

    boots: image -> instructions of a boot.
    """
    earlier = None
    with contextlib.suppress(UkccError):  # what cannot be read is replaced
        earlier = kept(place.recipe.name)
    images = {n: _facts(place.image(n), boots.get(n, 0)) for n in place.recipe.image}
    found = None
    if suite:
        found = SuiteResult(str(suite.process), str(suite.unikernel), suite.unexplained)
    elif earlier and earlier.suite and earlier.digest == place.images_digest:
        reasons = place.recipe.suite.explained if place.recipe.suite else {}
        still = tuple(name for name in earlier.suite.unexplained if name not in reasons)
        found = dataclasses.replace(earlier.suite, unexplained=still)
    return Result(
        name=place.recipe.name,
        version=place.recipe.source.version,
        digest=place.images_digest,
        images=images,
        tests={verdict.what: verdict.error for verdict in verdicts},
        suite=found,
    )


def keep(result: Result) -> None:
    """Replaces what is kept of the port, by rename."""
    file = _file(result.name)
    file.parent.mkdir(parents=True, exist_ok=True)
    fresh = file.with_suffix(f".{os.getpid()}")
    fresh.write_text(json.dumps(dataclasses.asdict(result), indent=1) + "\n")
    fresh.replace(file)


def kept(name: str) -> "Result | None":
    """The last result of a port; None if it was never tested. Raises UkccError."""
    file = _file(name)
    try:
        return record(Result, json.loads(file.read_text()))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, UkccError) as error:
        raise UkccError(f"{file}: no port's result: {error}", "test the port again") from None


def _file(name: str) -> Path:
    return directory() / name / "results.json"


def _facts(image: Path, boot: int) -> ImageFacts:
    return ImageFacts(image.stat().st_size, read_facts(str(image)).memory_min_mib, boot)
