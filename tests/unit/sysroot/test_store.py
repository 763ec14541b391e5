"""The store: whole or not at all, and safe with several processes at once."""

import contextlib
import errno
import json
import multiprocessing
import os
import time
from pathlib import Path

import pytest

from ukcc.errors import UkccError
from ukcc.progress import Progress, Silent, Step
from ukcc.sysroot import build, clean, inputs, kernels, parts, strace
from ukcc.sysroot.inputs import Inputs
from ukcc.sysroot.parts import PartRecipe
from ukcc.sysroot.sources import SourceTarball
from ukcc.sysroot.store import RECORD, Store, discard, link_tree


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "store")


def finished(store: Store, sysroot_id: str, **inputs_record: object) -> Path:
    """A finished sysroot of that id."""
    path = store.sysroots / sysroot_id
    path.mkdir(parents=True)
    versions = {"linux": "6", "glibc": "2", "gcc": "g", "binutils": "b"}
    record = {"id": sysroot_id, "versions": versions, "inputs": inputs_record}
    (path / RECORD).write_text(json.dumps(record))
    return path


def test_current_follows_the_link(store: Store) -> None:
    assert store.current() is None
    finished(store, "aaaa")
    finished(store, "bbbb")
    for wanted in ("aaaa", "bbbb", "bbbb", "aaaa"):
        store.make_current(wanted)
        current = store.current()
        assert current is not None
        assert current.id == wanted
    assert [found.id for found in store.all()] == ["aaaa", "bbbb"]


def test_a_directory_without_a_record_is_no_sysroot(store: Store) -> None:
    (store.sysroots / "half").mkdir(parents=True)
    assert store.find("half") is None
    assert store.all() == []


def test_who_publishes_first_wins(store: Store) -> None:
    for content in ("first", "second"):
        made = store.work("made")
        made.mkdir(parents=True)
        (made / "file").write_text(content)
        store.publish(made, store.parts / "part")
        assert not made.exists()
    assert (store.parts / "part" / "file").read_text() == "first"


def test_trees_are_laid_over_each_other(tmp_path: Path) -> None:
    for name, text in (("one", "1"), ("two", "2")):
        (tmp_path / name / "usr").mkdir(parents=True)
        (tmp_path / name / "usr" / name).write_text(text)
        (tmp_path / name / "usr" / "both").write_text(text)
    (tmp_path / "two" / "link").symlink_to("usr/two")
    link_tree(tmp_path / "one", tmp_path / "all")
    link_tree(tmp_path / "two", tmp_path / "all")
    assert (tmp_path / "all/usr/one").read_text() == "1"
    assert (tmp_path / "all/usr/both").read_text() == "2"
    assert (tmp_path / "all/link").readlink() == Path("usr/two")
    assert (tmp_path / "one/usr/both").read_text() == "1", "the first tree must stay as it was"


def test_discard_takes_what_is_there_and_what_is_not(tmp_path: Path) -> None:
    (tmp_path / "tree" / "below").mkdir(parents=True)
    discard(tmp_path / "tree")
    discard(tmp_path / "tree")
    assert list(tmp_path.iterdir()) == []


# Parts


def counting_recipe(ran: Path, delay: float = 0.0) -> PartRecipe:
    """Makes a part that holds a file, and adds a line to `ran` each time it is made."""

    def make(work: Path, out: Path, step: Step) -> None:
        with ran.open("a") as stream:
            stream.write("made\n")
        time.sleep(delay)
        step.advance(3)
        (out / "file").write_text("content")

    return PartRecipe("thing", "a thing", 0, make)


def test_a_part_is_made_once(store: Store, tmp_path: Path) -> None:
    for _ in range(2):
        part = parts.ensure(store, counting_recipe(tmp_path / "ran"), lambda: "0123", Silent())
        assert (part / "file").read_text() == "content"
    assert (tmp_path / "ran").read_text() == "made\n"
    assert list((store.root / "build").iterdir()) == []


def test_the_next_estimate_is_the_last_count(store: Store, tmp_path: Path) -> None:
    recipe = counting_recipe(tmp_path / "ran")
    parts.ensure(store, recipe, lambda: "0123", Silent())
    seen: list[int] = []

    class Recording(Silent):
        @contextlib.contextmanager
        def step(self, title: str, estimate: int = 0):  # type: ignore[no-untyped-def]
            seen.append(estimate)
            with super().step(title, estimate) as step:
                yield step

    parts.ensure(store, recipe, lambda: "4567", Recording())
    assert 3 in seen


def test_a_failed_part_leaves_nothing_to_be_taken_for_whole(store: Store, tmp_path: Path) -> None:
    def fail(work: Path, out: Path, step: Step) -> None:
        (out / "half").write_text("")
        raise UkccError("it failed")

    with pytest.raises(UkccError, match="it failed"):
        parts.ensure(store, PartRecipe("thing", "a thing", 0, fail), lambda: "0123", Silent())
    assert not store.part("thing", "0123").exists()
    part = parts.ensure(store, counting_recipe(tmp_path / "ran"), lambda: "0123", Silent())
    assert not (part / "half").exists()


def test_a_file_edited_during_the_build_is_noticed(store: Store, tmp_path: Path) -> None:
    digests = iter(["0123", "4567"])
    with pytest.raises(UkccError, match="changed while it was built"):
        parts.ensure(store, counting_recipe(tmp_path / "ran"), lambda: next(digests), Silent())
    assert not store.parts.exists()


def _ensure_in_process(root: Path, ran: Path) -> None:
    parts.ensure(Store(root), counting_recipe(ran, delay=0.3), lambda: "0123", Silent())


