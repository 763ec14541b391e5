"""The fuzzers' targets over their committed corpora, without a fuzzer: harness and inputs work."""

import json
from collections.abc import Callable

import pytest
from fuzz import checking, engine
from fuzz.table import CORPUS, HERE, TARGETS, find

from ukcc.failures.core import parse_core
from ukcc.image import cpio
from ukcc.image.metadata import parse_metadata
from ukcc.settings.document import parse_carried
from ukcc.settings.keys import KEYS
from ukcc.snapshots.manifest import parse_manifest
from ukcc.vm.storage.qcow2 import read_qcow2

_MOST_FILES, _MOST_BYTES = 64, 24576  # of a corpus; of a file

PYTHON = [target.name for target in TARGETS if not target.is_c]


@pytest.mark.parametrize("name", PYTHON)
def test_a_target_takes_its_corpus(name: str) -> None:
    check = checking.load(name)
    for path in sorted((CORPUS / name).iterdir()):
        data = path.read_bytes()
        # an input that stands at the limit passes here, and a fuzzer finds its neighbour
        assert checking.memory(check, data) < 0.75 * checking.most_memory(data), path


@pytest.mark.parametrize("name", PYTHON)
@pytest.mark.parametrize("data", [b"", b"\0", b"\n", b"\xff" * 300])
def test_a_target_takes_what_is_nothing(name: str, data: bytes) -> None:
    checking.run(checking.load(name), data, measure=True)


def test_every_target_has_a_corpus_and_a_harness() -> None:
    python = {path.stem for path in (HERE / "targets").glob("*.py")}
    in_c = {path.stem for path in (HERE / "init").glob("*.c")} - {"main"}
    assert {t.name for t in TARGETS} == python | in_c == {p.name for p in CORPUS.iterdir()}
    assert not python & in_c


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target.name)
def test_a_corpus_is_small(target: object) -> None:
    files = list(target.seeds.iterdir())  # type: ignore[attr-defined]
    assert 0 < len(files) <= _MOST_FILES
    assert max(path.stat().st_size for path in files) <= min(_MOST_BYTES, target.longest)  # type: ignore[attr-defined]


def test_unknown_targets_are_named() -> None:
    with pytest.raises(KeyError, match="nosuch"):
        find(["nosuch"])


def test_what_is_not_ukcc_error_is_a_finding() -> None:
    def broken(data: bytes) -> None:
        raise ValueError(data)

    with pytest.raises(ValueError, match="x"):
        checking.run(broken, b"x")


def test_memory_beyond_proportion_is_a_finding() -> None:
    with pytest.raises(checking.TooMuchMemory):
        checking.run(lambda data: bytes(64 << 20), b"x", measure=True)


LOG = """#80	INITED cov: 38 ft: 208 corp: 67/6689b exec/s: 0 rss: 41Mb
#700	NEW    cov: 39 ft: 210 corp: 68/6700b lim: 388 exec/s: 0 rss: 41Mb L: 21/388 MS: 1 X-

 === Uncaught Python exception: ===
ValueError: invalid literal for int() with base 10: b'C y'
Traceback (most recent call last):
  File "/x/tests/fuzz/targets/record.py", line 9, in check
    status = parse_record(data).status
  File "/x/ukcc/vm/live/exit_record.py", line 75, in _status
    number = int(value)
ValueError: invalid literal for int() with base 10: b'C y'

==10009== ERROR: libFuzzer: fuzz target exited
SUMMARY: libFuzzer: fuzz target exited
stat::number_of_executed_units: 730
"""


def test_what_a_fuzzer_says_is_read() -> None:
    result = engine.Result("record", "Atheris")
    engine._count(result, LOG)
    assert (result.executions, result.coverage, result.features, result.corpus) == (
        730,
        39,
        210,
        68,
    )
    assert (
        engine._named("crash-12", LOG, False)
        == "ValueError in _status (ukcc/vm/live/exit_record.py)"
    )
    said = "a.c:3:4: runtime error: index 9 out of bounds\nSUMMARY: UndefinedBehaviorSanitizer: x"
    assert engine._named("crash-12", said, True) == "index 9 out of bounds"
    assert engine._named("timeout-12", "", True) == "timeout"


@pytest.mark.parametrize(
    ("name", "take"),
    [
        ("manifest/right", lambda data: parse_manifest(data, "x")),
        ("core/crash", parse_core),
        ("cpio/image", lambda data: list(cpio.members(data))),
        ("metadata/json", lambda data: parse_metadata(data, "x")),
        ("qcow2/v3", read_qcow2),
        ("carried/full", lambda data: parse_carried(json.loads(data), "x", KEYS)),
    ],
)
def test_what_was_right_still_is(name: str, take: "Callable[[bytes], object]") -> None:
    """A fuzzer that has to find a whole format by itself finds little: make the input anew."""
    assert take((CORPUS / name).read_bytes())
