"""The objects of a first link, kept for a second one: which of them stand for which source."""

import os
from pathlib import Path

import pytest

from ukcc.cc import linkage, objects, plan
from ukcc.cc.parse import parse
from ukcc.cc.toolchain import Toolchain


@pytest.fixture
def kept(tmp_path: Path) -> objects.Kept:
    return objects.Kept({"TMPDIR": str(tmp_path)})


def told(kept: objects.Kept, *words: str, lost: str = "") -> None:
    """What our collect2 does."""
    place = Path(kept.environ["UKCC_KEPT"])
    for word in words:
        name = Path(word).name
        if name.startswith("cc") and name != lost:
            (place / name).write_bytes(b"object")
    (place / "words").write_bytes(b"".join(os.fsencode(word) + b"\0" for word in words))


def test_sources_and_objects_in_their_order(kept: objects.Kept) -> None:
    told(kept, "-o", "x", "crt1.o", "/tmp/ccaaaaaa.o", "b.o", "/tmp/ccbbbbbb.o", "libc.a", "-lc")
    place = kept.environ["UKCC_KEPT"]
    found = kept.objects_of(["a.c", "b.o", "c.S", "libc.a"])
    assert found == [f"{place}/ccaaaaaa.o", "", f"{place}/ccbbbbbb.o", ""]
    kept.close()
    assert not Path(place).exists()
    assert kept.objects_of(["a.c"]) == []


def test_what_cannot_be_told_apart(kept: objects.Kept) -> None:
    """An object more or less than there are sources, or one that could not be kept."""
    words = ("/tmp/ccaaaaaa.o", "/tmp/ccbbbbbb.o")
    told(kept, *words)
    assert kept.objects_of(["a.c"]) == []
    assert kept.objects_of(["a.c", "b.c", "c.c"]) == []
    (Path(kept.environ["UKCC_KEPT"]) / "ccbbbbbb.o").unlink()
    assert kept.objects_of(["a.c", "b.c"]) == []
    kept.close()


def test_a_users_own_file_with_such_a_name(tmp_path: Path, kept: objects.Kept) -> None:
    own = tmp_path / "ccowning.o"
    own.write_bytes(b"mine")
    told(kept, str(own), "/tmp/ccaaaaaa.o")
    place = kept.environ["UKCC_KEPT"]
    assert kept.objects_of(["a.c", str(own)]) == [f"{place}/ccaaaaaa.o", ""]
    kept.close()
    assert own.exists()


def test_nowhere_to_keep_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "_DEFAULT", "/nonexistent")
    kept = objects.Kept({"TMPDIR": "/nonexistent", "COMPILER_PATH": "/x"})
    assert kept.environ == {"TMPDIR": "/nonexistent", "COMPILER_PATH": "/x"}
    assert kept.objects_of(["a.c"]) == []
    kept.close()


def test_who_else_is_looked_for(tmp_path: Path) -> None:
    kept = objects.Kept({"TMPDIR": str(tmp_path), "COMPILER_PATH": "/x:/y"})
    ours, _, theirs = kept.environ["COMPILER_PATH"].partition(":")
    assert theirs == "/x:/y" and os.access(f"{ours}/collect2", os.X_OK)
    assert os.listdir(ours) == ["collect2"]  # noqa: PTH208
    kept.close()


def planned(line: str, compiler: str = "/usr/bin/gcc") -> plan.Plan:
    toolchain = Toolchain(
        name="uk-gcc",
        compiler=compiler,
        sysroot="/root",
        plain=False,
        thin=False,
        linkage="",
        kernel="",
    )
    known = linkage.Lookup(
        stand_in=lambda path: ("liba.a",),
        has_libc=lambda directory: False,
        has_linker=lambda directory: False,
        is_read_once=lambda path: False,
    )
    words = line.split()
    return plan.make_plan(words, parse(words), toolchain, known)


@pytest.mark.parametrize(
    ("line", "places"),
    [
        ("a.c", ["a.c"]),
        ("-O2 a.c -o x b.o -include c.h -Wl,-rpath,/x c.cc -lm", ["a.c", "b.o", "c.cc"]),
        ("-include a.c -MT a.c a.c -MD", ["a.c"]),
        ("a.c liba.so", ["a.c", "liba.so"]),
    ],
)
def test_where_inputs_stand(line: str, places: list[str]) -> None:
    steps = planned(line)
    assert [steps.command[here] for here, _ in steps.inputs] == places
    static = [steps.static[there] if there >= 0 else "liba.so" for _, there in steps.inputs]
    assert static == places
    for (here, there), name in zip(steps.inputs, places, strict=True):
        before = (steps.command[here - 1], steps.static[there - 1])
        assert name != "a.c" or before[0] == before[1] not in ("-include", "-MT")


@pytest.mark.parametrize(
    "line",
    [
        *("a.o b.o -lm", "a.o liba.so", "-static a.c", "-shared a.c", "-c a.c", "a.c -ldl -###"),
        *("-x c a.c", "-xc a.c", "-v a.c", "-save-temps a.c", "-save-temps=obj a.c"),
        *("-fdump-tree-all a.c", "-dumpdir x a.c", "-time a.c", "-wrapper x,y a.c"),
    ],
)
def test_what_is_compiled_again(line: str) -> None:
    """Or is not linked twice, or has nothing to compile."""
    assert planned(line).inputs == () or not planned(line).static


def test_clang_has_no_collect2() -> None:
    assert planned("a.c", "/usr/bin/clang").inputs == ()