def test_two_processes_make_a_part_once(store: Store, tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    ran = tmp_path / "ran"
    workers = [context.Process(target=_ensure_in_process, args=(store.root, ran)) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
        assert worker.exitcode == 0
    assert ran.read_text() == "made\n"
    assert store.part("thing", "0123").is_dir()


# The whole build, with steps that take no time


@pytest.fixture
def wanted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    """Inputs, and steps that write one file each instead of compiling."""
    source = SourceTarball("source", "1.0", tmp_path / "none.tar.xz")
    record = {
        "recipes": inputs.RECIPES,
        **dict.fromkeys(("kernel_patches", "kernel_fragments", "glibc_script", "shims"), ""),
        **dict.fromkeys(("musl", "musl_script"), ""),
        "linux": "l",
        "glibc": "g",
        "tools": {"gcc": "gcc 12", "ld": "ld 2.40"},
    }
    script, init, room = (tmp_path / name for name in ("build.sh", "init.c", "room.s"))
    kernel = kernels.LONG_TERM
    made = Inputs(kernel, source, source, source, (), (), script, script, (init,), (), room, record)

    def make_all(*arguments: object) -> tuple[list[Path], Path]:
        part = tmp_path / "part"
        for name in (*build.ESSENTIAL, parts.RECORD):
            (part / name).parent.mkdir(parents=True, exist_ok=True)
            (part / name).write_text(name)
        return [part], tmp_path / "musl"

    monkeypatch.setattr(inputs, "gather", lambda store, kernel: made)
    monkeypatch.setattr(build.tools, "check", lambda: None)
    monkeypatch.setattr(build, "_make_parts", make_all)
    monkeypatch.setattr(build, "_split_kernel", lambda made, wanted: None)
    monkeypatch.setattr(build, "_write_inner_names", lambda made: None)
    monkeypatch.setattr(build, "_assemble_room", lambda made, wanted, log: None)
    monkeypatch.setattr(build.init, "compile_init", lambda *arguments: None)
    return made


class Forbidden(Progress):
    """Nothing may be worth showing."""

    def step(self, title: str, estimate: int = 0):  # type: ignore[no-untyped-def]
        if not title.startswith("waiting"):
            pytest.fail(f"built again: {title}")
        return contextlib.nullcontext()

    def note(self, text: str) -> None:
        pytest.fail(text)


def test_a_build_appears_whole_and_current_and_is_not_repeated(
    store: Store, wanted: Inputs
) -> None:
    made = build.build(store, Silent())
    assert made.id == wanted.id
    assert made.path.is_dir()
    assert made.record["versions"]["gcc"] == "gcc 12"
    assert store.current() == made
    assert build.build(store, Forbidden()) == made


def test_a_sysroot_that_is_there_becomes_current_again(store: Store, wanted: Inputs) -> None:
    made = build.build(store, Silent())
    finished(store, "other")
    store.make_current("other")
    build.build(store, Forbidden())
    assert store.current() == made


def test_a_sysroot_that_lacks_a_file_is_not_published(
    store: Store, wanted: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.init, "compile_init", lambda *arguments: arguments[3].unlink())
    with pytest.raises(UkccError, match="lacks boot/init"):
        build.build(store, Silent())
    assert store.all() == []
    assert store.current() is None


def test_a_full_disk_is_one_line(
    store: Store, wanted: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(made: Path, wanted: Inputs) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(build, "_split_kernel", full)
    with pytest.raises(UkccError, match="the disk is full"):
        build.build(store, Silent())
    assert store.all() == []


def test_too_little_space_is_said_before_the_work(
    store: Store, wanted: Inputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "_SPACE_NEEDED", 1 << 62)
    monkeypatch.setattr(build, "_make_parts", lambda *_: pytest.fail("started"))
    with pytest.raises(UkccError, match="GB free"):
        build.build(store, Silent())


def test_a_place_where_nothing_can_be_written_is_one_line(tmp_path: Path, wanted: Inputs) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UkccError, match="cannot write to the store"):
        build.build(Store(tmp_path / "file" / "store"), Silent())


def test_kbuild_does_not_take_paths_with_spaces(tmp_path: Path, wanted: Inputs) -> None:
    with pytest.raises(UkccError, match="spaces or colons"):
        build.build(Store(tmp_path / "my store"), Silent())


def test_missing_tools_are_all_named_before_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UkccError) as caught:
        build.tools.check()
    assert "gcc, g++, as, ld, make" in caught.value.message
    assert "apt-get install" in caught.value.hint
    assert "binutils" in caught.value.hint
    assert "xz-utils" in caught.value.hint


# Cleaning


def test_clean_keeps_the_current_sysroot_and_its_parts(store: Store, wanted: Inputs) -> None:
    made = build.build(store, Silent())
    kept = {store.part("kernel", wanted.part_digest("kernel")), strace.part(store, made)}
    for path in (*kept, store.part("kernel", "old"), store.part("strace", "old")):
        path.mkdir(parents=True)
    finished(store, "old")
    clean.clean(store, everything=False)
    assert [found.id for found in store.all()] == [made.id]
    assert set(store.parts.iterdir()) == kept
    assert list((store.root / "build").iterdir()) == []


def test_clean_all_leaves_no_sysroot(store: Store, wanted: Inputs) -> None:
    build.build(store, Silent())
    clean.clean(store, everything=True)
    assert store.all() == []
    assert store.current() is None
    assert not store.link.is_symlink()


def test_clean_removes_nothing_while_a_build_runs(store: Store) -> None:
    finished(store, "old")
    store.work("new").mkdir(parents=True)
    with (
        store.locked("new", contextlib.nullcontext()),
        pytest.raises(UkccError, match="new is in use"),
    ):
        clean.clean(store, everything=True)
    assert store.find("old") is not None
    assert store.work("new").is_dir()
